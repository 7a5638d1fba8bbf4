// Package assertion is how the edge tells a service who calls, where the service cannot
// check the caller's token itself: by a token of the edge's own, for that service alone
// and for a minute. It holds both halves: the Signer is the edge's, the Verifier the
// service's.
package assertion

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/outbound"
	"github.com/open-tollgate/tollgate/internal/token"
)

const (
	// lifetime is how long an assertion can be used, if the token lives as long.
	lifetime = time.Minute
	// margin is what is left of it when it is handed out for the last time: for a request
	// to arrive, and for clocks that disagree.
	margin = 15 * time.Second
)

// ErrExpired says that the token has ended, but for the leeway that its issuer is granted:
// an assertion would outlive it.
var ErrExpired = errors.New("assertion: the token has expired")

// Config is what a Signer is made of.
type Config struct {
	// Issuer is the edge's own name, which no authorization server has.
	Issuer string
	// Keys: the first one signs, all are published.
	Keys []*Key
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Signer makes assertions. It is safe for concurrent use.
type Signer struct {
	issuer string
	key    *Key
	keys   []byte
	now    func() time.Time

	mu        sync.Mutex
	audiences map[string]*Audience
}

// New checks the configuration and makes a Signer of it.
func New(c Config) (*Signer, error) {
	if err := outbound.CheckURL(c.Issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if len(c.Keys) == 0 {
		return nil, errors.New("no key")
	}
	published := make([]json.RawMessage, 0, len(c.Keys))
	for i, key := range c.Keys {
		if slices.ContainsFunc(c.Keys[:i], func(other *Key) bool { return other.id == key.id }) {
			return nil, errors.New("a key is there twice")
		}
		published = append(published, key.public)
	}
	set, err := json.Marshal(map[string]any{"keys": published})
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Signer{issuer: c.Issuer, key: c.Keys[0], keys: set, now: c.Now, audiences: make(map[string]*Audience)}, nil
}

// JWKS gives the public keys as a JWK Set (RFC 7517 section 5).
func (s *Signer) JWKS() []byte { return s.keys }

// Audience gives what signs for one service: the same each time, so that what was signed
// before is found again.
func (s *Signer) Audience(name string) *Audience {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.audiences[name]
	if a == nil {
		a = &Audience{signer: s, name: name}
		s.audiences[name] = a
	}
	return a
}

// Audience signs assertions for one service.
type Audience struct {
	signer *Signer
	name   string
}

// slot is where a token has its assertion for an audience.
type slot struct {
	mu      sync.Mutex // of who signs
	current atomic.Pointer[signed]
}

// signed is an assertion, and how long it is handed out.
type signed struct {
	text  string
	until time.Time
}

func newSlot() any { return new(slot) }

// For gives an assertion of the verified token, and whether it is a new one. raw is the
// token as it was sent. The same is given until it is about to end, and it is kept with
// the token: once that is refused, nobody can ask for it.
func (a *Audience) For(t *token.Token, raw string) (text string, fresh bool, err error) {
	s := t.Keep(a, newSlot).(*slot)
	if current := s.at(a.signer.now()); current != nil {
		return current.text, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := a.signer.now()
	if current := s.at(now); current != nil {
		return current.text, false, nil // somebody else was quicker
	}
	made, err := a.sign(t, raw, now)
	if err != nil {
		return "", false, err
	}
	s.current.Store(made)
	return made.text, true, nil
}

// at gives the assertion if it can still be handed out.
func (s *slot) at(now time.Time) *signed {
	if current := s.current.Load(); current != nil && now.Before(current.until) {
		return current
	}
	return nil
}

func (a *Audience) sign(t *token.Token, raw string, now time.Time) (*signed, error) {
	end := now.Add(lifetime)
	if t.ExpiresAt.Before(end) {
		end = t.ExpiresAt
	}
	if end = end.Truncate(time.Second); !now.Before(end) {
		return nil, ErrExpired
	}
	until := now.Add(lifetime - margin)
	if end.Before(until) {
		until = end // another one would end no later
	}
	claims, err := json.Marshal(a.claims(t, raw, now, end))
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	text, err := a.signer.key.sign(claims)
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	if len(text) > jose.MaxSize {
		return nil, fmt.Errorf("assertion: longer than the %d bytes that a verifier takes", jose.MaxSize)
	}
	return &signed{text, until}, nil
}

// claims are those of an access token (RFC 9068 section 2.2) that a service goes by.
// There is no "cnf": the edge has seen the proof, and the service cannot.
func (a *Audience) claims(t *token.Token, raw string, now, end time.Time) map[string]any {
	claims := map[string]any{
		"iss": a.signer.issuer, "aud": a.name, "iat": now.Unix(), "exp": end.Unix(),
		"sub": t.Subject, "client_id": t.ClientID, "jti": tokenID(t, raw),
		// RFC 9493 section 3.2.4: whose user that is. Another issuer may have one of the same name.
		subjectClaim: map[string]any{"format": issuerSubject, "iss": t.Issuer, "sub": t.Subject},
	}
	optional := map[string]string{"scope": strings.Join(t.Scopes, " "), "acr": t.ACR, "grant_id": t.GrantID}
	for name, value := range optional {
		if value != "" {
			claims[name] = value
		}
	}
	if !t.AuthTime.IsZero() {
		claims["auth_time"] = t.AuthTime.Unix()
	}
	if len(t.Details) > 0 {
		details := make([]json.RawMessage, 0, len(t.Details))
		for _, detail := range t.Details {
			details = append(details, detail.Raw)
		}
		claims["authorization_details"] = details
	}
	return claims
}

// tokenID gives the token's own id: what a service lets a token do once, it lets all of
// its assertions together do once. A token without one is known by its hash, which is kept:
// where another service was told first, raw is the assertion for that one.
func tokenID(t *token.Token, raw string) string {
	if t.ID != "" {
		return t.ID
	}
	return t.Keep(hashKey, func() any {
		sum := sha256.Sum256([]byte(raw))
		return encode(sum[:])
	}).(string)
}

// hashKey is where a token without an id has its hash.
var hashKey = new(byte)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
