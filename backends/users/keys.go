package users

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
)

// OpenKeys opens the master keys of the file, which is made when it is missing.
func OpenKeys(path string) (*vault.Ring, error) { return vault.LoadRing(path, "users") }

// indexName is the service's key for look-ups by name. It is sealed with the master
// key like those of the users: a change of master keys does not change the index.
const indexName = "username index"

// keys seal what is personal, each user's with a key of the user's own: to destroy
// that key is to erase the user, in every backup too.
type keys struct {
	master *vault.Ring
	index  []byte
}

// loadKeys gives the keys of the database, and makes what is missing.
func loadKeys(ctx context.Context, db *database.DB, master *vault.Ring) (*keys, error) {
	_, err := db.ExecContext(ctx, `INSERT INTO service_keys (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
		indexName, master.Seal(indexName, vault.NewKey()))
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	var sealed []byte
	if err := db.QueryRowContext(ctx, `SELECT key FROM service_keys WHERE name = $1`, indexName).Scan(&sealed); err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	index, err := master.Open(indexName, sealed)
	if err != nil {
		return nil, fmt.Errorf("users: is this the right key file? %w", err)
	}
	return &keys{master: master, index: index}, nil
}

// hashOf finds a normalised username again, for whoever has the key.
func (k *keys) hashOf(username string) []byte {
	mac := hmac.New(sha256.New, k.index)
	mac.Write([]byte(username))
	return mac.Sum(nil)
}

// newUserKey makes a key for a user, and gives it sealed too.
func (k *keys) newUserKey(id string) (*vault.Vault, []byte, error) {
	key := vault.NewKey()
	own, err := vault.FromKey(key)
	return own, k.master.Seal("user "+id, key), err
}

// userKey opens a user's key.
func (k *keys) userKey(id string, sealed []byte) (*vault.Vault, error) {
	key, err := k.master.Open("user "+id, sealed)
	if err != nil {
		return nil, err
	}
	return vault.FromKey(key)
}

// sealedUser is what the database holds of a user's data.
type sealedUser struct{ username, name, email, phone []byte }

func seal(own *vault.Vault, u User) sealedUser {
	field := func(name, value string) []byte {
		if value == "" {
			return nil
		}
		return own.Seal(u.ID+" "+name, []byte(value))
	}
	return sealedUser{
		username: field("username", u.Username), name: field("name", u.Name),
		email: field("email", u.Email), phone: field("phone", u.Phone),
	}
}

// open gives the user's data, opened with the user's key.
func (s sealedUser) open(own *vault.Vault, u *User) error {
	for _, field := range []struct {
		name   string
		sealed []byte
		value  *string
	}{
		{"username", s.username, &u.Username}, {"name", s.name, &u.Name}, {"email", s.email, &u.Email}, {"phone", s.phone, &u.Phone},
	} {
		if field.sealed == nil {
			continue
		}
		plain, err := own.Open(u.ID+" "+field.name, field.sealed)
		if err != nil {
			return err
		}
		*field.value = string(plain)
	}
	return nil
}

// sealPlain moves users over that were stored before there were keys. Several
// instances may do it at once: a row moves with the one that deletes it.
func (s store) sealPlain(ctx context.Context) error {
	for {
		moved := false
		err := s.db.InTx(ctx, func(tx *sql.Tx) error {
			var u User
			var created, updated int64
			err := tx.QueryRowContext(ctx, `
				DELETE FROM users_plain WHERE id = (SELECT id FROM users_plain ORDER BY id LIMIT 1)
				RETURNING id, username, name, email, COALESCE(phone, ''), locale, password_hash, version, created_at, updated_at`).
				Scan(&u.ID, &u.Username, &u.Name, &u.Email, &u.Phone, &u.Locale, &u.passwordHash, &u.Version, &created, &updated)
			if errors.Is(err, sql.ErrNoRows) {
				moved = false
				return nil
			}
			if err != nil {
				return err
			}
			moved = true
			own, key, err := s.keys.newUserKey(u.ID)
			if err != nil {
				return err
			}
			data := seal(own, u)
			_, err = tx.ExecContext(ctx, `
				INSERT INTO users (id, key, username_index, username, name, email, phone, locale, password_hash, version, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
				u.ID, key, s.keys.hashOf(u.Username), data.username, data.name, data.email, data.phone, u.Locale, u.passwordHash,
				u.Version, created, updated)
			return err
		})
		if err != nil {
			return fmt.Errorf("users: sealing what was stored in clear: %w", err)
		}
		if !moved {
			return nil
		}
	}
}

// rewrap seals all keys anew that an older master key has sealed, and tells how many.
func (s store) rewrap(ctx context.Context) (count int, err error) {
	for _, table := range []struct{ query, update, row string }{
		{`SELECT id, key FROM users WHERE key IS NOT NULL AND id > $1 ORDER BY id LIMIT 500`,
			`UPDATE users SET key = $1 WHERE id = $2 AND key = $3`, "user "},
		{`SELECT name, key FROM service_keys WHERE name > $1 ORDER BY name LIMIT 500`,
			`UPDATE service_keys SET key = $1 WHERE name = $2 AND key = $3`, ""},
	} {
		for after := ""; ; {
			batch, err := s.sealedKeys(ctx, table.query, after)
			if err != nil {
				return count, fmt.Errorf("users: %w", err)
			}
			if len(batch) == 0 {
				break
			}
			for _, k := range batch {
				after = k.id
				if s.keys.master.Newest(k.sealed) {
					continue
				}
				key, err := s.keys.master.Open(table.row+k.id, k.sealed)
				if err != nil {
					return count, fmt.Errorf("users: the key of %s: %w", k.id, err)
				}
				if _, err := s.db.ExecContext(ctx, table.update, s.keys.master.Seal(table.row+k.id, key), k.id, k.sealed); err != nil {
					return count, fmt.Errorf("users: %w", err)
				}
				count++
			}
		}
	}
	return count, nil
}

type sealedKey struct {
	id     string
	sealed []byte
}

func (s store) sealedKeys(ctx context.Context, query, after string) (batch []sealedKey, err error) {
	rows, err := s.db.QueryContext(ctx, query, after)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k sealedKey
		if err := rows.Scan(&k.id, &k.sealed); err != nil {
			return nil, err
		}
		batch = append(batch, k)
	}
	return batch, rows.Err()
}
