// Package mint makes up what callers bring to an edge in the cases of `tollgate policy
// test`: keys of issuers that nobody else has, tokens that they sign, proofs of
// possession, and client certificates.
package mint

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Algorithms are those that keys are made for. A key's id is its algorithm.
var Algorithms = []string{"ES256", "EdDSA", "PS256", "RS256"}

// Mint has the keys. It makes each when it is first needed, and is safe for concurrent use.
type Mint struct {
	mu           sync.Mutex
	keys         map[name]*key
	certificates map[string]*Certificate
}

// name is whose key it is, an issuer or a caller, and what it signs by.
type name struct{ owner, algorithm string }

type key struct {
	algorithm jwa.SignatureAlgorithm
	private   jwk.Key
	public    jwk.Key
	set       *jwks.Fixed
}

// New makes a mint.
func New() *Mint {
	return &Mint{keys: make(map[name]*key), certificates: make(map[string]*Certificate)}
}

func (m *Mint) key(owner, algorithm string) (*key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := name{owner, algorithm}
	if k := m.keys[n]; k != nil {
		return k, nil
	}
	k, err := newKey(algorithm)
	if err == nil {
		m.keys[n] = k
	}
	return k, err
}

func newKey(algorithm string) (*key, error) {
	raw, err := generate(algorithm)
	if err != nil {
		return nil, err
	}
	k := new(key)
	k.algorithm, _ = jwa.LookupSignatureAlgorithm(algorithm) // known, where a key was made
	if k.private, err = jwk.Import(raw); err != nil {
		return nil, err
	}
	if k.public, err = k.private.PublicKey(); err != nil {
		return nil, err
	}
	published, err := k.public.Clone()
	if err != nil {
		return nil, err
	}
	for member, value := range map[string]any{jwk.KeyIDKey: algorithm, jwk.AlgorithmKey: k.algorithm, jwk.KeyUsageKey: "sig"} {
		if err := published.Set(member, value); err != nil {
			return nil, err
		}
	}
	document, err := json.Marshal(map[string]any{"keys": []any{published}})
	if err != nil {
		return nil, err
	}
	k.set, err = jwks.Static(document)
	return k, err
}

func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case "PS256", "RS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("algorithm %q: want one of %v", algorithm, Algorithms)
	}
}

// Keys gives the published keys of an issuer, whatever it is called.
func (m *Mint) Keys(issuer string) token.KeySource { return source{m, issuer} }

type source struct {
	mint   *Mint
	issuer string
}

// Key implements token.KeySource.
func (s source) Key(ctx context.Context, id string) (*jose.Key, error) {
	if !slices.Contains(Algorithms, id) {
		return nil, token.ErrUnknownKey
	}
	k, err := s.mint.key(s.issuer, id)
	if err != nil {
		return nil, err
	}
	return k.set.Key(ctx, id)
}

// Holds implements token.KeySource.
func (s source) Holds(key *jose.Key) bool {
	k, err := s.mint.key(s.issuer, key.ID)
	return err == nil && k.set.Holds(key)
}

// Sign makes a token of these claims in an issuer's name. The signature is of the key of
// signer for the algorithm: of the issuer itself, or of somebody who is none.
func (m *Mint) Sign(signer, algorithm string, header, claims map[string]any) (string, error) {
	k, err := m.key(signer, algorithm)
	if err != nil {
		return "", err
	}
	members := map[string]any{"typ": "at+jwt", "kid": algorithm}
	for name, value := range header {
		members[name] = value
	}
	return k.sign(members, claims)
}

func (k *key) sign(header map[string]any, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	protected := jws.NewHeaders()
	for name, value := range header {
		if value == nil {
			continue
		}
		if err := protected.Set(name, value); err != nil {
			return "", fmt.Errorf("header %s: %w", name, err)
		}
	}
	signed, err := jws.Sign(payload, jws.WithKey(k.algorithm, k.private, jws.WithProtectedHeaders(protected)))
	if err != nil {
		return "", errors.New("the token cannot be signed with that header")
	}
	return string(signed), nil
}

func encode(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }
