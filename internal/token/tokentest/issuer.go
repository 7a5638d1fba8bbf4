// Package tokentest makes issuers, tokens and proofs for tests: valid ones, and
// ones that are wrong in exactly the way that a test wants.
package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Issuer signs tokens. Its fields may be changed before it is used.
type Issuer struct {
	URL      string
	Audience string // of default tokens: URL + "/api"
	Now      func() time.Time

	t    testing.TB
	mu   sync.Mutex
	keys []*Key // the last one signs; all are published
}

// NewIssuer makes an issuer with an ES256 key.
func NewIssuer(t testing.TB, url string) *Issuer {
	t.Helper()
	i := &Issuer{URL: url, Audience: url + "/api", Now: time.Now, t: t}
	i.Rotate(NewKey(t, "ES256", "key-1"))
	return i
}

// Rotate publishes one more key, if it is not published already, and signs with it
// from now on.
func (i *Issuer) Rotate(k *Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(i.keys), func(other *Key) bool { return other == k })
	i.keys = append(others, k)
}

// Publish publishes one more key, that does not sign yet.
func (i *Issuer) Publish(k *Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.Insert(slices.Clone(i.keys), len(i.keys)-1, k)
}

// Withdraw publishes only the key that signs.
func (i *Issuer) Withdraw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// Key is the key that signs.
func (i *Issuer) Key() *Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// JWKS is the published key set.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	published := make([]map[string]any, len(i.keys))
	for n, k := range i.keys {
		published[n] = k.JWK()
	}
	return encode(i.t, map[string]any{"keys": published})
}

// Keys is the key set as of now, without a network.
func (i *Issuer) Keys() token.KeySource {
	i.t.Helper()
	set, err := jwks.Static(i.JWKS())
	if err != nil {
		i.t.Fatalf("key set: %v", err)
	}
	return set
}

// Issuer is the configuration that accepts this issuer's default tokens.
func (i *Issuer) Issuer() token.Issuer {
	i.t.Helper()
	return token.Issuer{URL: i.URL, Audiences: []string{i.Audience}, Keys: i.Keys()}
}

// Handler serves the key set at every path.
func (i *Issuer) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(i.JWKS())
	})
}

// Token makes a valid access token, altered by the options.
func (i *Issuer) Token(options ...Option) string {
	i.t.Helper()
	now := i.Now()
	return i.Sign(map[string]any{
		"iss":       i.URL,
		"aud":       []string{i.Audience},
		"sub":       "user-1",
		"client_id": "client-1",
		"jti":       rand.Text(),
		"iat":       now.Unix(),
		"exp":       now.Add(5 * time.Minute).Unix(),
		"scope":     "profile:read accounts:read",
	}, options...)
}

// Sign makes an access token of exactly these claims, altered by the options.
func (i *Issuer) Sign(claims map[string]any, options ...Option) string {
	i.t.Helper()
	key := i.Key()
	d := draft{
		key:    key,
		claims: maps.Clone(claims),
		header: map[string]any{"typ": "at+jwt", "alg": key.Algorithm, "kid": key.ID},
	}
	return d.finish(i.t, options)
}

// Key is a private key that signs by one algorithm.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer
	t         testing.TB
}

// NewKey makes a key for ES256, EdDSA, PS256 or RS256.
func NewKey(t testing.TB, algorithm, id string) *Key {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "PS256", "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no key for %q", algorithm)
	}
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	return &Key{ID: id, Algorithm: algorithm, Private: private, t: t}
}

// JWK is the public key as a JSON Web Key.
func (k *Key) JWK() map[string]any {
	jwk := k.public()
	jwk["kid"], jwk["alg"], jwk["use"] = k.ID, k.Algorithm, "sig"
	return jwk
}

// public gives the members that make the thumbprint.
func (k *Key) public() map[string]any {
	switch public := k.Private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			k.t.Fatalf("key: %v", err)
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": b64(public.N.Bytes()), "e": "AQAB"}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	}
	k.t.Fatalf("no JWK of %T", k.Private)
	return nil
}

// JKT is the key's thumbprint (RFC 7638): Go sorts the members as it wants them.
func (k *Key) JKT() string {
	sum := sha256.Sum256(encode(k.t, k.public()))
	return b64(sum[:])
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("json: %v", err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
