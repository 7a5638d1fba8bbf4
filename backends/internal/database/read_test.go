package database_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

func TestOpenToReadChangesNothing(t *testing.T) {
	t.Parallel()
	databasetest.ForEach(t, func(t *testing.T, dsn string) {
		one, two := component("00001"), component("00001", "00002")
		refused := func(files fstest.MapFS, why string) {
			t.Helper()
			db, err := database.OpenToRead(t.Context(), dsn, "wallets", files)
			if err == nil {
				_ = db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), why) {
				t.Errorf("got %v", err)
			}
		}
		refused(one, "database") // nothing is there
		if database.DialectOf(dsn) == database.SQLite {
			if left, _ := filepath.Glob(dsn + "*"); len(left) != 0 {
				t.Errorf("it made %v", left)
			}
		}
		open(t, dsn) // a database without tables
		refused(one, "no tables of wallets")
		written := databasetest.Open(t, dsn, "wallets", one)
		if _, err := written.Exec("INSERT INTO t00001 (id) VALUES ('a')"); err != nil {
			t.Fatal(err)
		}
		refused(two, "version 1, and this program is made for version 2")

		db, err := database.OpenToRead(t.Context(), dsn, "wallets", one)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		var rows int
		if err := db.QueryRow("SELECT count(*) FROM t00001").Scan(&rows); err != nil || rows != 1 {
			t.Errorf("%d rows, %v", rows, err)
		}
		if _, err := db.Exec("DELETE FROM t00001"); err == nil {
			t.Error("it wrote")
		}
		if err := db.Migrate(t.Context(), migrations); err == nil {
			t.Error("it migrated")
		}
		databasetest.Open(t, dsn, "wallets", two)
		refused(one, "version 2, and this program is made for version 1")
	})
}

func TestOpenToReadAFileOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "no database": strings.Repeat("x", 4096)} {
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := database.OpenToRead(t.Context(), path, "wallets", component("00001")); err == nil {
			t.Errorf("%s: it was opened", name)
		}
	}
	if _, err := database.OpenToRead(t.Context(), "", "wallets", component("00001")); err == nil {
		t.Error("nothing was opened")
	}
}

func TestPostgresReadersNeedOnlySelect(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	role, reader := restricted(t, dsn)
	databasetest.Open(t, dsn, "wallets", component("00001"))
	if _, err := database.OpenToRead(t.Context(), reader, "wallets", component("00001")); err == nil {
		t.Error("a role without any right reads")
	}
	execute(t, dsn, "GRANT USAGE ON SCHEMA wallets TO "+role, "GRANT SELECT ON ALL TABLES IN SCHEMA wallets TO "+role)
	db, err := database.OpenToRead(t.Context(), reader, "wallets", component("00001"))
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
}

func TestPostgresErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://user:hunter2@127.0.0.1:1/none", "postgres://user:hunter2@%zz/"} {
		_, err := database.OpenToRead(t.Context(), dsn, "wallets", component("00001"))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}
