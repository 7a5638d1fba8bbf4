// Package databasetest runs a test on each database that the stores support.
package databasetest

import (
	"path/filepath"
	"testing"

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
