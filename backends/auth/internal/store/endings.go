package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
)

// ErrEnded says that the user's access was ended while the sign-in was under way: the
// password that was checked may be the one that was replaced.
var ErrEnded = errors.New("the user's access was ended meanwhile")

// endingKept is how long it is known that a user's access was ended: longer than the
// password of a sign-in is looked at.
const endingKept = time.Hour

// NoteLogin is the key in a grant's Store under which the hash of the login comes that
// gave the consent, in base64url. It is not kept.
const NoteLogin = "login"

// accessOf names what ending a user's access, and what gives some, wait for each other by.
func accessOf(user string) string { return "access of " + user }

// LastEnding gives the number of the last ending that there was, of whomever. Who is about
// to look at a password asks for it before: see CreateLogin.
func (s *Store) LastEnding(ctx context.Context) (number int64, err error) {
	err = s.one(ctx, []any{&number}, `SELECT COALESCE(MAX(number), 0) FROM access_endings`)
	return number, err
}

// endedSince refuses, in the transaction of a login, what began before an ending.
func (s *Store) endedSince(ctx context.Context, tx *sql.Tx, user string, since int64) error {
	if err := s.db.Dialect.Hold(ctx, tx, accessOf(user)); err != nil {
		return err
	}
	var ended bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM access_endings WHERE user_id = $1 AND number > $2)`, user, since).Scan(&ended)
	if err == nil && ended {
		return ErrEnded
	}
	return err
}

// signedIn refuses, in the transaction of a grant, a consent whose login is over: an ending
// takes the logins, and the grants that are there by then.
func (s *Store) signedIn(ctx context.Context, tx *sql.Tx, g *goidc.Grant) error {
	if err := s.db.Dialect.Hold(ctx, tx, accessOf(g.Subject)); err != nil {
		return err
	}
	noted, _ := g.Store[NoteLogin].(string)
	hash, err := base64.RawURLEncoding.DecodeString(noted)
	if err != nil {
		return fmt.Errorf("grant: the login of the consent: %w", err)
	}
	var there bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM login_sessions WHERE hash = $1 AND user_id = $2)`, hash, g.Subject).Scan(&there)
	if err == nil && !there {
		return refusal.New(goidc.ErrorCodeAccessDenied, "The sign-in ended while the consent was given. Go back to the app and begin again.")
	}
	return err
}

// endAccess signs a user out everywhere and revokes all that the user has granted, for good
// and in one transaction. What a sign-in or a consent page has under way comes before, and
// ends with the rest, or after, and is refused.
func (s *Store) endAccess(ctx context.Context, user string) (revoked int64, err error) {
	ctx = context.WithoutCancel(ctx)
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		// One ending after the other, or a number would commit behind a higher one.
		for _, name := range []string{"access endings", accessOf(user)} {
			if err := s.db.Dialect.Hold(ctx, tx, name); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM access_endings WHERE user_id = $1`, user); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO access_endings (user_id, expires_at) VALUES ($1, $2)`,
			user, s.now().Add(endingKept).UnixMicro())
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM login_sessions WHERE user_id = $1`, user); err != nil {
			return err
		}
		revoked, err = s.revokeIn(ctx, tx, ofUser+`$2`, user)
		return err
	})
	return revoked, s.afterRevoking(revoked, err)
}
