package database_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// component is one with so many migrations.
func component(versions ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, version := range versions {
		for _, dialect := range []string{"sqlite", "postgres"} {
			files["migrations/"+dialect+"/"+version+"_t.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE t" + version + " (id TEXT);")}
		}
	}
	return files
}

// restricted gives the DSN of a role that may only log in, and what may be granted
// to it; the role belongs to the database, so that tests do not share one.
func restricted(t *testing.T, dsn string) (role, restrictedDSN string) {
	t.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(dsn, "postgres://postgres@/"), "?")
	role = "least_" + name
	execute(t, dsn, "CREATE ROLE "+role+" LOGIN")
	return role, strings.Replace(dsn, "postgres@", role+"@", 1)
}

func execute(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	db := open(t, dsn)
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestPostgresBoundsItsSessions(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	setting := func(db *database.DB, name string) (value string) {
		t.Helper()
		if err := db.QueryRow("SELECT current_setting($1)", name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	db := open(t, dsn)
	for name, want := range map[string]string{
		"idle_in_transaction_session_timeout": "15s", "lock_timeout": "10s", "statement_timeout": "30s", "search_path": "wallets",
	} {
		if got := setting(db, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if got := setting(open(t, dsn+"&lock_timeout=3s"), "lock_timeout"); got != "3s" {
		t.Errorf("the DSN's lock_timeout: got %s", got)
	}
	noted := databasetest.Open(t, dsn, "noted", fstest.MapFS{"migrations/postgres/00001_n.sql": &fstest.MapFile{Data: []byte(
		"-- +goose Up\nCREATE TABLE noted AS SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') AS bounds;")}})
	var bounds string
	if err := noted.QueryRow("SELECT bounds FROM noted").Scan(&bounds); err != nil || bounds != "0 10s" {
		t.Errorf("migrations run with %q, %v", bounds, err)
	}
}

// A node that vanishes in the middle of a transaction gives its locks back.
func TestPostgresFreesWhatAVanishedNodeHeld(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	if err := open(t, dsn).Migrate(t.Context(), migrations); err != nil {
		t.Fatal(err)
	}
	vanished, err := open(t, dsn+"&idle_in_transaction_session_timeout=200ms").Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = vanished.Rollback() }() // its connection is gone by then
	if _, err := vanished.Exec("UPDATE wallet SET balance = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dsn).Exec("UPDATE wallet SET balance = 2"); err != nil {
		t.Error(err)
	}
}

func TestPostgresNeedsNoRightToCreateSchemas(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	role, least := restricted(t, dsn)
	execute(t, dsn, "CREATE SCHEMA mine AUTHORIZATION "+role)
	databasetest.Open(t, least, "mine", component("00001"))
	if _, err := database.Open(t.Context(), least, "other"); err == nil || !strings.Contains(err.Error(), "creating schema other") {
		t.Errorf("a schema it may not make: %v", err)
	}
}
