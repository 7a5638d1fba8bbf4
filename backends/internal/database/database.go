// Package database opens the backends' SQL stores: an embedded SQLite file by
// default, PostgreSQL by DSN, the same SQL with $1 placeholders on both.
package database

import (
	"context"
	"database/sql"
	"strings"

	"github.com/jackc/pgx/v5"
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

	readOnly  bool          // see OpenToRead
	path      string        // SQLite: the file
	writer    chan struct{} // SQLite: holds one slot, for the one writer of this process
	times     times
	migrating *pgx.ConnConfig // PostgreSQL: how Migrate connects
}

// Open opens the database that dsn names and checks that it answers.
//
//	/var/lib/tollgate/auth.db       an SQLite file (also sqlite:PATH); made when missing
//	postgres://user@host/tollgate   PostgreSQL; component is the schema
//
// One PostgreSQL database can hold all components: each lives in a schema of its own.
func Open(ctx context.Context, dsn, component string) (*DB, error) {
	if DialectOf(dsn) == Postgres {
		return openPostgres(ctx, dsn, component)
	}
	return openSQLite(ctx, sqlitePath(dsn))
}

// DialectOf tells which database a DSN names, without opening it.
func DialectOf(dsn string) Dialect {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return Postgres
	}
	return SQLite
}
