// Package database opens the backends' SQL stores: an embedded SQLite file by
// default, PostgreSQL by DSN, the same SQL with $1 placeholders on both.
package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the "sqlite" driver, without cgo
)

// Dialect says which SQL database is behind a DB, where that makes a difference.
type Dialect string

// The two databases that every store works on.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// DB is a pool of connections to one component's tables.
type DB struct {
	*sql.DB
	Dialect Dialect

	path   string        // SQLite: the file
	writer chan struct{} // SQLite: holds one slot, for the one writer of this process
}

// Open opens the database that dsn names and checks that it answers.
//
//	/var/lib/tollgate/auth.db       an SQLite file (also sqlite:PATH)
//	postgres://user@host/tollgate   PostgreSQL; component is the schema
//
// One PostgreSQL database can hold all components: each lives in a schema of its own.
func Open(ctx context.Context, dsn, component string) (*DB, error) {
	if DialectOf(dsn) == Postgres {
		return openPostgres(ctx, dsn, component)
	}
	return openSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"))
}

// DialectOf tells which database a DSN names, without opening it.
func DialectOf(dsn string) Dialect {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return Postgres
	}
	return SQLite
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" {
		return nil, fmt.Errorf("database: no file or postgres:// DSN given")
	}
	db, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	// WAL lets readers go on beside the one writer; a few connections serve them all.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return &DB{DB: db, Dialect: SQLite, path: path, writer: make(chan struct{}, 1)}, nil
}

// sqliteDSN asks for what money needs: a write-ahead log that is synced at each
// commit (synchronous FULL: in WAL mode NORMAL may lose the last commits when
// the machine loses power), foreign keys, and transactions that take the write
// lock at once, so that none fails half-way because it must upgrade a read. With
// recursive triggers, a REPLACE runs the delete triggers of the rows that it puts
// out of the way: without, it would get past the one that keeps a table append-only.
func sqliteDSN(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "recursive_triggers(1)",
	}}
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return file.String()
}

func openPostgres(ctx context.Context, dsn, component string) (*DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx redacts the password in its message.
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := createSchema(ctx, cfg, component); err != nil {
		return nil, err
	}
	cfg = cfg.Copy()
	cfg.RuntimeParams["search_path"] = component
	cfg.RuntimeParams["application_name"] = "tollgate-" + component
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("database %s: %w", cfg.Host, err)
	}
	return &DB{DB: db, Dialect: Postgres}, nil
}

func createSchema(ctx context.Context, cfg *pgx.ConnConfig, component string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	// Two instances that start together can both find the schema missing: the
	// loser of that race gets a unique violation, and the schema is there.
	_, err = conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{component}.Sanitize())
	if err != nil && !IsUnique(err) {
		return fmt.Errorf("database: creating schema %s: %w", component, err)
	}
	return nil
}
