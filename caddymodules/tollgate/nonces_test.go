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

// TestRenewedNonceIsExposed: a script of another origin has to see the nonce that it is
// to use from now on, beside what the operator and the service let it see.
func TestRenewedNonceIsExposed(t *testing.T) {
	t.Parallel()
	const field = "Access-Control-Expose-Headers"
	for name, test := range map[string]struct {
		renewed bool
		service func(http.Header)
		want    []string
	}{
		"a service that adds":     {true, func(h http.Header) { h.Add(field, "X-Service") }, []string{"X-Own", "DPoP-Nonce", "X-Service"}},
		"a service that replaces": {true, func(h http.Header) { h.Set(field, "X-Service") }, []string{"X-Service", "DPoP-Nonce"}},
		"a service that is quiet": {true, func(http.Header) {}, []string{"X-Own", "DPoP-Nonce"}},
		"no new nonce":            {false, func(http.Header) {}, []string{"X-Own"}},
	} {
		recorder := httptest.NewRecorder()
		recorder.Header().Set(field, "X-Own")
		r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "/", http.NoBody), caddy.NewReplacer(), recorder, new(caddyhttp.Server))
		if test.renewed {
			renewNonce(r, "ours")
		}
		w := HandOutNonce(recorder, r)
		test.service(w.Header())
		w.WriteHeader(http.StatusOK)
		if got := recorder.Header().Values(field); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
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
