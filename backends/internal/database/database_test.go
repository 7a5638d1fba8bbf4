package database_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
)

var migrations = os.DirFS("testdata")

func open(t *testing.T, dsn string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), dsn, "wallets")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestSeveralInstancesMigrateTogether(t *testing.T) {
	t.Parallel()
	databasetest.ForEach(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				db, err := database.Open(t.Context(), dsn, "wallets")
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = db.Close() }()
				if err := db.Migrate(t.Context(), migrations); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		var rows int
		if err := open(t, dsn).QueryRow("SELECT count(*) FROM wallet").Scan(&rows); err != nil || rows != 1 {
			t.Fatalf("%d rows, %v: the migration ran more than once", rows, err)
		}
	})
}

func TestOpenMigrated(t *testing.T) {
	t.Parallel()
	databasetest.ForEach(t, func(t *testing.T, dsn string) {
		good := fstest.MapFS{}
		for _, dialect := range []string{"sqlite", "postgres"} {
			good["migrations/"+dialect+"/00001_a.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE wallet (id TEXT);")}
		}
		db := databasetest.Open(t, dsn, "wallets", good)
		if _, err := db.Exec("INSERT INTO wallet (id) VALUES ('a')"); err != nil {
			t.Error(err)
		}
		if _, err := database.OpenMigrated(t.Context(), dsn, "wallets", fstest.MapFS{}); err == nil || !strings.HasPrefix(err.Error(), "migrations") {
			t.Errorf("without migrations: got %v", err)
		}
	})
}

func TestInTx(t *testing.T) {
	t.Parallel()
	databasetest.ForEach(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		if err := db.Migrate(t.Context(), migrations); err != nil {
			t.Fatal(err)
		}
		exec := func(query string, args ...any) error {
			return db.InTx(t.Context(), func(tx *sql.Tx) error {
				_, err := tx.Exec(query, args...)
				return err
			})
		}
		if err := exec("INSERT INTO wallet (id, balance) VALUES ($1, $2)", "a", 1); !database.IsUnique(err) {
			t.Errorf("a second row with the key: %v", err)
		}
		if err := exec("UPDATE wallet SET balance = $1", -1); !database.IsCheck(err) {
			t.Errorf("a negative balance: %v", err)
		}

		refusal := errors.New("refused")
		err := db.InTx(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.Exec("UPDATE wallet SET balance = 99"); err != nil {
				return err
			}
			return refusal
		})
		if !errors.Is(err, refusal) {
			t.Errorf("got %v", err)
		}

		// Ten writers at once: each increment counts, none fails as busy.
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 10 {
					if err := exec("UPDATE wallet SET balance = balance + 1"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var balance int
		if err := db.QueryRow("SELECT balance FROM wallet").Scan(&balance); err != nil || balance != 100 {
			t.Fatalf("balance %d, %v; want 100", balance, err)
		}
	})
}

func TestSQLiteKeepsWhatItCommits(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "with space?and#marks.db"))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "recursive_triggers": "1",
	} {
		var got string
		if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %s, %v; want %s", pragma, got, err, want)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", filepath.Join(t.TempDir(), "missing", "x.db"), "postgres://user:hunter2@127.0.0.1:1/none", "postgres://user:hunter2@%zz/"} {
		_, err := database.Open(context.Background(), dsn, "wallets")
		if err == nil || !strings.HasPrefix(err.Error(), "database") {
			t.Errorf("%q: got %v", dsn, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}
