package tokencheck_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func TestGates(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, origin)
	keys := httptest.NewServer(issuer.Handler())
	t.Cleanup(keys.Close)
	gates, err := tokencheck.NewGates(tokencheck.Config{Issuer: origin, JWKSURL: keys.URL, Audience: origin + "/api", Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	if gates.Ready() == nil {
		t.Error("ready without keys")
	}
	gates.Start(t.Context())
	const url = origin + "/x"
	key := tokentest.NewKey(t, "ES256", "app")
	inside := tokentest.Claim("aud", tokencheck.InternalAudience)
	call := func(gate *tokencheck.Check, token string, bound bool) int {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if bound {
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", key.Proof(time.Now(), http.MethodGet, url, token))
		}
		w := httptest.NewRecorder()
		gate.Require()(http.NotFoundHandler()).ServeHTTP(w, r)
		return w.Code
	}
	for name, c := range map[string]struct {
		gate  *tokencheck.Check
		token string
		bound bool
		want  int // 404 is what is behind the gates
	}{
		"a client outside":       {gates.API, issuer.Token(), false, 404},
		"a client inside":        {gates.Internal, issuer.Token(), false, 401},
		"a service outside":      {gates.API, issuer.Token(inside), false, 401},
		"a service inside":       {gates.Internal, issuer.Token(inside), false, 404},
		"a bound token outside":  {gates.API, issuer.Token(tokentest.BoundTo(key)), true, 404},
		"no service has a bound": {gates.Internal, issuer.Token(inside, tokentest.BoundTo(key)), true, 401},
	} {
		if got := call(c.gate, c.token, c.bound); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if err := gates.Ready(); err != nil {
		t.Error(err)
	}
	if _, err := tokencheck.NewGates(tokencheck.Config{Issuer: "not a url", Audience: "x"}); err == nil {
		t.Error("an issuer that is no URL was taken")
	}
}
