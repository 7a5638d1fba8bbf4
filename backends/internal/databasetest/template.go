package databasetest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// Template gives each test a database of its own with a component's tables. They are
// migrated once on each database, and copied: to migrate takes longer than most tests.
type Template struct {
	open func(ctx context.Context, dsn string) (*database.DB, error)

	sqlite struct {
		sync.Once
		file []byte
	}
	postgres struct {
		sync.Once
		dsn string
	}
}

// NewTemplate makes a template of what open leaves in an empty database.
func NewTemplate(open func(ctx context.Context, dsn string) (*database.DB, error)) *Template {
	return &Template{open: open}
}

// TemplateOf is the template of a component that is told by its name and by what holds
// its folder "migrations".
func TemplateOf(component string, files fs.FS) *Template {
	return NewTemplate(func(ctx context.Context, dsn string) (*database.DB, error) {
		return database.OpenMigrated(ctx, dsn, component, files)
	})
}

// Open opens a database that the template gave for as long as the test runs.
func (m *Template) Open(t testing.TB, dsn string) *database.DB {
	t.Helper()
	db, err := m.open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// ForEach runs the test on a fresh SQLite file and on a fresh PostgreSQL database.
func (m *Template) ForEach(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, m.SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, m.Postgres(t))
	})
}

// SQLite gives a file that is the test's own.
func (m *Template) SQLite(t testing.TB) (dsn string) {
	t.Helper()
	m.sqlite.Do(func() {
		path := filepath.Join(t.TempDir(), "template.db")
		if m.migrate(t, path) {
			m.sqlite.file, _ = os.ReadFile(path) // none: see below
		}
	})
	if len(m.sqlite.file) == 0 {
		t.Fatal("there is no SQLite file to copy")
	}
	dsn = filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(dsn, m.sqlite.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Postgres gives a database that is the test's own.
func (m *Template) Postgres(t testing.TB) (dsn string) {
	t.Helper()
	m.postgres.Do(func() {
		if dsn := testenv.Postgres(t); m.migrate(t, dsn) {
			m.postgres.dsn = dsn
		}
	})
	if m.postgres.dsn == "" {
		t.Fatal("there is no PostgreSQL database to copy")
	}
	return testenv.PostgresLike(t, m.postgres.dsn)
}

// migrate brings a database to the newest version and leaves it: with its last connection,
// SQLite moves the write-ahead log into the file.
func (m *Template) migrate(t testing.TB, dsn string) (done bool) {
	t.Helper()
	db, err := m.open(context.Background(), dsn)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
