package auth

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
)

// newGate checks the tokens of other services of the platform: bearer tokens that
// this server has issued for the internal audience.
func (s *Server) newGate() (*access.Checker, error) {
	tokens, err := token.NewVerifier(token.Config{Now: s.now, Revocations: ended{s.store}, Issuers: []token.Issuer{{
		URL: s.issuer, Audiences: []string{internalAudience}, Algorithms: []string{string(goidc.ES256)}, Keys: s.keys,
	}}})
	if err != nil {
		return nil, err
	}
	return &access.Checker{Tokens: tokens}, nil
}

// ended are the grants that are over. Unlike the edge, whoever is asked here has them in
// the database, and goes there anyway.
type ended struct{ store *store.Store }

// Revoked implements token.Revocations.
func (e ended) Revoked(t *token.Token, _ time.Time) (bool, error) {
	if t.GrantID == "" {
		return false, nil // this server's own, which live for a minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), gateTimeout)
	defer cancel()
	grant, err := e.store.Grant(ctx, t.GrantID)
	if errors.Is(err, goidc.ErrNotFound) {
		return true, nil
	}
	return err == nil && grant.RevokedAt != 0, err
}

// gateTimeout bounds the look at the database for one call.
const gateTimeout = 2 * time.Second

// internal lets services in that have the scope.
func (s *Server) internal(scope string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		t, refusal := s.gate.Check(r)
		if refusal == nil && !t.HasScope(scope) {
			refusal = access.InsufficientScope(t, []string{scope})
		}
		if refusal != nil {
			refusal.Write(w)
			return
		}
		next(w, r)
	}
}

// Key implements token.KeySource with the keys that this server signs with.
func (k *keyring) Key(ctx context.Context, id string) (*jose.Key, error) {
	set, err := k.jwks(ctx)
	if err != nil {
		return nil, token.ErrKeysUnavailable
	}
	for _, own := range set.Keys {
		if own.KeyID == id {
			return publicKey(own)
		}
	}
	return nil, token.ErrUnknownKey
}

func publicKey(own goidc.JSONWebKey) (*jose.Key, error) {
	text, err := json.Marshal(own.Public())
	if err != nil {
		return nil, err
	}
	members, err := jose.ParseObject(text)
	if err != nil {
		return nil, err
	}
	return jose.ParseKey(members)
}

// Holds implements token.KeySource.
func (k *keyring) Holds(key *jose.Key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, own := range k.keys {
		if public, ok := key.Public.(*ecdsa.PublicKey); ok && own.ID == key.ID && own.Private.PublicKey.Equal(public) {
			return true
		}
	}
	return false
}
