// Package store keeps the authorization server's state in SQL. What must happen
// once happens once because of a conditional UPDATE here: the library's own
// checks read first and write later, and 50 racing redemptions of one code would
// all pass them.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

//go:embed migrations
var migrations embed.FS

// ErrUnavailable marks a failure of the database itself, which must end as 503
// and never as a refusal of the caller, or as a pass.
var ErrUnavailable = errors.New("the store is not available")

// Lifetimes are the values that rows depend on.
type Lifetimes struct {
	RequestURI  time.Duration
	Session     time.Duration // from the pushed request to the user's answer, at most
	AccessToken time.Duration
	LoginIdle   time.Duration
	LoginMax    time.Duration
}

// keptAfterwards is how long a grant stays after all that was issued under it has expired.
const keptAfterwards = time.Hour

// Store is the state. It implements the library's managers of sessions, pushed
// requests, grants and refresh tokens.
type Store struct {
	db    *database.DB
	vault *vault.Vault
	life  Lifetimes
	now   func() time.Time

	revoked func() // see OnRevoke; nil tells nobody
}

// The library falls back to an in-memory store that evicts at 100 entries where
// a manager is missing: the compiler sees to it that none is.
var (
	_ goidc.GrantManager        = (*Store)(nil)
	_ goidc.AuthManager         = (*Store)(nil)
	_ goidc.PARManager          = (*Store)(nil)
	_ goidc.RefreshTokenManager = (*Store)(nil)
)

// New makes a store on a database that Migrate has brought up to date.
func New(db *database.DB, v *vault.Vault, life Lifetimes, now func() time.Time) *Store {
	return &Store{db: db, vault: v, life: life, now: now}
}

// Migrate brings the database's tables to the newest version.
func Migrate(ctx context.Context, db *database.DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return db.Migrate(ctx, sub)
}

// Ready tells whether the database answers.
func (s *Store) Ready(ctx context.Context) error { return unavailable(s.db.PingContext(ctx)) }

// write runs one statement and gives the number of rows that it changed.
func (s *Store) write(ctx context.Context, query string, args ...any) (changed int64, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// one reads a single row; no row is goidc.ErrNotFound.
// So is what PostgreSQL takes for no text and reports as its own failure: nothing
// that is stored has such a key.
func (s *Store) one(ctx context.Context, dest []any, query string, args ...any) error {
	for _, arg := range args {
		if text, ok := arg.(string); ok && (!utf8.ValidString(text) || strings.ContainsRune(text, 0)) {
			return goidc.ErrNotFound
		}
	}
	err := s.db.QueryRowContext(ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return goidc.ErrNotFound
	}
	return unavailable(err)
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Rows hold microseconds, the library counts seconds.

func micros(seconds int) int64 { return int64(seconds) * int64(time.Second/time.Microsecond) }

func seconds(micros int64) int { return int(time.UnixMicro(micros).Unix()) }
