// Package databasetest runs a test on each database that the stores support.
package databasetest

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// ForEach runs the test on a fresh SQLite file and on a fresh PostgreSQL database.
func ForEach(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, filepath.Join(t.TempDir(), "test.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, testenv.Postgres(t))
	})
}

// Open opens a component's migrated database for as long as the test runs.
// component is what holds its folder "migrations".
func Open(t testing.TB, dsn, name string, component fs.FS) *database.DB {
	t.Helper()
	db, err := database.OpenMigrated(t.Context(), dsn, name, component)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
