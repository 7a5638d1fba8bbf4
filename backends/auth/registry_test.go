package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A database that is in use takes its own master key only, and no new one is made
// for it: what is registered with another could never authenticate.
func TestADatabaseKeepsItsMasterKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dsn, own := filepath.Join(dir, "auth.db"), filepath.Join(dir, "auth.key")
	open := func(key string) error {
		r, err := OpenRegistry(t.Context(), dsn, key)
		if err != nil {
			return err
		}
		return r.Close()
	}
	if err := open(own); err != nil {
		t.Fatal(err)
	}
	missing, other := filepath.Join(dir, "missing.key"), filepath.Join(dir, "other.key")
	if err := os.WriteFile(other, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{missing, other} {
		if open(key) == nil {
			t.Errorf("opened with %s", filepath.Base(key))
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key file was made: %v", err)
	}
	if err := open(own); err != nil {
		t.Error(err)
	}
}
