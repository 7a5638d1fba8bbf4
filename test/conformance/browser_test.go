package conformance

import (
	"net/http"
	"testing"
)

// browserConfig is the one of docs/operators.md, with the test's own addresses.
const browserConfig = localEdge + `	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	header {
		Access-Control-Allow-Origin https://app.test
		Access-Control-Expose-Headers "WWW-Authenticate, DPoP-Nonce, Retry-After, RateLimit, X-Request-Id"
		Vary Origin
	}
	@preflight {
		method OPTIONS
		header Access-Control-Request-Method *
	}
	route {
		api preflight @preflight {
			public
			methods OPTIONS
			header Access-Control-Allow-Methods "GET, POST"
			header Access-Control-Allow-Headers "Authorization, DPoP, Content-Type, Idempotency-Key"
			respond 204
		}
		api transfers /transfers* {
			access_token
			reverse_proxy {$TOLLGATE_PAYMENTS}
		}
	}
}
`

// TestBrowsersCanReadWhy: a page sees the challenge of a refusal, and preflight requests,
// which bear no token, are answered.
func TestBrowsersCanReadWhy(t *testing.T) {
	t.Parallel()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", browserConfig))
	got := p.do(t, http.MethodOptions, "/transfers", withHeader("Origin", "https://app.test"), withHeader("Access-Control-Request-Method", "POST"))
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Headers") == "" {
		t.Errorf("preflight: %d %v", got.status, got.header)
	}
	for _, test := range []struct {
		method string
		status int
		option option
	}{
		{http.MethodGet, http.StatusUnauthorized, withBearer("abc")},
		{http.MethodOptions, http.StatusUnauthorized, withHeader("Origin", "https://app.test")},
		{http.MethodGet, http.StatusOK, withBearer(p.issuer.Token())},
	} {
		got := p.do(t, test.method, "/transfers", test.option)
		if got.status != test.status || got.header.Get("Access-Control-Expose-Headers") == "" || got.header.Get("Access-Control-Allow-Origin") != "https://app.test" {
			t.Errorf("%s: %d %v", test.method, got.status, got.header)
		}
	}
}
