package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
)

// revision is the key in a session's Store under which the row's revision
// travels from load to save. Whoever replaces the map keeps it: KeepRevision.
const revision = "rev"

// KeepRevision gives an empty Store for the session that can still be saved.
func KeepRevision(as *goidc.AuthnSession) map[string]any {
	fresh := make(map[string]any)
	if rev, ok := as.Store[revision]; ok {
		fresh[revision] = rev
	}
	return fresh
}

// SaveSession inserts a new session, or replaces the very row that was loaded.
// Of two answers to one request only the first is kept, and an answer is final:
// the library itself never looks at the status before it goes on.
func (s *Store) SaveSession(ctx context.Context, as *goidc.AuthnSession) error {
	data, err := sessionData(as)
	if err != nil {
		return err
	}
	text, loaded := as.Store[revision].(string)
	if !loaded {
		lifetime := time.Duration(as.ExpiresAt-as.CreatedAt) * time.Second
		_, err := s.write(ctx, `INSERT INTO authorization_sessions
			(id, request_hash, client_id, status, rev, created_at, expires_at, data) VALUES ($1, $2, $3, $4, 1, $5, $6, $7)`,
			as.ID, s.requestHash(as.PushedAuthReqID), as.ClientID, string(as.Status), s.now().UnixMicro(), s.now().Add(lifetime).UnixMicro(), data)
		return unavailable(err)
	}
	rev, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("authorization session: revision: %w", err)
	}
	// The library would put the end off each time that the request is opened: it
	// is counted from the push.
	changed, err := s.write(ctx, `UPDATE authorization_sessions
		SET status = $1, rev = rev + 1, data = $2, expires_at = created_at + $3
		WHERE id = $4 AND rev = $5 AND status = 'pending'`,
		string(as.Status), data, s.life.Session.Microseconds(), as.ID, rev)
	if err != nil {
		return unavailable(err)
	}
	if changed == 0 {
		return refusal.New(goidc.ErrorCodeInvalidRequest, "This request has already been answered, or was opened in another window.")
	}
	return nil
}

// sessionData is the session without what has a column of its own: the handle
// of the pushed request is a bearer value and stays a hash.
func sessionData(as *goidc.AuthnSession) (string, error) {
	row := *as
	row.PushedAuthReqID = ""
	row.Store = maps.Clone(as.Store)
	delete(row.Store, revision)
	data, err := json.Marshal(row)
	if err != nil {
		return "", fmt.Errorf("authorization session: %w", err)
	}
	return string(data), nil
}

// Session gives the session if it still waits for an answer.
func (s *Store) Session(ctx context.Context, id string) (*goidc.AuthnSession, error) {
	return s.session(ctx, "id = $1", id)
}

// SessionByPushedAuthReqID gives the session of a request_uri if it still waits for an answer.
func (s *Store) SessionByPushedAuthReqID(ctx context.Context, id string) (*goidc.AuthnSession, error) {
	return s.session(ctx, "request_hash = $1", s.requestHash(id))
}

func (s *Store) session(ctx context.Context, where string, key any) (*goidc.AuthnSession, error) {
	var data string
	var rev, expires int64
	err := s.one(ctx, []any{&data, &rev, &expires},
		`SELECT data, rev, expires_at FROM authorization_sessions WHERE status = 'pending' AND expires_at > $2 AND `+where,
		key, s.now().UnixMicro())
	if err != nil {
		return nil, err
	}
	as := &goidc.AuthnSession{}
	if err := json.Unmarshal([]byte(data), as); err != nil {
		return nil, unavailable(err)
	}
	if as.Store == nil {
		as.Store = make(map[string]any)
	}
	as.Store[revision] = strconv.FormatInt(rev, 10)
	as.ExpiresAt = seconds(expires)
	return as, nil
}

func (s *Store) requestHash(id string) []byte {
	if id == "" {
		return nil
	}
	return s.vault.Hash(vault.RequestURI, id)
}
