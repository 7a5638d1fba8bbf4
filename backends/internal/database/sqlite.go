package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the "sqlite" driver, without cgo
)

func sqlitePath(dsn string) string { return strings.TrimPrefix(dsn, "sqlite:") }

var errNoDatabase = errors.New("database: no file or postgres:// DSN given")

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" {
		return nil, errNoDatabase
	}
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	// What money needs: a write-ahead log that is synced at each commit (synchronous
	// FULL: in WAL mode NORMAL may lose the last commits when the machine loses
	// power), foreign keys, and transactions that take the write lock at once, so
	// that none fails half-way because it must upgrade a read. With recursive
	// triggers, a REPLACE runs the delete triggers of the rows that it puts out of
	// the way: without, it would get past the one that keeps a table append-only.
	db, err := connectSQLite(ctx, path, url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "recursive_triggers(1)",
	}})
	if err != nil {
		return nil, err
	}
	return &DB{times: newTimes(), DB: db, Dialect: SQLite, path: path, writer: make(chan struct{}, 1)}, nil
}

func connectSQLite(ctx context.Context, path string, options url.Values) (*sql.DB, error) {
	db, err := sql.Open("sqlite", sqliteDSN(path, options))
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	// WAL lets readers go on beside the one writer; a few connections serve them all.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	// Where several connect to a new file, one puts the write-ahead log in place and
	// the others can be told that it is busy, without the wait of busy_timeout.
	if err := retry(ctx, func() error { return db.PingContext(ctx) }); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return db, nil
}

// sqliteDSN makes a URI that names exactly this file, whatever is in its name.
func sqliteDSN(path string, options url.Values) string {
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}
	return file.String()
}

// creating keeps this process's connections away from a file that is being made.
var creating sync.Mutex

// createPrivate makes the file, if it is missing, for its owner alone: SQLite would
// leave that to the umask. The write-ahead log beside it gets the file's mode.
//
// A file that is there is not opened, and nobody connects meanwhile to a new one:
// to close a file takes away the locks that this process has on it (POSIX fcntl),
// those of SQLite too.
func createPrivate(path string) error {
	creating.Lock()
	defer creating.Unlock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // #nosec G304 -- the operator names it
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}
