//go:build !unix

package auditlog

import (
	"os"
	"path/filepath"
)

// lock cannot keep a second process away on this system: the operator has to.
func lock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
}
