package conformance

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const requiring = localEdge + `	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api pay {
		access_token
		@dpop path /dpop
		require @dpop {
			dpop
		}
		@step path /step
		require @step {
			acr gold platinum
			max_age 5m
		}
		@details path /details
		require @details {
			scope accounts:read
			authorization_details payment_initiation
		}
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestRequirements holds require to the answers of RFC 9449, RFC 9470 and RFC 9396.
func TestRequirements(t *testing.T) {
	t.Parallel()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", requiring))
	key := tokentest.NewKey(t, "ES256", "")
	bound := p.issuer.Token(tokentest.BoundTo(key), tokentest.Claim("acr", "silver"))
	asDPoP := func(path string) []option {
		proof := key.Proof(time.Now(), http.MethodGet, p.origin+path, bound)
		return []option{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof)}
	}
	bearer := func(options ...tokentest.Option) []option {
		return []option{withBearer(p.issuer.Token(options...))}
	}
	at := func(ago time.Duration) tokentest.Option {
		return tokentest.Claim("auth_time", time.Now().Add(-ago).Unix())
	}
	acr := func(value string) tokentest.Option { return tokentest.Claim("acr", value) }
	details := func(kind string) tokentest.Option {
		return tokentest.Claim("authorization_details", []any{map[string]any{"type": kind}})
	}
	stepUp := func(scheme, why string) string {
		return scheme + ` error="insufficient_user_authentication", error_description="` + why + `", acr_values="gold platinum", max_age="300"`
	}
	const (
		level  = "A different authentication level is required."
		recent = "More recent authentication is required."
	)
	scopes := tokentest.Claim("scope", "accounts:read")
	tests := []struct {
		name, path string
		options    []option
		status     int
		code       string
		challenge  string
	}{
		{"bound", "/dpop", asDPoP("/dpop"), 200, "", ""},
		{"not bound", "/dpop", bearer(), 401, "invalid_token", `DPoP error="invalid_token", error_description="An access token that is bound to a DPoP key is required.", algs="ES256 PS256 EdDSA"`},
		{"strong and recent", "/step", bearer(acr("platinum"), at(4*time.Minute)), 200, "", ""},
		{"weak", "/step", bearer(acr("silver"), at(0)), 401, "insufficient_user_authentication", stepUp("Bearer", level)},
		{"weak by DPoP", "/step", asDPoP("/step"), 401, "insufficient_user_authentication", stepUp("DPoP", level)},
		{"long ago", "/step", bearer(acr("gold"), at(6*time.Minute)), 401, "insufficient_user_authentication", stepUp("Bearer", recent)},
		{"nobody knows when", "/step", bearer(acr("gold"), tokentest.Without("auth_time")), 401, "insufficient_user_authentication", stepUp("Bearer", recent)},
		{"details", "/details", bearer(scopes, details("payment_initiation")), 200, "", ""},
		{"other details", "/details", bearer(scopes, details("account_information")), 403, "insufficient_authorization_details", `Bearer error="insufficient_scope", scope="accounts:read"`},
	}
	for _, test := range tests {
		before := p.service.count.Load()
		got := p.do(t, http.MethodGet, test.path, test.options...)
		if got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.body)
			continue
		}
		if test.status == http.StatusOK {
			continue
		}
		if code := got.problem(t)["code"]; code != test.code {
			t.Errorf("%s: %s", test.name, code)
		}
		if challenges := got.header["Www-Authenticate"]; !slices.Equal(challenges, []string{test.challenge}) {
			t.Errorf("%s: challenges %q", test.name, challenges)
		}
		if p.service.count.Load() != before {
			t.Errorf("%s reached the service", test.name)
		}
	}
}
