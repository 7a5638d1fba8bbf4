package conformance

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// everything is a token that all APIs accept.
func (p *platform) everything(options ...tokentest.Option) string {
	return p.issuer.Token(append(options, tokentest.Claim("scope", allScopes))...)
}

// allScopes are those of the shipped Caddyfile.
const allScopes = "profile:read profile:write profile:export profile:delete password:write consents:read consents:write " +
	"accounts:read accounts:write payments:create payments:read payments:confirm users:create webhooks:read webhooks:write " +
	"payments:capture payments:refund risk:read risk:write"

func TestListedOperationsReachTheService(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	operations := map[string]string{
		"POST /api/users":                               "users:create",
		"GET /api/users/me":                             "profile:read",
		"PATCH /api/users/me":                           "profile:write",
		"DELETE /api/users/me":                          "profile:delete",
		"GET /api/users/me/export":                      "profile:export",
		"POST /api/users/me/password":                   "password:write",
		"GET /api/users/me/consents":                    "consents:read",
		"DELETE /api/users/me/consents/a-1":             "consents:write",
		"GET /api/accounts":                             "accounts:read",
		"GET /api/accounts/1":                           "accounts:read",
		"GET /api/accounts/1/entries":                   "accounts:read",
		"POST /api/accounts":                            "accounts:write",
		"GET /api/payments":                             "payments:read",
		"GET /api/payments/a-1?expand=x%2F":             "payments:read",
		"POST /api/payments":                            "payments:create",
		"POST /api/payments/a-1/confirm":                "payments:confirm",
		"GET /api/webhook-endpoints":                    "webhooks:read",
		"GET /api/webhook-endpoints/a-1":                "webhooks:read",
		"POST /api/webhook-endpoints":                   "webhooks:write",
		"PATCH /api/webhook-endpoints/a-1":              "webhooks:write",
		"DELETE /api/webhook-endpoints/a-1":             "webhooks:write",
		"POST /api/webhook-endpoints/a-1/rotate-secret": "webhooks:write",
		"GET /api/events?cursor=AZ":                     "webhooks:read",
		"GET /api/events/a-1":                           "webhooks:read",
		"POST /api/events/a-1/redeliver":                "webhooks:write",
		"POST /api/payments/a-1/captures":               "payments:capture",
		"GET /api/payments/a-1/captures":                "payments:read",
		"POST /api/payments/a-1/cancel":                 "payments:capture",
		"POST /api/payments/a-1/refunds":                "payments:refund",
		"GET /api/payments/a-1/refunds":                 "payments:read",
		"GET /api/risk/rules":                           "risk:read",
		"GET /api/risk/rules/new_payee":                 "risk:read",
		"PUT /api/risk/rules/new_payee":                 "risk:write",
		"GET /api/risk/lists":                           "risk:read",
		"POST /api/risk/lists":                          "risk:write",
		"DELETE /api/risk/lists/a-1":                    "risk:write",
		"GET /api/risk/reviews":                         "risk:read",
		"POST /api/risk/reviews/a-1/reject":             "risk:write",
		"GET /api/risk/decisions":                       "risk:read",
		"GET /api/risk/changes":                         "risk:read",
	}
	for operation, scope := range operations {
		method, path, _ := strings.Cut(operation, " ")
		before := p.service.count.Load()
		got := p.do(t, method, path, withBearer(p.issuer.Token(tokentest.Claim("scope", scope))))
		if got.status != http.StatusOK || p.service.count.Load() != before+1 {
			t.Errorf("%s: %d %s", operation, got.status, got.body)
		}
		if sent := p.service.lastRequest(); sent.URL.RequestURI() != path || !strings.HasPrefix(sent.Header.Get("Authorization"), "Bearer ") {
			t.Errorf("%s arrives as %s with %q", operation, sent.URL.RequestURI(), sent.Header.Get("Authorization"))
		}
		others := strings.Replace(" "+allScopes+" ", " "+scope+" ", " ", 1)
		p.expectNothingBehind(t, func() {
			got := p.do(t, method, path, withBearer(p.issuer.Token(tokentest.Claim("scope", strings.TrimSpace(others)))))
			if got.status != http.StatusForbidden {
				t.Errorf("%s without %s: %d", operation, scope, got.status)
			}
		})
	}
	public := []string{
		"GET /.well-known/openid-configuration", "GET /.well-known/oauth-authorization-server", "HEAD /oauth/jwks",
		"GET /oauth/authorize?client_id=x", "POST /oauth/authorize/login", "GET /oauth/assets/style.css",
		"GET /openapi/users.yaml", "HEAD /openapi/webhooks.yaml", "GET /openapi/payments.yaml",
		"POST /oauth/token", "POST /oauth/par", "POST /oauth/revoke", "POST /oauth/introspect", "GET /oauth/userinfo",
	}
	for _, operation := range public {
		method, path, _ := strings.Cut(operation, " ")
		if got := p.do(t, method, path); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", operation, got.status, got.body)
		}
	}
}

