package database_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// What a PostgreSQL cannot do now and may later is told from what it never will.
func TestBusy(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	execute(t, dsn, "CREATE TABLE wallets.t (n INT)")
	role, least := restricted(t, dsn)
	execute(t, dsn, "CREATE SCHEMA mine AUTHORIZATION "+role)
	administrator := open(t, dsn)
	insert := "INSERT INTO wallets.t VALUES (1)"
	// on gives what a statement on a connection ends in, after something has happened to it.
	on := func(dsn, component string, happens func(pid int) error) error {
		t.Helper()
		db, err := database.Open(t.Context(), dsn, component)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		var pid int
		if err := conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		if err := happens(pid); err != nil {
			return err
		}
		for there := true; there; { // until the server has let it go
			if err := administrator.QueryRow("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&there); err != nil {
				t.Fatal(err)
			}
		}
		_, err = conn.ExecContext(t.Context(), insert)
		return err
	}
	for name, fails := range map[string]func() error{
		"a standby": func() error {
			_, err := open(t, dsn+"&default_transaction_read_only=on").Exec(insert)
			return err
		},
		"ended by an administrator": func() error {
			return on(dsn, "wallets", func(pid int) error {
				_, err := administrator.Exec("SELECT pg_terminate_backend($1)", pid)
				return err
			})
		},
		"idle for too long": func() error {
			return on(dsn+"&idle_session_timeout=50", "wallets", func(int) error { return nil })
		},
		"too many connections": func() error {
			db := databasetest.Open(t, least, "mine", component("00001"))
			execute(t, dsn, "ALTER ROLE "+role+" CONNECTION LIMIT 0")
			first, err := db.Conn(t.Context()) // there was one
			if err != nil {
				return err
			}
			defer func() { _ = first.Close() }()
			return db.PingContext(t.Context())
		},
		"nobody listens": func() error {
			_, err := database.Open(context.Background(), "postgres://u@127.0.0.1:1/none", "wallets")
			return err
		},
		"no room on the disk": func() error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "53100"}) },
		"nobody knows":        func() error { return &pgconn.PgError{Code: "40003"} },
		"ended while idle":    func() error { return &pgconn.PgError{Code: "57P05"} },
	} {
		if err := fails(); !database.IsBusy(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"a constraint": &pgconn.PgError{Code: "23514"}, "no such database": &pgconn.PgError{Code: "57P04"}, "something else": errors.New("broken"),
		"a table that is not there": func() error { _, err := administrator.Exec("SELECT * FROM missing"); return err }(),
	} {
		if database.IsBusy(err) {
			t.Errorf("%s is not to be tried again", name)
		}
	}
}
