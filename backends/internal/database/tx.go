package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxTries bounds how often something runs that the database asks to run again.
const maxTries = 10

// InTx runs fn in one transaction: committed when fn gives nil, rolled back
// otherwise. fn runs again when the database refused the transaction as a
// deadlock, a serialization failure or a busy file, so it must have no effect
// beside the transaction.
//
// An error of the commit itself leaves the outcome unknown (the connection may
// have died behind it): callers that move money retry under an idempotency key.
func (db *DB) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return retry(ctx, func() error {
		start := time.Now()
		err := db.inTxOnce(ctx, fn)
		db.times.observe(start, err)
		return err
	})
}

// Hold keeps transactions with one name apart: who comes second waits until the
// first has ended. SQLite needs nothing: its transactions run one after another.
func (d Dialect) Hold(ctx context.Context, tx *sql.Tx, name string) error {
	return d.lock(ctx, tx, "pg_advisory_xact_lock", name)
}

// Share is Hold beside others that share: it waits for who holds, and who holds for it.
func (d Dialect) Share(ctx context.Context, tx *sql.Tx, name string) error {
	return d.lock(ctx, tx, "pg_advisory_xact_lock_shared", name)
}

func (d Dialect) lock(ctx context.Context, tx *sql.Tx, function, name string) error {
	if d != Postgres {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `SELECT `+function+`(hashtextextended($1, 0))`, name); err != nil {
		return fmt.Errorf("database: waiting for another transaction: %w", err)
	}
	return nil
}

func retry(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || !retryable(err) || try == maxTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(rand.Int64N(int64(try) * int64(5*time.Millisecond)))):
		}
	}
}

func (db *DB) inTxOnce(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if db.writer != nil {
		// SQLite has one writer. Queueing here is fair and cheap; its own busy
		// handler would poll, and is left for other processes on the file.
		select {
		case db.writer <- struct{}{}:
			defer func() { <-db.writer }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After a commit this does nothing. After an error that error is the one to
	// tell, and after a panic in fn the lock must not stay behind.
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// PostgreSQL's SQLSTATE codes (its manual, appendix A).
const (
	pgUniqueViolation       = "23505"
	pgCheckViolation        = "23514"
	pgSerializationFailure  = "40001"
	pgDeadlockDetected      = "40P01"
	pgConnectionException   = "08" // a class
	pgInsufficientResources = "53" // a class: connections, memory, disk
)

// pgBusy: a lock or a statement took too long, the session idled, in a transaction or
// without one; the server stops, has crashed, or starts; it takes no writes, as a standby
// that is not promoted yet; or nobody knows whether a statement was carried out.
var pgBusy = []string{"55P03", "57014", "25P03", "57P05", "57P01", "57P02", "57P03", "25006", "40003"}

func retryable(err error) bool {
	switch pgCode(err) {
	case pgSerializationFailure, pgDeadlockDetected:
		return true
	}
	return sqliteCode(err)&0xff == sqlite3.SQLITE_BUSY
}

// IsUnique tells whether err is the violation of a primary key or UNIQUE constraint.
func IsUnique(err error) bool {
	code := sqliteCode(err)
	return pgCode(err) == pgUniqueViolation ||
		code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// IsCheck tells whether err is the violation of a CHECK constraint.
func IsCheck(err error) bool {
	return pgCode(err) == pgCheckViolation || sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_CHECK
}

// IsBusy tells whether err is of a database that could not do it now and may later: it
// does not answer, has ended the session, or would have let one wait for too long.
func IsBusy(err error) bool {
	code := pgCode(err)
	var connecting *pgconn.ConnectError
	var connection *net.OpError
	return slices.Contains(pgBusy, code) || strings.HasPrefix(code, pgConnectionException) ||
		strings.HasPrefix(code, pgInsufficientResources) || retryable(err) ||
		errors.As(err, &connecting) || errors.As(err, &connection) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF)
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
