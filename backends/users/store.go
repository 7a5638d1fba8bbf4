package users

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// store is the SQL of this service; the same on both databases.
type store struct{ db *database.DB }

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const selectUser = `SELECT id, username, name, email, coalesce(phone, ''), locale, version, password_hash FROM users `

// errNotFound is the answer for who is not there and for who is somebody else.
var errNotFound = problem.New(http.StatusNotFound, "not_found", "There is no such user that this token may see.")

func scanUser(row *sql.Row) (User, error) {
	var u User
	err := row.Scan(&u.ID, &u.Username, &u.Name, &u.Email, &u.Phone, &u.Locale, &u.Version, &u.passwordHash)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, errNotFound
	}
	return u, err
}

// byID gives errNotFound where there is no such user. An id that is not one of
// ours never reaches the database.
func byID(ctx context.Context, q querier, id string) (User, error) {
	if uuid.Validate(id) != nil {
		return User{}, errNotFound
	}
	return scanUser(q.QueryRowContext(ctx, selectUser+"WHERE id = $1", id))
}

// byUsername takes a normalised name.
func (s store) byUsername(ctx context.Context, username string) (User, error) {
	if checkUsername(username) != "" {
		return User{}, errNotFound
	}
	return scanUser(s.db.QueryRowContext(ctx, selectUser+"WHERE username = $1", username))
}

// create inserts the user with a new id, unless the username is taken; the id is
// then that of whoever has it. It writes one row either way, and waits for the disk:
// a registration must not be quicker for an address that is known. The update is of
// a value by itself.
func (s store) create(ctx context.Context, u User, now time.Time) (id string, created bool, err error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return "", false, err
	}
	err = s.db.QueryRowContext(ctx, `
		INSERT INTO users (id, username, name, email, phone, locale, password_hash, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
		ON CONFLICT (username) DO UPDATE SET username = excluded.username
		RETURNING id`,
		fresh.String(), u.Username, u.Name, u.Email, orNull(u.Phone), u.Locale, u.passwordHash, now.UnixMicro()).Scan(&id)
	return id, id == fresh.String(), err
}

// replace gives the user with this username new data and a clean slate of
// password attempts; the id stays.
func (s store) replace(ctx context.Context, u User, now time.Time) (id string, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
			UPDATE users SET name = $2, email = $3, password_hash = $4, version = version + 1, updated_at = $5
			WHERE username = $1 RETURNING id`,
			u.Username, u.Name, u.Email, u.passwordHash, now.UnixMicro()).Scan(&id)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM password_attempts WHERE subject = $1", id)
		return err
	})
	return id, err
}

// change runs edit on the user and stores what it leaves, in one transaction. It
// gives the user as stored.
func (s store) change(ctx context.Context, id string, now time.Time, edit func(*User) error) (User, error) {
	var changed User
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		before, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		changed = before
		if err := edit(&changed); err != nil {
			return err
		}
		// The version is the guard: PostgreSQL lets another transaction change the
		// row between the read and this.
		err = tx.QueryRowContext(ctx, `
			UPDATE users SET name = $3, email = $4, phone = $5, locale = $6, version = version + 1, updated_at = $7
			WHERE id = $1 AND version = $2 RETURNING version`,
			id, before.Version, changed.Name, changed.Email, orNull(changed.Phone), changed.Locale, now.UnixMicro(),
		).Scan(&changed.Version)
		if errors.Is(err, sql.ErrNoRows) {
			return rest.Stale()
		}
		return err
	})
	return changed, err
}

// setPasswordHash replaces a hash that the caller has just verified.
func (s store) setPasswordHash(ctx context.Context, id, from, to string) error {
	_, err := s.db.ExecContext(ctx, "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", id, from, to)
	return err
}

func orNull(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
