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
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// store is the SQL of this service; the same on both databases.
type store struct {
	db   *database.DB
	keys *keys
}

// openStore is a store with its keys, in which nothing personal is left in clear.
func openStore(ctx context.Context, db *database.DB, master *vault.Ring) (store, error) {
	k, err := loadKeys(ctx, db, master)
	if err != nil {
		return store{}, err
	}
	s := store{db: db, keys: k}
	return s, s.sealPlain(ctx)
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// selectUser finds users who are there: one whose account is being closed is not.
const selectUser = `SELECT id, key, username, name, email, phone, locale, version, created_at, updated_at, password_hash
	FROM users WHERE state = 'active' AND `

// errNotFound is the answer for who is not there and for who is somebody else.
var errNotFound = problem.New(http.StatusNotFound, "not_found", "There is no such user that this token may see.")

func (s store) scanUser(row *sql.Row) (User, error) {
	var u User
	var key []byte
	var data sealedUser
	var created, updated int64
	err := row.Scan(&u.ID, &key, &data.username, &data.name, &data.email, &data.phone, &u.Locale, &u.Version, &created, &updated, &u.passwordHash)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, errNotFound
	}
	if err != nil {
		return User{}, err
	}
	u.CreatedAt, u.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	if u.key, err = s.keys.userKey(u.ID, key); err != nil {
		return User{}, err
	}
	return u, data.open(u.key, &u)
}

// byID gives errNotFound where there is no such user. An id that is not one of
// ours never reaches the database.
func (s store) byID(ctx context.Context, q querier, id string) (User, error) {
	if uuid.Validate(id) != nil {
		return User{}, errNotFound
	}
	return s.scanUser(q.QueryRowContext(ctx, selectUser+"id = $1", id))
}

// byUsername takes a normalised name.
func (s store) byUsername(ctx context.Context, q querier, username string) (User, error) {
	if !canBeUsername(username) {
		return User{}, errNotFound
	}
	return s.scanUser(q.QueryRowContext(ctx, selectUser+"username_index = $1", s.keys.hashOf(username)))
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
	u.ID = fresh.String()
	own, key, err := s.keys.newUserKey(u.ID)
	if err != nil {
		return "", false, err
	}
	data := seal(own, u)
	err = s.db.QueryRowContext(ctx, `
		INSERT INTO users (id, key, username_index, username, name, email, phone, locale, password_hash, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
		ON CONFLICT (username_index) DO UPDATE SET username_index = excluded.username_index
		RETURNING id`,
		u.ID, key, s.keys.hashOf(u.Username), data.username, data.name, data.email, data.phone, u.Locale, u.passwordHash, now.UnixMicro()).
		Scan(&id)
	return id, id == u.ID, err
}

// replace gives the user with this username new data and a clean slate of
// password attempts; the id stays. Another password ends the access of all apps: the
// service that runs does it within seconds.
func (s store) replace(ctx context.Context, u User, password string, now time.Time) (id string, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		before, err := s.byUsername(ctx, tx, u.Username)
		if err != nil {
			return err
		}
		id, u.ID = before.ID, before.ID
		data := seal(before.key, u)
		_, err = tx.ExecContext(ctx, `
			UPDATE users SET name = $2, email = $3, password_hash = $4, version = version + 1, updated_at = $5 WHERE id = $1`,
			id, data.name, data.email, u.passwordHash, now.UnixMicro())
		if err != nil {
			return err
		}
		if err := clearAttempts(ctx, tx, id); err != nil {
			return err
		}
		same, _, err := verifyPassword(before.passwordHash, password)
		if err != nil || same {
			return err
		}
		return s.noteEnding(ctx, tx, id, now)
	})
	return id, err
}

// change runs edit on the user and stores what it leaves, in one transaction. It
// gives the user as stored.
func (s store) change(ctx context.Context, id string, now time.Time, edit func(*User) error) (User, error) {
	var changed User
	err := s.db.InTx(ctx, func(tx *sql.Tx) (err error) {
		changed, err = s.changeIn(ctx, tx, id, now, edit)
		return err
	})
	return changed, err
}

// changeIn is change, in the caller's transaction.
func (s store) changeIn(ctx context.Context, tx *sql.Tx, id string, now time.Time, edit func(*User) error) (User, error) {
	before, err := s.byID(ctx, tx, id)
	if err != nil {
		return User{}, err
	}
	changed := before
	if err := edit(&changed); err != nil {
		return User{}, err
	}
	data := seal(before.key, changed)
	// The version is the guard: PostgreSQL lets another transaction change the
	// row between the read and this.
	err = tx.QueryRowContext(ctx, `
		UPDATE users SET name = $3, email = $4, phone = $5, locale = $6, password_hash = $8, version = version + 1, updated_at = $7
		WHERE id = $1 AND version = $2 AND state = 'active' RETURNING version`,
		id, before.Version, data.name, data.email, data.phone, changed.Locale, now.UnixMicro(), changed.passwordHash,
	).Scan(&changed.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, rest.Stale()
	}
	return changed, err
}

// setPasswordHash replaces a hash that the caller has just verified.
func (s store) setPasswordHash(ctx context.Context, id, from, to string) error {
	_, err := s.db.ExecContext(ctx, "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", id, from, to)
	return err
}
