package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
)

// Login is a user who is signed in.
type Login struct {
	UserID   string
	Username string
	Name     string
	AuthTime time.Time // when the password was given
}

// seenEvery bounds how often reading a login writes to the database.
const seenEvery = time.Minute

// CreateLogin gives the value of a new login cookie. since is the LastEnding of before the
// password was looked at: it is ErrEnded if the user's access was ended after it.
func (s *Store) CreateLogin(ctx context.Context, l Login, since int64) (value string, err error) {
	value = vault.Random()
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.endedSince(ctx, tx, l.UserID, since); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO login_sessions (hash, user_id, username, name, auth_time, seen_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			s.vault.Hash(vault.LoginSession, value), l.UserID, l.Username, l.Name,
			l.AuthTime.UnixMicro(), s.now().UnixMicro(), l.AuthTime.Add(s.life.LoginMax).UnixMicro())
		return err
	})
	if errors.Is(err, ErrEnded) {
		return "", err
	}
	return value, unavailable(err)
}

// Login gives who is signed in with the cookie's value, and keeps the login
// from going idle. Nobody is goidc.ErrNotFound.
func (s *Store) Login(ctx context.Context, value string) (Login, error) {
	var l Login
	var authTime, seen int64
	now, hash := s.now(), s.vault.Hash(vault.LoginSession, value)
	err := s.one(ctx, []any{&l.UserID, &l.Username, &l.Name, &authTime, &seen},
		`SELECT user_id, username, name, auth_time, seen_at FROM login_sessions
		WHERE hash = $1 AND expires_at > $2 AND seen_at > $3`,
		hash, now.UnixMicro(), now.Add(-s.life.LoginIdle).UnixMicro())
	if err != nil {
		return Login{}, err
	}
	l.AuthTime = time.UnixMicro(authTime)
	if now.Sub(time.UnixMicro(seen)) < seenEvery {
		return l, nil
	}
	_, err = s.write(ctx, `UPDATE login_sessions SET seen_at = $1 WHERE hash = $2`, now.UnixMicro(), hash)
	return l, unavailable(err)
}

// DeleteLogin signs out.
func (s *Store) DeleteLogin(ctx context.Context, value string) error {
	_, err := s.write(ctx, `DELETE FROM login_sessions WHERE hash = $1`, s.vault.Hash(vault.LoginSession, value))
	return unavailable(err)
}
