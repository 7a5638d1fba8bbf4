package auth

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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

func decodePart(t testing.TB, token string, n int, into any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// rsaKey is slow to make, so all tests share it.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// weakProof is a DPoP proof by an RSA key of 1024 bits, made by hand: the library
// of the tests refuses such a key.
func weakProof(t testing.TB, url string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	header, _ := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "PS256",
		"jwk": map[string]string{"kty": "RSA", "e": "AQAB", "n": encode(key.N.Bytes())}}) // maps of strings
	claims, _ := json.Marshal(map[string]any{"htm": "POST", "htu": url, "iat": time.Now().Unix(), "jti": rand.Text()})
	input := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

// strangeKeys are keys of other kinds than ES256, by what a client would do with them.
func strangeKeys(t testing.TB) map[string]jwk.Key {
	t.Helper()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]jwk.Key{
		"PS256": importKey(t, private, jwa.PS256()),
		"EdDSA": importKey(t, edwards, jwa.EdDSA()),
		"RS256": importKey(t, private, jwa.RS256()),
		"ES384": importKey(t, p384, jwa.ES384()),
	}
}

// withKey registers a fapi2 client with the public part of a key.
func (w *world) withKey(t testing.TB, id string, key jwk.Key) *app {
	t.Helper()
	if err := key.Set(jwk.KeyIDKey, "key-of-"+id); err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := w.server.registry.AddClient(t.Context(), Registration{ID: id, Name: id, Kind: "fapi2", JWKS: raw,
		Scopes: []string{"payments:create"}, GrantTypes: []string{"client_credentials"}})
	if err != nil {
		t.Fatal(err)
	}
	return &app{w: w, Registered: reg, key: key, proof: newKey(t)}
}
