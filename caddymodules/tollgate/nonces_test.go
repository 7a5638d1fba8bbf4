package tollgate

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestOneNonce has a service that sends fields of its own, as a proxy adds them.
func TestOneNonce(t *testing.T) {
	t.Parallel()
	for _, renewed := range []bool{true, false} {
		recorder := httptest.NewRecorder()
		r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "/", http.NoBody), caddy.NewReplacer(), recorder, new(caddyhttp.Server))
		if renewed {
			renewNonce(r, "ours")
		}
		w := HandOutNonce(recorder, r)
		w.Header().Add("DPoP-Nonce", "the service's")
		w.Header().Add("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusOK)
		nonce, cache := []string{"the service's"}, []string{"max-age=60"}
		if renewed {
			nonce, cache = []string{"ours"}, []string{"no-store"}
		}
		if h := recorder.Header(); !slices.Equal(h.Values("DPoP-Nonce"), nonce) || !slices.Equal(h.Values("Cache-Control"), cache) {
			t.Errorf("renewed %t: %v", renewed, h)
		}
	}
}

// TestReferences: what is no reference is a secret, perhaps.
func TestReferences(t *testing.T) {
	t.Setenv("TOLLGATE_TEST_SECRET", "a secret")
	if got, err := resolve("{env.TOLLGATE_TEST_SECRET}"); got != "a secret" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{
		"", "a secret", "{env.}", "{env.A}{env.B}", "x{env.A}", "{env.A}x", "{http.request.uri}", "{file.}", "{file.a}b}", "{env.A B}", "{env.TOLLGATE_NOT_SET}",
	} {
		if got, err := resolve(text); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
}