func TestWhatIsNotListedStaysAtTheEdge(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	token := withBearer(p.everything())
	tests := []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/", 404, "not_found"},
		{"GET", "/api", 404, "not_found"},
		{"GET", "/api/nothing", 404, "not_found"},
		{"GET", "/internal/users/1", 404, "not_found"},
		{"POST", "/internal/password-checks", 404, "not_found"},
		{"GET", "/api/payments/1/2", 404, "not_found"},
		{"GET", "/api/payments/", 404, "not_found"},
		{"GET", "/api/payments/1/confirm", 404, "not_found"},
		{"POST", "/api/payments/1/confirm/x", 404, "not_found"},
		{"POST", "/api/payments/1", 404, "not_found"},
		{"GET", "/API/PAYMENTS", 404, "not_found"},
		{"POST", "/api/payments/1/CONFIRM", 404, "not_found"},
		{"GET", "/api/paymentsx", 404, "not_found"},
		{"GET", "/OAuth/jwks", 404, "not_found"},
		{"GET", "/oauth/token", 404, "not_found"},
		{"GET", "/oauth/", 404, "not_found"},
		{"GET", "/healthz", 404, "not_found"},
		{"DELETE", "/api/payments/1", 405, "method_not_allowed"},
		{"PUT", "/api/users/me", 405, "method_not_allowed"},
		{"TRACE", "/api/payments", 405, "method_not_allowed"},
		{"BREW", "/api/payments", 405, "method_not_allowed"},
		{"get", "/api/payments", 405, "method_not_allowed"},
		{"TRACE", "/nothing", 405, "method_not_allowed"},
		{"POST", "/oauth/jwks", 405, "method_not_allowed"},
	}
	p.expectNothingBehind(t, func() {
		for _, test := range tests {
			got := p.do(t, test.method, test.path, token)
			if got.status != test.status || got.problem(t)["code"] != test.code {
				t.Errorf("%s %s: %d %s", test.method, test.path, got.status, got.body)
			}
			if allow := got.header.Get("Allow"); (allow != "") != (got.status == http.StatusMethodNotAllowed) {
				t.Errorf("%s %s: Allow %q", test.method, test.path, allow)
			}
			checkIDs(t, got)
		}
		for _, host := range []string{"evil.test", "localhost.evil.test", "127.0.0.1", "[::1]"} {
			got := p.do(t, http.MethodGet, "/api/payments", token, withHost(host))
			if got.status != http.StatusNotFound || got.problem(t)["code"] != "not_found" {
				t.Errorf("%s: %d %s", host, got.status, got.body)
			}
		}
	})
}

// pathTricks are what an HTTP client would have tidied up, and the answers.
var pathTricks = map[string]int{
	"/oauth/../api/payments":                   400,
	"/oauth/assets/../../api/payments":         400,
	"/oauth/assets/%2e%2e/%2e%2e/api/payments": 400,
	"/oauth/assets/.%2E/token":                 400,
	"/api/payments/..":                         400,
	"/api/payments/.":                          400,
	"/./api/payments":                          400,
	"//api/payments":                           400,
	"/api//payments":                           400,
	"/api/payments//confirm":                   400,
	"/api/payments/1%2fconfirm":                400,
	"/api%2Fpayments":                          400,
	"/api/payments/1%5cconfirm":                400,
	`/api/payments/1\confirm`:                  400,
	"/api/payments/%00":                        400,
	"/api/payments;x=1":                        400,
	"/api/payments/1;/confirm":                 400,
	"/api/payments/%3b":                        400,
	"/%61pi/payments":                          400,
	"/api/payments/%252e":                      400,
	"/api/payments/%c0%ae%c0%ae":               400,
	"/api/payments/%ff":                        400,
	"/api/payments/\xc3\xa9":                   400,
	"/api/payments#x":                          400,
	"/api/payments/%":                          400,
	"/api/payments/%zz":                        400,
	"api/payments":                             400,
	"https://localhost/api/../internal":        400,
	"https://localhost/internal":               404,
	"*":                                        400,
}

// TestPathTricks sends them with a token that all APIs accept.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	authorization := "Authorization: Bearer " + p.everything() + "\r\n"
	p.expectNothingBehind(t, func() {
		for target, status := range pathTricks {
			conn := p.dial(t)
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n", target, authorization); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%q: %v", target, err)
			}
			if got := read(t, response); got.status != status {
				t.Errorf("%q: %d %s", target, got.status, got.body)
			}
		}
	})
	if got := p.do(t, http.MethodGet, "/api/payments/caf%C3%A9", withBearer(p.everything())); got.status != http.StatusNotFound {
		t.Errorf("a canonical path that nothing answers: %d", got.status)
	}
}

// checkIDs holds the ids that every answer has to carry.
func checkIDs(t *testing.T, got answer) {
	t.Helper()
	for _, name := range []string{"X-Request-Id", "X-Fapi-Interaction-Id"} {
		if values := got.header[name]; len(values) != 1 || uuid.Validate(values[0]) != nil {
			t.Errorf("%s is %q", name, values)
		}
	}
}
