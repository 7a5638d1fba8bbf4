package auth

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
)

// What is issued here passes the check that the other services make, each token
// for its own audience and with its own proof.
func TestThePlatformTakesTheTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := httptest.NewServer(w.server) // plain http on loopback, as the services read the keys
	t.Cleanup(keys.Close)
	service := func(audience, scope string) http.Handler {
		check, err := tokencheck.New(tokencheck.Config{Issuer: w.issuer, JWKSURL: keys.URL + jwksPath, Audience: audience,
			Origin: w.issuer, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		check.Start(t.Context())
		return check.Require(scope)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tokencheck.From(r.Context()).ClientID == "" {
				t.Error("a token without a client")
			}
			w.WriteHeader(http.StatusNoContent)
		}))
	}
	api, internal := service(w.issuer+"/api", "accounts:read"), service(internalAudience, "internal:users")

	bearer := w.standard().tokens().text("access_token")
	fapi := w.fapi2()
	bound := fapi.tokens().text("access_token")
	proof := dpopProof(t, fapi.proof, http.MethodGet, w.issuer+"/api/accounts", set("ath", hashOf(bound)))
	own, err := w.server.internalToken(t.Context(), "internal:users")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		service              http.Handler
		authorization, proof string
		status               int
	}{
		"bearer token":                {api, "Bearer " + bearer, "", http.StatusNoContent},
		"bound token":                 {api, "DPoP " + bound, proof, http.StatusNoContent},
		"bound token as bearer":       {api, "Bearer " + bound, "", http.StatusUnauthorized},
		"our own token":               {internal, "Bearer " + own, "", http.StatusNoContent},
		"our own token at the API":    {api, "Bearer " + own, "", http.StatusUnauthorized},
		"a client's at the internals": {internal, "Bearer " + bearer, "", http.StatusUnauthorized},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/accounts", nil)
		r.Header.Set("Authorization", c.authorization)
		if c.proof != "" {
			r.Header.Set("DPoP", c.proof)
		}
		answer := httptest.NewRecorder()
		c.service.ServeHTTP(answer, r)
		if answer.Code != c.status {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}
