package database_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What SQLite leaves to the umask, and its file URIs to whoever writes a path.
func TestSQLiteFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "per%41cent.db", "q?x.db", "mode=ro&x#y.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			db := open(t, filepath.Join(dir, name))
			if err := db.Migrate(t.Context(), migrations); err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{name: true, name + "-wal": true, name + "-shm": true, name + ".migrate": true}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				info, err := file.Info()
				if err != nil {
					t.Fatal(err)
				}
				if !want[file.Name()] || info.Mode().Perm() != fs.FileMode(0o600) {
					t.Errorf("%s with mode %o", file.Name(), info.Mode().Perm())
				}
				delete(want, file.Name())
			}
			if len(want) != 0 {
				t.Errorf("missing: %v", want)
			}
		})
	}
}
