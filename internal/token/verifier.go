package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// defaultCacheSize is how many verified tokens are remembered when nobody says.
const defaultCacheSize = 16 << 10

// Config is what a Verifier is made of.
type Config struct {
	Issuers []Issuer
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// CacheSize bounds the verified tokens that are remembered, 16384 when zero.
	// A remembered token takes a few times its own size, which is 8 KiB at most.
	CacheSize int
	// Revocations are asked about each token, remembered ones too. Nil: none is revoked.
	Revocations Revocations
}

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*issuer
	now     func() time.Time
	memory  *memory
	revoked Revocations
}

// NewVerifier checks the configuration and makes a Verifier of it.
func NewVerifier(c Config) (*Verifier, error) {
	if len(c.Issuers) == 0 {
		return nil, errors.New("no issuer: no token could be verified")
	}
	if c.CacheSize < 0 {
		return nil, errors.New("the cache size is negative")
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &Verifier{issuers: make(map[string]*issuer, len(c.Issuers)), now: c.Now, memory: newMemory(c.CacheSize), revoked: c.Revocations}
	for _, i := range c.Issuers {
		checked, err := newIssuer(i)
		if err != nil {
			return nil, err
		}
		if _, twice := v.issuers[i.URL]; twice {
			return nil, fmt.Errorf("issuer %s is there twice", i.URL)
		}
		v.issuers[i.URL] = checked
	}
	return v, nil
}

// Verify gives the token that raw is the compact form of, or an *Error. What it
// has verified before it knows again without cryptography, for as long as the
// token has not expired and the key is still the issuer's.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	now := v.now()
	t := v.memory.recall(raw, now)
	if t == nil {
		e, err := v.verify(ctx, raw, now)
		if err != nil {
			return nil, err
		}
		v.memory.remember(raw, e) // a revoked one too: to refuse it again costs nothing then
		t = e.token
	}
	if err := CheckRevoked(v.revoked, t, now); err != nil {
		return nil, err
	}
	return t, nil
}

// Recall answers as Verify does if the token is remembered, and gives nothing, not
// even an error, if it is not. It never does any cryptography.
func (v *Verifier) Recall(raw string) (*Token, error) {
	now := v.now()
	t := v.memory.recall(raw, now)
	if t == nil {
		return nil, nil
	}
	if err := CheckRevoked(v.revoked, t, now); err != nil {
		return nil, err
	}
	return t, nil
}

func (v *Verifier) verify(ctx context.Context, raw string, now time.Time) (*entry, error) {
	message, err := parse(raw)
	if err != nil {
		return nil, err
	}
	claims, err := jose.ParseObject(message.Payload)
	if err != nil {
		return nil, refuse(Malformed, err)
	}
	// The name is not verified yet. All it can do is to choose whose keys judge the token.
	name, _ := claims["iss"].(string)
	from, known := v.issuers[name]
	if !known {
		return nil, refuse(UnknownIssuer, nil)
	}
	key, err := from.signatures.Verify(ctx, message)
	if err != nil {
		return nil, err
	}
	t, err := decode(claims)
	if err != nil {
		return nil, err
	}
	if err := from.accept(t, now); err != nil {
		return nil, err
	}
	t.KeyID, t.Algorithm = key.ID, string(message.Header.Algorithm)
	return &entry{token: t, keys: from.Keys, key: key, end: t.ExpiresAt.Add(from.Leeway)}, nil
}

// parse applies what holds for the header of every access token.
func parse(raw string) (*jose.Message, error) {
	message, err := jose.ParseCompact(raw)
	if err != nil {
		return nil, refuse(Malformed, err)
	}
	h := message.Header
	// An ID token, a client assertion and a DPoP proof differ in nothing but this (RFC 9068 section 4).
	if h.Type != "at+jwt" && h.Type != "application/at+jwt" {
		return nil, refuse(WrongType, nil)
	}
	if h.Key != nil {
		return nil, refuse(Malformed, errors.New("header parameter jwk"))
	}
	if h.KeyID == "" {
		return nil, refuse(Malformed, errors.New("no kid"))
	}
	return message, nil
}
