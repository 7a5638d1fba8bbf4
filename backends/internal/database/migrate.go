package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// OpenMigrated opens the database as Open does and brings its tables to the newest
// version. embedded holds the folder that a component embeds as "migrations".
func OpenMigrated(ctx context.Context, dsn, component string, embedded fs.FS) (*DB, error) {
	db, err := Open(ctx, dsn, component)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(embedded, "migrations")
	if err == nil {
		err = db.Migrate(ctx, files)
	}
	if err != nil {
		_ = db.Close() // the first error is the one to tell
		return nil, err
	}
	return db, nil
}

var errReadOnly = errors.New("migrations: the database was opened to read")

// Migrate brings the tables to the newest version. migrations holds the folders
// sqlite and postgres with goose files. Several instances may start together:
// one migrates, the others wait for it.
func (db *DB) Migrate(ctx context.Context, migrations fs.FS) error {
	if db.readOnly {
		return errReadOnly
	}
	sub, err := fs.Sub(migrations, string(db.Dialect))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if db.Dialect == Postgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		pool := stdlib.OpenDB(*db.migrating)
		defer func() { _ = pool.Close() }() // what was migrated is committed
		return up(ctx, goose.DialectPostgres, pool, sub, goose.WithSessionLocker(locker))
	}
	unlock, err := lockFile(ctx, db.path+".migrate")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	defer unlock()
	return up(ctx, goose.DialectSQLite3, db.DB, sub)
}

func up(ctx context.Context, dialect goose.Dialect, db *sql.DB, files fs.FS, opts ...goose.ProviderOption) error {
	provider, err := goose.NewProvider(dialect, db, files, opts...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// lockFile takes a lock that processes on this machine share: the exclusive
// transaction of an SQLite file of its own. Goose has no such lock for SQLite,
// and without one two instances would both run the first migration.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, url.Values{"_txlock": {"exclusive"}, "_pragma": {"busy_timeout(60000)"}}))
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return func() {
		_ = tx.Rollback() // nothing was written: letting go is all there is to do
		_ = db.Close()
	}, nil
}
