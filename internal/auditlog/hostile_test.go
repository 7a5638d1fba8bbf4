package auditlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// segmented writes a log of three segments or more.
func segmented(t *testing.T) (dir string, verifier note.Verifier, firsts []int64) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, 12, 3)
	firsts, err := segments(dir)
	if err != nil || len(firsts) < 3 {
		t.Fatal(firsts, err)
	}
	return dir, verifierOf(t, dir), firsts
}

// Whoever hands a log over may have put anything into its files.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	source, verifier, firsts := segmented(t)
	for _, suffix := range suffixes {
		for name, harm := range map[string]func(path string) error{
			"a pipe":        func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"a folder":      func(path string) error { return os.Mkdir(path, 0o700) },
			"a device":      func(path string) error { return os.Symlink("/dev/zero", path) },
			"a loop":        func(path string) error { return os.Symlink(filepath.Base(path), path) },
			"a secret":      func(path string) error { return os.Symlink("/etc/passwd", path) },
			"a huge hole":   func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
			"endless lines": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("\n"), 1<<20), 0o600) },
			"deep JSON":     func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("["), 1<<21), 0o600) },
			"one long line": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("a"), 1<<23), 0o600) },
			"nothing":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		} {
			t.Run(suffix[1:]+" is "+name, func(t *testing.T) {
				dir := copyLog(t, source)
				path := segmentPath(dir, firsts[1], suffix)
				if err := errors.Join(os.Remove(path), harm(path)); err != nil {
					t.Fatal(err)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				done := make(chan error, 1)
				go func() {
					_, err := Verify(dir, verifier, Expect{})
					done <- err
				}()
				select {
				case err := <-done:
					var fault *Fault
					if !errors.As(err, &fault) || fault.First > firsts[2] || fault.Last < firsts[1] && fault.First != firsts[1] {
						t.Errorf("%v", err)
					}
					if err != nil && (len(err.Error()) > 500 || strings.Contains(err.Error(), "root:")) {
						t.Errorf("quoted: %.300s", err)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("it does not end")
				}
				runtime.ReadMemStats(&after)
				if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
					t.Errorf("%d octets of memory", used)
				}
			})
		}
	}
}
