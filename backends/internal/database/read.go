package database

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
)

// OpenToRead opens a component's database for somebody who only looks: nothing is
// created, migrated or written, and the right to read the tables is enough.
//
// A missing database and tables of another version than that of this program are
// errors: what is said of the tables would be said of something else.
func OpenToRead(ctx context.Context, dsn, component string, embedded fs.FS) (*DB, error) {
	db, err := openToRead(ctx, dsn, component)
	if err != nil {
		return nil, err
	}
	db.readOnly = true
	if err := db.checkVersion(ctx, component, embedded); err != nil {
		_ = db.Close() // the first error is the one to tell
		return nil, err
	}
	return db, nil
}

func openToRead(ctx context.Context, dsn, component string) (*DB, error) {
	if DialectOf(dsn) == Postgres {
		cfg, err := postgresConfig(dsn, component, unlimitedStatements, sessionBounds)
		if err != nil {
			return nil, err
		}
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
		return connectPostgres(ctx, cfg, nil)
	}
	path := sqlitePath(dsn)
	if path == "" {
		return nil, errNoDatabase
	}
	db, err := connectSQLite(ctx, path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}})
	if err != nil {
		return nil, err
	}
	return &DB{times: newTimes(), DB: db, Dialect: SQLite, path: path, writer: make(chan struct{}, 1)}, nil
}

// checkVersion compares the tables with the component's newest migration.
func (db *DB) checkVersion(ctx context.Context, component string, embedded fs.FS) error {
	want, err := newestVersion(embedded, db.Dialect)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	var have int64
	err = db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	if err != nil {
		return fmt.Errorf("database: no tables of %s are there, or they may not be read: %w", component, err)
	}
	if have != want {
		return fmt.Errorf("database: the tables of %s are of version %d, and this program is made for version %d", component, have, want)
	}
	return nil
}

func newestVersion(embedded fs.FS, dialect Dialect) (newest int64, err error) {
	files, err := fs.Glob(embedded, "migrations/"+string(dialect)+"/*.sql")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return 0, err
		}
		newest = max(newest, version)
	}
	return newest, nil
}
