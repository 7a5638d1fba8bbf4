package auth

import (
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

// rsaKeys are slow to make, so all tests share them.
var rsaKeys = sync.OnceValue(func() map[int]*rsa.PrivateKey {
	keys := make(map[int]*rsa.PrivateKey)
	for _, bits := range []int{1024, 2048} {
		keys[bits], _ = rsa.GenerateKey(rand.Reader, bits) // checked where it is used
	}
	return keys
})

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
	return map[string]jwk.Key{
		"PS256": importKey(t, rsaKeys()[2048], jwa.PS256()),
		"EdDSA": importKey(t, edwards, jwa.EdDSA()),
		"RS256": importKey(t, rsaKeys()[2048], jwa.RS256()),
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
