package jwks_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// serve publishes what handler answers on loopback, and starts a set on it.
func serve(t *testing.T, config func(url string) jwks.Config, handler http.Handler) *jwks.Set {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	set, err := jwks.New(config(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	set.Start(t.Context())
	t.Cleanup(set.Close)
	return set
}

func document(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	d, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Of a set with keys of all kinds, those that can be used are.
func TestUnusableKeysAreLeftOut(t *testing.T) {
	t.Parallel()
	good := tokentest.NewKey(t, "ES256", "good").JWK()
	named := func(id string, changes map[string]any) map[string]any {
		key := maps.Clone(good)
		key["kid"] = id
		maps.Copy(key, changes)
		return key
	}
	nameless := maps.Clone(good)
	delete(nameless, "kid")
	published := document(t,
		named("unknown kty", map[string]any{"kty": "LATTICE"}),
		named("oct", map[string]any{"kty": "oct", "k": "c2VjcmV0"}),
		named("private", map[string]any{"d": "AQ"}),
		named("encryption", map[string]any{"use": "enc"}),
		named("small", map[string]any{"kty": "RSA", "alg": "RS256", "n": strings.Repeat("x", 171), "e": "AQAB"}),
		named("other curve", map[string]any{"crv": "P-384", "alg": "ES384"}),
		named("twice", nil), named("twice", nil), named("twice", nil),
		nameless, nil, good,
	)
	set := serve(t, func(url string) jwks.Config { return jwks.Config{JWKSURL: url} },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(published) }))
	if _, err := set.Key(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	if info := set.Info(); info.Keys != 1 {
		t.Errorf("%d keys are used", info.Keys)
	}
	for _, id := range []string{"unknown kty", "oct", "private", "encryption", "small", "other curve", "twice", ""} {
		if _, err := set.Key(t.Context(), id); !errors.Is(err, token.ErrUnknownKey) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// An issuer that publishes no key at all has withdrawn them: that is not an error.
func TestEmptySet(t *testing.T) {
	t.Parallel()
	set := serve(t, func(url string) jwks.Config { return jwks.Config{JWKSURL: url} },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	if _, err := set.Key(t.Context(), "any"); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("key: %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	mux := http.NewServeMux()
	mux.Handle("/jwks", http.RedirectHandler("/elsewhere", http.StatusFound))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("followed a redirect") })
	set := serve(t, func(url string) jwks.Config { return jwks.Config{JWKSURL: url + "/jwks"} }, mux)
	if _, err := set.Key(t.Context(), issuer.Key().ID); !errors.Is(err, token.ErrKeysUnavailable) {
		t.Errorf("key: %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	const rfc8414, openID = "/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/openid-configuration"
	tests := map[string]struct {
		place    string
		issuer   string // appended to the server's URL
		jwksURI  string // whole, or appended when it begins with a slash
		expected error
	}{
		"RFC 8414":                {place: rfc8414, issuer: "/tenant", jwksURI: "/jwks"},
		"OpenID":                  {place: openID, issuer: "/tenant", jwksURI: "/jwks"},
		"nowhere":                 {place: "/{$}", expected: token.ErrKeysUnavailable},
		"of another issuer":       {place: rfc8414, issuer: "/other", jwksURI: "/jwks", expected: token.ErrKeysUnavailable},
		"with a trailing slash":   {place: rfc8414, issuer: "/tenant/", jwksURI: "/jwks", expected: token.ErrKeysUnavailable},
		"keys in the clear":       {place: rfc8414, issuer: "/tenant", jwksURI: "http://keys.example.com/jwks", expected: token.ErrKeysUnavailable},
		"keys in a file":          {place: rfc8414, issuer: "/tenant", jwksURI: "file:///etc/jwks", expected: token.ErrKeysUnavailable},
		"keys behind credentials": {place: rfc8414, issuer: "/tenant", jwksURI: "https://u:p@keys.example.com/", expected: token.ErrKeysUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := tokentest.NewIssuer(t, issuerURL)
			mux := http.NewServeMux()
			mux.Handle("/jwks", issuer.Handler())
			mux.HandleFunc(test.place, func(w http.ResponseWriter, r *http.Request) {
				uri := test.jwksURI
				if strings.HasPrefix(uri, "/") {
					uri = "http://" + r.Host + uri
				}
				metadata := map[string]any{"issuer": "http://" + r.Host + test.issuer, "jwks_uri": uri}
				_ = json.NewEncoder(w).Encode(metadata)
			})
			set := serve(t, func(url string) jwks.Config { return jwks.Config{Issuer: url + "/tenant"} }, mux)
			if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, test.expected) {
				t.Errorf("key: %v", err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"http://auth.example.com/jwks", "http://127.0.0.1.example.com/", "http://localhost.example.com/", "ftp://127.0.0.1/",
		"/jwks", "https://", "https://user:secret@auth.example.com/", "https://auth.example.com/#a", "https://auth.example.com/%zz",
	} {
		_, err := jwks.New(jwks.Config{JWKSURL: url})
		if err == nil {
			t.Errorf("%s: accepted", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: quoted in %v", url, err)
		}
	}
	for _, url := range []string{"https://auth.example.com/jwks", "http://127.0.0.1:8081/", "http://[::1]/", "http://localhost/jwks"} {
		if _, err := jwks.New(jwks.Config{JWKSURL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := jwks.New(jwks.Config{}); err == nil {
		t.Error("accepted nothing at all")
	}
	if _, err := jwks.New(jwks.Config{Issuer: "http://auth.example.com"}); err == nil {
		t.Error("accepted discovery in the clear")
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	good := tokentest.NewKey(t, "EdDSA", "good").JWK()
	set, err := jwks.Static(document(t, good))
	if err != nil {
		t.Fatal(err)
	}
	key, err := set.Key(t.Context(), "good")
	if err != nil || !set.Holds(key) {
		t.Errorf("key: %v", err)
	}
	if _, err := set.Key(t.Context(), "other"); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("other key: %v", err)
	}
	for _, bad := range [][]byte{nil, []byte(`{"keys":[]}`), document(t, good, good), document(t, good, map[string]any{"kty": "oct"})} {
		if _, err := jwks.Static(bad); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

// FuzzStatic: whatever a document says, its keys are public, named and of a known algorithm.
func FuzzStatic(f *testing.F) {
	for _, algorithm := range []string{"ES256", "EdDSA", "PS256"} {
		f.Add(document(f, tokentest.NewKey(f, algorithm, "k").JWK()))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA","kid":"k"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"k"}]}`))
	f.Fuzz(func(t *testing.T, d []byte) {
		set, err := jwks.Static(d)
		if err != nil {
			return
		}
		key, err := set.Key(t.Context(), "k")
		if err != nil {
			return
		}
		if key.ID != "k" || key.Public == nil || key.Thumbprint == "" {
			t.Fatalf("key %+v", key)
		}
		if key.Algorithm != "" && !slices.Contains([]string{"ES256", "EdDSA", "PS256", "RS256"}, string(key.Algorithm)) {
			t.Fatalf("algorithm %q", key.Algorithm)
		}
	})
}
