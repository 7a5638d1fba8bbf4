package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
)

// SaveGrant does one of four things, each a compare-and-swap. Which one shows in
// the grant: the loaders fill in AuthCode only where a code was presented.
func (s *Store) SaveGrant(ctx context.Context, g *goidc.Grant) error {
	switch {
	case g.RevokedAt != 0:
		return s.revoke(ctx, g)
	case g.AuthCodeConsumedAt == 0:
		return s.insert(ctx, g)
	case g.AuthCode != "":
		return s.redeem(ctx, g)
	default:
		return s.refresh(ctx, g)
	}
}

func (s *Store) insert(ctx context.Context, g *goidc.Grant) error {
	// What follows the library's own fields is kept in columns: the values that
	// are bearer values are hashed or sealed, and the others are compared in SQL.
	row := *g
	row.AuthCode, row.RefreshToken = "", ""
	row.Store = maps.Clone(g.Store)
	delete(row.Store, NoteLogin)
	data, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	now := s.now()
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		if g.AuthCode != "" { // a user's; a client's own has no code
			if err := s.signedIn(ctx, tx, g); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO grants (id, client_id, subject, code_hash, code_expires_at,
				refresh_hash, refresh_sealed, refresh_expires_at, jkt, created_at, used_at, expires_at, data)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12)`,
			g.ID, g.ClientID, g.Subject, s.hashOf(vault.AuthCode, g.AuthCode), micros(g.AuthCodeExpiresAt),
			s.hashOf(vault.RefreshToken, g.RefreshToken), s.sealRefreshToken(g), micros(g.RefreshTokenExpiresAt),
			g.JWKThumbprint, now.UnixMicro(), s.endOf(g, now).UnixMicro(), string(data))
		return err
	})
	if _, own := refusal.Own(err); own {
		return err
	}
	return unavailable(err)
}

// endOf is when nothing that was issued under the grant can be valid any more.
func (s *Store) endOf(g *goidc.Grant, now time.Time) time.Time {
	last := now
	for _, end := range []int{g.AuthCodeExpiresAt, g.RefreshTokenExpiresAt} {
		if t := time.Unix(int64(end), 0); end != 0 && t.After(last) {
			last = t
		}
	}
	return last.Add(s.life.AccessToken + keptAfterwards)
}

// redeem uses the code up. Of racing redemptions exactly one changes the row;
// the library then revokes the grant on behalf of each loser (RFC 6749 section 4.1.2).
func (s *Store) redeem(ctx context.Context, g *goidc.Grant) error {
	now := s.now().UnixMicro()
	changed, err := s.write(ctx, `UPDATE grants
		SET code_consumed_at = $1, used_at = $1, jkt = $2, refresh_sealed = NULL
		WHERE id = $3 AND code_consumed_at = 0 AND revoked_at = 0`, now, g.JWKThumbprint, g.ID)
	if err != nil {
		return unavailable(err)
	}
	if changed == 0 {
		return refusal.New(goidc.ErrorCodeInvalidGrant, "The code has been used before; everything that was issued for it is revoked.")
	}
	return nil
}

// refresh notes that the grant was used. It changes nothing else, so a slow
// refresh cannot undo a revocation, and it cannot bind the grant to another key:
// the library would let a confidential client do that.
func (s *Store) refresh(ctx context.Context, g *goidc.Grant) error {
	changed, err := s.write(ctx, `UPDATE grants SET used_at = $1 WHERE id = $2 AND revoked_at = 0 AND jkt = $3`,
		s.now().UnixMicro(), g.ID, g.JWKThumbprint)
	if err != nil {
		return unavailable(err)
	}
	if changed == 0 {
		return refusal.New(goidc.ErrorCodeInvalidGrant, "The refresh token is revoked, or bound to another DPoP key.")
	}
	return nil
}

// revoke revokes the grant.
func (s *Store) revoke(ctx context.Context, g *goidc.Grant) error {
	_, err := s.revokeWhere(ctx, `id = $2`, g.ID)
	return err
}

// RevokeConsumed is revoke for a grant whose code was consumed; another one stays.
func (s *Store) RevokeConsumed(ctx context.Context, g *goidc.Grant) error {
	_, err := s.revokeWhere(ctx, `id = $2 AND code_consumed_at <> 0`, g.ID)
	return err
}

// Grant gives a grant by its id.
func (s *Store) Grant(ctx context.Context, id string) (*goidc.Grant, error) {
	g, _, err := s.grant(ctx, "id = $1", id)
	return g, err
}

// GrantByAuthCode gives the grant of a code, with the refresh token that its
// redemption hands out. A used code still finds its grant: that is how a second
// use gets to revoke it.
func (s *Store) GrantByAuthCode(ctx context.Context, code string) (*goidc.Grant, error) {
	g, sealed, err := s.grant(ctx, "code_hash = $1", s.hashOf(vault.AuthCode, code))
	if err != nil {
		return nil, err
	}
	g.AuthCode = code
	if sealed == nil {
		return g, nil
	}
	token, err := s.vault.Open(vault.RefreshToken, g.ID, sealed)
	if err != nil {
		return nil, unavailable(err)
	}
	g.RefreshToken = string(token)
	return g, nil
}

// GrantByRefreshToken gives the grant of a refresh token whose code was
// redeemed: before that, nobody can have the token.
func (s *Store) GrantByRefreshToken(ctx context.Context, token string) (*goidc.Grant, error) {
	g, _, err := s.grant(ctx, "code_consumed_at <> 0 AND refresh_hash = $1", s.hashOf(vault.RefreshToken, token))
	if err != nil {
		return nil, err
	}
	if g.RefreshTokenExpiresAt <= seconds(s.now().UnixMicro()) {
		return nil, goidc.ErrNotFound
	}
	g.RefreshToken = token
	return g, nil
}

func (s *Store) grant(ctx context.Context, where string, key any) (g *goidc.Grant, sealed []byte, err error) {
	var data, jkt string
	var codeExpires, refreshExpires, consumed, revoked int64
	err = s.one(ctx, []any{&data, &jkt, &codeExpires, &refreshExpires, &consumed, &revoked, &sealed},
		`SELECT data, jkt, code_expires_at, refresh_expires_at, code_consumed_at, revoked_at, refresh_sealed
		FROM grants WHERE `+where, key)
	if err != nil {
		return nil, nil, err
	}
	g = &goidc.Grant{}
	if err := json.Unmarshal([]byte(data), g); err != nil {
		return nil, nil, unavailable(err)
	}
	g.JWKThumbprint = jkt
	g.AuthCodeExpiresAt, g.RefreshTokenExpiresAt = seconds(codeExpires), seconds(refreshExpires)
	g.AuthCodeConsumedAt, g.RevokedAt = seconds(consumed), seconds(revoked)
	return g, sealed, nil
}

// hashOf keeps an absent value NULL: an empty one would be a value that can be presented.
func (s *Store) hashOf(p vault.Purpose, value string) []byte {
	if value == "" {
		return nil
	}
	return s.vault.Hash(p, value)
}

func (s *Store) sealRefreshToken(g *goidc.Grant) []byte {
	if g.RefreshToken == "" {
		return nil
	}
	return s.vault.Seal(vault.RefreshToken, g.ID, []byte(g.RefreshToken))
}
