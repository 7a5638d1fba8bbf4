package store

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// SigningKey is an ES256 key of the issuer.
type SigningKey struct {
	ID         string
	Private    *ecdsa.PrivateKey
	ActiveFrom time.Time // when it starts to sign; it is published from the moment it exists
}

// HasSigningKeys tells whether there is a key in the database, which only the
// master key that sealed it opens.
func HasSigningKeys(ctx context.Context, db *database.DB) (bool, error) {
	var n int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM signing_keys`).Scan(&n)
	return n > 0, unavailable(err)
}

// AddSigningKey keeps a key, sealed.
func (s *Store) AddSigningKey(ctx context.Context, k SigningKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	_, err = s.write(ctx, `INSERT INTO signing_keys (kid, sealed, active_from) VALUES ($1, $2, $3)`,
		k.ID, s.vault.Seal(vault.SigningKey, k.ID, der), k.ActiveFrom.UnixMicro())
	return unavailable(err)
}

// SigningKeys gives all keys, the newest first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT kid, sealed, active_from FROM signing_keys ORDER BY active_from DESC, kid`)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err below
	var keys []SigningKey
	for rows.Next() {
		var k SigningKey
		var sealed []byte
		var activeFrom int64
		if err := rows.Scan(&k.ID, &sealed, &activeFrom); err != nil {
			return nil, unavailable(err)
		}
		k.ActiveFrom = time.UnixMicro(activeFrom)
		if k.Private, err = s.openSigningKey(k.ID, sealed); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, unavailable(rows.Err())
}

func (s *Store) openSigningKey(kid string, sealed []byte) (*ecdsa.PrivateKey, error) {
	der, err := s.vault.Open(vault.SigningKey, kid, sealed)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", kid, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("signing key %s is not an EC key", kid)
	}
	return key, nil
}

// DeleteSigningKey removes a key that has retired.
func (s *Store) DeleteSigningKey(ctx context.Context, kid string) error {
	_, err := s.write(ctx, `DELETE FROM signing_keys WHERE kid = $1`, kid)
	return unavailable(err)
}
