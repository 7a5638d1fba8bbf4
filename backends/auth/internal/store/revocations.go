package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// OnRevoke sets what is called after each commit of a revocation. It is set before
// the store is used, and must not wait.
func (s *Store) OnRevoke(notify func()) { s.revoked = notify }

// revokeWhere revokes grants for good: the first time stays. It outlives the request
// that asked for it, whose caller may hang up to keep a stolen code alive.
func (s *Store) revokeWhere(ctx context.Context, where string, args ...any) (changed int64, err error) {
	ctx = context.WithoutCancel(ctx)
	err = s.db.InTx(ctx, func(tx *sql.Tx) (err error) {
		changed, err = s.revokeIn(ctx, tx, where, args...)
		return err
	})
	return changed, s.afterRevoking(changed, err)
}

func (s *Store) revokeIn(ctx context.Context, tx *sql.Tx, where string, args ...any) (changed int64, err error) {
	result, err := tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $1, refresh_sealed = NULL WHERE revoked_at = 0 AND `+where,
		append([]any{s.now().UnixMicro()}, args...)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *Store) afterRevoking(changed int64, err error) error {
	if err == nil && changed > 0 && s.revoked != nil {
		s.revoked()
	}
	return unavailable(err)
}

// RevokedGrant is a grant whose tokens the edges are to refuse.
type RevokedGrant struct {
	ID string
	At time.Time
}

// Unpublished gives up to limit grants, the oldest first, that were revoked after
// since and that the edges have not been told of.
func (s *Store) Unpublished(ctx context.Context, since time.Time, limit int) ([]RevokedGrant, error) {
	return s.revokedGrants(ctx, `SELECT id, revoked_at FROM grants
		WHERE revoked_at <> 0 AND published_at = 0 AND revoked_at > $1 ORDER BY revoked_at LIMIT $2`, since.UnixMicro(), limit)
}

// Published gives, of the grants that were revoked after since, the one of which the
// edges were told first and the one of which they were told last; nothing when there is none.
func (s *Store) Published(ctx context.Context, since time.Time) (ends []RevokedGrant, err error) {
	for _, order := range []string{"published_at", "published_at DESC"} {
		end, err := s.revokedGrants(ctx, `SELECT id, revoked_at FROM grants
			WHERE published_at <> 0 AND revoked_at > $1 ORDER BY `+order+` LIMIT 1`, since.UnixMicro())
		if err != nil {
			return nil, err
		}
		ends = append(ends, end...)
	}
	return ends, nil
}

func (s *Store) revokedGrants(ctx context.Context, query string, args ...any) ([]RevokedGrant, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err below
	var list []RevokedGrant
	for rows.Next() {
		var g RevokedGrant
		var at int64
		if err := rows.Scan(&g.ID, &at); err != nil {
			return nil, unavailable(err)
		}
		g.At = time.UnixMicro(at)
		list = append(list, g)
	}
	return list, unavailable(rows.Err())
}

// NotePublished remembers that the edges have been told of the grant.
func (s *Store) NotePublished(ctx context.Context, id string) error {
	_, err := s.write(ctx, `UPDATE grants SET published_at = $1 WHERE id = $2 AND revoked_at <> 0`, s.now().UnixMicro(), id)
	return unavailable(err)
}

// ForgetPublished has the edges told once more of all that was revoked after since.
func (s *Store) ForgetPublished(ctx context.Context, since time.Time) (again int64, err error) {
	again, err = s.write(ctx, `UPDATE grants SET published_at = 0 WHERE published_at <> 0 AND revoked_at > $1`, since.UnixMicro())
	return again, unavailable(err)
}

// Backlog counts the revocations after since that wait to be published, and says
// when the oldest of them was made.
func (s *Store) Backlog(ctx context.Context, since time.Time) (waiting int64, oldest time.Time, err error) {
	var first int64
	err = s.one(ctx, []any{&waiting, &first}, `SELECT count(*), COALESCE(MIN(revoked_at), 0) FROM grants
		WHERE revoked_at <> 0 AND published_at = 0 AND revoked_at > $1`, since.UnixMicro())
	return waiting, time.UnixMicro(first), err
}

// UserGrant is what a user has consented to, as long as something can come of it.
type UserGrant struct {
	ID         string
	ClientID   string
	ClientName string // empty when the client is no longer registered
	Scopes     string
	Details    []goidc.AuthDetail
	GrantedAt  time.Time
	UsedAt     time.Time
	ExpiresAt  time.Time // of the last token that can come of it
}

// maxUserGrants bounds a list. What is alive is a handful: a consent without a refresh
// token is over in minutes.
const maxUserGrants = 500

// ofUser leaves out the grants that clients have for themselves: only a user's had a code.
const ofUser = `code_hash IS NOT NULL AND subject = `

// UserGrants gives what is alive of a user's grants, the newest first.
func (s *Store) UserGrants(ctx context.Context, subject string) ([]UserGrant, error) {
	now := s.now()
	rows, err := s.db.QueryContext(ctx, `
		SELECT g.id, COALESCE(c.name, ''), g.created_at, g.used_at, g.code_expires_at, g.code_consumed_at, g.refresh_expires_at, g.data
		FROM grants g LEFT JOIN clients c ON c.id = g.client_id
		WHERE g.`+ofUser+`$1 AND g.revoked_at = 0 AND (
			g.code_consumed_at = 0 AND g.code_expires_at > $2
			OR g.code_consumed_at <> 0 AND (g.refresh_expires_at > $2 OR g.used_at > $3))
		ORDER BY g.created_at DESC, g.id LIMIT $4`,
		subject, now.UnixMicro(), now.Add(-s.life.AccessToken).UnixMicro(), maxUserGrants)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err below
	var list []UserGrant
	for rows.Next() {
		g, err := s.scanUserGrant(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		list = append(list, g)
	}
	return list, unavailable(rows.Err())
}

// RevokeUserGrant revokes one grant of the user's. One that is revoked already is
// fine; one that is not the user's is goidc.ErrNotFound.
func (s *Store) RevokeUserGrant(ctx context.Context, subject, id string) error {
	var exists int
	if err := s.one(ctx, []any{&exists}, `SELECT count(*) FROM grants WHERE id = $1 AND `+ofUser+`$2`, id, subject); err != nil {
		return err
	}
	if exists == 0 {
		return goidc.ErrNotFound
	}
	_, err := s.revokeWhere(ctx, `id = $2`, id)
	return err
}

// RevokeGrant revokes the grant of this id, whoever has it. One that is revoked already
// is fine; one that is not there is goidc.ErrNotFound.
func (s *Store) RevokeGrant(ctx context.Context, id string) error {
	var exists int
	if err := s.one(ctx, []any{&exists}, `SELECT count(*) FROM grants WHERE id = $1`, id); err != nil {
		return err
	}
	if exists == 0 {
		return goidc.ErrNotFound
	}
	_, err := s.revokeWhere(ctx, `id = $2`, id)
	return err
}

// RevokeUserGrants revokes all that the user has granted to the client, or to
// everybody when client is empty, and says how many grants that were. With the latter
// the user is signed out everywhere: what a browser has open could grant something new else.
func (s *Store) RevokeUserGrants(ctx context.Context, subject, client string) (int64, error) {
	if client == "" {
		return s.endAccess(ctx, subject)
	}
	return s.revokeWhere(ctx, ofUser+`$2 AND client_id = $3`, subject, client)
}

// row is a row that can be scanned.
type row interface{ Scan(dest ...any) error }

func (s *Store) scanUserGrant(r row) (UserGrant, error) {
	var g UserGrant
	var data string
	var created, used, code, consumed, refresh int64
	if err := r.Scan(&g.ID, &g.ClientName, &created, &used, &code, &consumed, &refresh, &data); err != nil {
		return g, err
	}
	var kept goidc.Grant
	if err := json.Unmarshal([]byte(data), &kept); err != nil {
		return g, err
	}
	g.ClientID, g.Scopes, g.Details = kept.ClientID, kept.Scopes, kept.AuthDetails
	g.GrantedAt, g.UsedAt = time.UnixMicro(created), time.UnixMicro(used)
	last := used
	if consumed == 0 {
		last = code
	}
	g.ExpiresAt = time.UnixMicro(max(last, refresh)).Add(s.life.AccessToken)
	return g, nil
}
