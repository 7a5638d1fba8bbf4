package tokencheck_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const edge = origin + "/assertions"

// TestAssertions has the edge speak for callers, to the service that it means and to others.
func TestAssertions(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, origin)
	keys := httptest.NewServer(issuer.Handler())
	t.Cleanup(keys.Close)
	signer, edgeKeys := newSigner(t)
	gates, err := tokencheck.NewGates(tokencheck.Config{
		Issuer: origin, JWKSURL: keys.URL, Audience: origin + "/api", Origin: origin,
		Assertions: tokencheck.Assertions{Issuer: edge, JWKSURL: edgeKeys, Audience: "payments"},
	})
	if err != nil {
		t.Fatal(err)
	}
	gates.Start(t.Context())
	plain, _ := newCheck(t, origin+"/api")
	about := func(issuer, audience string) string {
		caller := &token.Token{Issuer: issuer, Subject: "user-1", ClientID: "shop", ID: "t", Scopes: []string{"payments:read"}, ExpiresAt: time.Now().Add(time.Hour)}
		text, _, err := signer.Audience(audience).For(caller, "")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		gate   *tokencheck.Check
		token  string
		status int
	}{
		"an assertion":                 {gates.API, about(origin, "payments"), 204},
		"a token":                      {gates.API, issuer.Token(tokentest.Claim("scope", "payments:read")), 204},
		"for another service":          {gates.API, about(origin, "users"), 401},
		"for the API":                  {gates.API, about(origin, origin+"/api"), 401},
		"about another's user":         {gates.API, about("https://other.test", "payments"), 401},
		"where services call":          {gates.Internal, about(origin, tokencheck.InternalAudience), 401},
		"the same where services call": {gates.Internal, about(origin, "payments"), 401},
		"where nobody's word holds":    {plain, about(origin, origin+"/api"), 401},
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/payments", nil)
		r.Header.Set("Authorization", "Bearer "+c.token)
		w := httptest.NewRecorder()
		c.gate.Require("payments:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := tokencheck.From(r.Context()); got.Subject != "user-1" {
				t.Errorf("%s: %+v", name, got)
			}
			w.WriteHeader(http.StatusNoContent)
		})).ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: got %d, want %d\n%s", name, w.Code, c.status, w.Body)
		}
	}
}

// newSigner gives an edge's signer, and where its keys are.
func newSigner(t *testing.T) (*assertion.Signer, string) {
	t.Helper()
	key, err := assertion.Generate()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := assertion.New(assertion.Config{Issuer: edge, Keys: []*assertion.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(signer.JWKS()) }))
	t.Cleanup(server.Close)
	return signer, server.URL
}

func TestAssertionsNeedAll(t *testing.T) {
	t.Parallel()
	for name, assertions := range map[string]tokencheck.Assertions{
		"no keys":          {Issuer: edge, Audience: "payments"},
		"no audience":      {Issuer: edge, JWKSURL: "http://127.0.0.1:1/jwks"},
		"keys in clear":    {Issuer: edge, JWKSURL: "http://edge.test/jwks", Audience: "payments"},
		"internal":         {Issuer: edge, JWKSURL: "http://127.0.0.1:1/jwks", Audience: tokencheck.InternalAudience},
		"the issuer's own": {Issuer: origin, JWKSURL: "http://127.0.0.1:1/jwks", Audience: "payments"},
	} {
		if _, err := tokencheck.New(tokencheck.Config{Issuer: origin, JWKSURL: "http://127.0.0.1:1/k", Audience: "a", Assertions: assertions}); err == nil {
			t.Errorf("%s is fine", name)
		}
	}
}
