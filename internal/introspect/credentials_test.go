package introspect_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/introspect"
	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func TestQuestion(t *testing.T) {
	t.Parallel()
	const id, password = "edge:1", "p%ss wörd+/"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		// RFC 6749 section 2.3.1: both are form-encoded first.
		if user != url.QueryEscape(id) || pass != url.QueryEscape(password) {
			t.Errorf("credentials %q, %q", user, pass)
		}
		if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%s %s, %s", r.Method, r.URL, r.Header.Get("Accept"))
		}
		if r.PostFormValue("token") != opaque+"+/=&x" || r.PostFormValue("token_type_hint") != "access_token" || len(r.PostForm) != 2 {
			t.Errorf("form %v", r.PostForm)
		}
		answering(encode(t, description(nil)))(w, r)
	})
	config := settings(t, s.url)
	var err error
	if config.Credentials, err = introspect.Secret(id, password); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, newClient(t, config), opaque+"+/=&x"); got != "" {
		t.Errorf("reason %q", got)
	}
}

// private is the key as a JSON Web Key with its secret part.
func private(t *testing.T, k *tokentest.Key) map[string]any {
	t.Helper()
	jwk := maps.Clone(k.JWK())
	switch p := k.Private.(type) {
	case *ecdsa.PrivateKey:
		d, err := p.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		jwk["d"] = base64.RawURLEncoding.EncodeToString(d)
	case ed25519.PrivateKey:
		jwk["d"] = base64.RawURLEncoding.EncodeToString(p.Seed())
	}
	return jwk
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key := tokentest.NewKey(t, algorithm, "edge-key")
			var assertions []string
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" || r.PostFormValue("client_id") != "edge" ||
					r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("%v, %v", r.Header, r.PostForm)
				}
				assertions = append(assertions, r.PostFormValue("client_assertion"))
				answering(encode(t, description(nil)))(w, r)
			})
			config := settings(t, s.url)
			var err error
			config.Credentials, err = introspect.PrivateKey("edge", issuerURL, []byte(encode(t, private(t, key))))
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, config)
			verify(t, c, "one")
			verify(t, c, "two")
			first, second := claimsOf(t, key, assertions[0]), claimsOf(t, key, assertions[1])
			if first["iss"] != "edge" || first["sub"] != "edge" || first["aud"] != issuerURL || first["jti"] == second["jti"] {
				t.Errorf("%v, %v", first, second)
			}
			if first["iat"] != json.Number("1800000000") || first["exp"] != json.Number("1800000060") {
				t.Errorf("from %v to %v", first["iat"], first["exp"])
			}
		})
	}
}

// claimsOf verifies an assertion by the public key.
func claimsOf(t *testing.T, k *tokentest.Key, assertion string) map[string]any {
	t.Helper()
	m, err := jose.ParseCompact(assertion)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.ParseKey(k.JWK())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(public, jose.Algorithm(k.Algorithm)); err != nil || m.Header.KeyID != k.ID {
		t.Fatalf("%v, kid %q", err, m.Header.KeyID)
	}
	claims, err := jose.ParseObject(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestCredentialsThatAreNone(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	key := tokentest.NewKey(t, "ES256", "edge-key")
	good := private(t, key)
	with := func(name string, value any) string {
		altered := maps.Clone(good)
		altered[name] = value
		return encode(t, altered)
	}
	for name, document := range map[string]string{
		"public":            encode(t, key.JWK()),
		"no algorithm":      with("alg", ""),
		"another algorithm": with("alg", "EdDSA"),
		"HS256":             `{"kty":"oct","k":"` + canary + `","alg":"HS256"}`,
		"not on the curve":  with("x", base64.RawURLEncoding.EncodeToString(big.NewInt(1).FillBytes(make([]byte, 32)))),
		"no JSON":           canary,
		"a set":             `{"keys":[` + encode(t, good) + `]}`,
	} {
		_, err := introspect.PrivateKey("edge", issuerURL, []byte(document))
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := introspect.PrivateKey("", issuerURL, []byte(encode(t, good))); err == nil {
		t.Error("no client id: accepted")
	}
	if _, err := introspect.PrivateKey("edge", "", []byte(encode(t, good))); err == nil {
		t.Error("no audience: accepted")
	}
	if _, err := introspect.Secret("edge", ""); err == nil {
		t.Error("no secret: accepted")
	}
}
