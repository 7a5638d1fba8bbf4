package conformance

import (
	"net/http"
	"testing"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const failing = localEdge + `		failures {
			burst 5
			interval 1m
		}
	}
	servers {
		trusted_proxies static 127.0.0.2
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api pay {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestFailuresAreLimited forges tokens from one address until nobody looks into them
// any more. A token that is known goes on working there, and others are not concerned.
func TestFailuresAreLimited(t *testing.T) {
	t.Parallel()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", failing))
	forger := tokentest.NewIssuer(t, p.origin)
	known := p.issuer.Token()
	if got := p.do(t, http.MethodGet, "/", withBearer(known)); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	forge := func() answer { return p.do(t, http.MethodGet, "/", withBearer(forger.Token())) }
	p.expectNothingBehind(t, func() {
		for range 5 {
			if got := forge(); got.status != http.StatusUnauthorized {
				t.Fatalf("%d %s", got.status, got.body)
			}
		}
		p.reload() // forgets nothing
		got := forge()
		if got.status != http.StatusTooManyRequests || got.problem(t)["code"] != "too_many_failures" || got.header.Get("Retry-After") == "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	})
	if got := p.do(t, http.MethodGet, "/", withBearer(known)); got.status != http.StatusOK {
		t.Errorf("a known token: %d %s", got.status, got.body)
	}
	behind := func(address string) answer {
		return p.doAs(t, p.clientOf(t, proxy), "/", withBearer(p.issuer.Token()), withHeader("X-Forwarded-For", address))
	}
	if got := behind("192.0.2.7"); got.status != http.StatusOK {
		t.Errorf("another address: %d %s", got.status, got.body)
	}
	if got := behind("127.0.0.1"); got.status != http.StatusTooManyRequests {
		t.Errorf("the same address behind a trusted proxy: %d %s", got.status, got.body)
	}
	if noted := p.metric("tollgate_credential_failures_total"); noted != "5" {
		t.Errorf("%s failures noted", noted)
	}
	if p.metric("tollgate_failing_addresses") != "1" ||
		p.metric(`tollgate_token_decisions_total{api="pay",reason="too_many_failures",result="refused"}`) != "2" {
		t.Errorf("metrics:\n%s", p.metrics())
	}
}
