//go:build unix

package auditlog

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second process from writing the same log. The system lets go of it
// when the process ends, however it ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, errors.New("another process, or this one by another name of the folder, writes to this audit log")
	}
	return f, nil
}
