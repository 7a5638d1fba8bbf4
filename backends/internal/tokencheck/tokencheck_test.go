package tokencheck_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const origin = "https://localhost:8443"

func newCheck(t *testing.T, audience string) (*tokencheck.Check, *tokentest.Issuer) {
	t.Helper()
	issuer := tokentest.NewIssuer(t, origin)
	keys := httptest.NewServer(issuer.Handler())
	t.Cleanup(keys.Close)
	check, err := tokencheck.New(tokencheck.Config{Issuer: origin, JWKSURL: keys.URL, Audience: audience, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	check.Start(t.Context())
	return check, issuer
}

func TestRequire(t *testing.T) {
	t.Parallel()
	check, issuer := newCheck(t, origin+"/api")
	key := tokentest.NewKey(t, "ES256", "app")
	bound := issuer.Token(tokentest.Claim("scope", "payments:read"), tokentest.BoundTo(key))
	for name, c := range map[string]struct {
		authorization, proof string
		status               int
		challenge            string
	}{
		"good":              {"Bearer " + issuer.Token(tokentest.Claim("scope", "payments:read x")), "", 204, ""},
		"none":              {"", "", 401, "Bearer"},
		"scope missing":     {"Bearer " + issuer.Token(tokentest.Claim("scope", "payments")), "", 403, `scope="payments:read"`},
		"another audience":  {"Bearer " + issuer.Token(tokentest.Claim("aud", tokencheck.InternalAudience)), "", 401, "invalid_token"},
		"expired":           {"Bearer " + issuer.Token(tokentest.Claim("exp", time.Now().Add(-time.Hour).Unix())), "", 401, "invalid_token"},
		"bound":             {"DPoP " + bound, key.Proof(time.Now(), "GET", origin+"/api/payments", bound), 204, ""},
		"bound as bearer":   {"Bearer " + bound, "", 401, "invalid_token"},
		"another URL's":     {"DPoP " + bound, key.Proof(time.Now(), "GET", origin+"/api/users", bound), 401, "invalid_dpop_proof"},
		"the edge's header": {"", "", 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := check.Require("payments:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tokencheck.From(r.Context()).Subject == "" {
					t.Error("no token in the context")
				}
				w.WriteHeader(http.StatusNoContent)
			}))
			r := httptest.NewRequest(http.MethodGet, "/api/payments", nil)
			r.Header.Set("X-User-Id", "admin") // an identity that nobody proved
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if c.proof != "" {
				r.Header.Set("DPoP", c.proof)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			challenge := strings.Join(w.Header().Values("WWW-Authenticate"), ", ")
			if w.Code != c.status || !strings.Contains(challenge, c.challenge) {
				t.Errorf("got %d %s, want %d with %q in the challenge\n%s", w.Code, challenge, c.status, c.challenge, w.Body)
			}
		})
	}
}

func TestInternalTokensStayInside(t *testing.T) {
	t.Parallel()
	internal, issuer := newCheck(t, tokencheck.InternalAudience)
	handler := internal.Require("internal:users")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for status, token := range map[int]string{
		204: issuer.Token(tokentest.Claim("aud", tokencheck.InternalAudience), tokentest.Claim("scope", "internal:users")),
		// A client that got itself the scope still lacks the audience.
		401: issuer.Token(tokentest.Claim("scope", "internal:users")),
	} {
		r := httptest.NewRequest(http.MethodGet, "/internal/users/1", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("got %d, want %d", w.Code, status)
		}
	}
}
