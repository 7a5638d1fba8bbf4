package identity_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/identity"
)

// known is the list without an operator's additions.
var known = list()

func list(more ...string) *identity.List {
	l, err := identity.New(more...)
	if err != nil {
		panic(err)
	}
	return l
}

func TestStripRemovesEverySpelling(t *testing.T) {
	t.Parallel()
	names := []string{
		"X-User-Id", "X-User", "X-UserId", "X-Username", "X-Client-Id", "X-Auth-Request-User", "X-Authenticated-Userid",
		"X-Authorization", "Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
		"X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Consumer-Id",
		"X-Credential-Identifier", "X-Tollgate-Identity", "X-SSL-Client-Cert", "X-Client-Cert", "X-Client-Certificate",
		"Client-Cert", "Client-Cert-Chain", "X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Rewrite-Url",
		"X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "Forwarded", "X-Real-IP", "X-Scopes",
		"X-Goog-Authenticated-User-Email", "X-Tollgate-" + strings.Repeat("a", 200),
		"True-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "Fastly-Client-IP", "X-Cluster-Client-IP", "X-Forwarded", "X-Role",
		"X-Roles", "X-Group", "X-Permission", "X-Principal", "X-Principal-Name", "X-Id-Token", "X-Access-Token", "X-Identity",
		"X-Envoy-Original-Path", "X-Envoy-External-Address", "X-Original-Path", "X-Original-For", "X-Goog-IAP-JWT-Assertion",
		"Cf-Access-Jwt-Assertion", "X-MS-Token-AAD-Id-Token", "OIDC_CLAIM_sub", "X-Claim-Sub", "Impersonate-User", "WL-Proxy-Client-IP",
	}
	spellings := []func(string) string{
		func(s string) string { return s },
		http.CanonicalHeaderKey,
		strings.ToLower,
		strings.ToUpper,
		func(s string) string { return strings.ReplaceAll(s, "-", "_") },
		func(s string) string { return strings.ReplaceAll(s, "-", ".") },
		func(s string) string { return strings.Replace(s, "-", "_", 1) },
	}
	for _, name := range names {
		for _, spell := range spellings {
			h := http.Header{spell(name): {"mallory", "eve"}}
			if known.Strip(h); len(h) != 0 {
				t.Errorf("%s is left", spell(name))
			}
		}
	}
}

func TestStripKeepsTheRest(t *testing.T) {
	t.Parallel()
	names := []string{
		"Accept", "Authorization", "Content-Type", "Cookie", "Dpop", "Idempotency-Key", "If-Match", "Remote", "X-Custom",
		"X-Fapi-Interaction-Id", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", "X-Requested-With",
		"X-Emails", "X-Subscription", "X-Grouping", "X-Original", "Sub", "X", strings.Repeat("X-Long-", 40),
	}
	h := make(http.Header)
	for _, name := range names {
		h[name] = []string{"v"}
	}
	known.Strip(h)
	for _, name := range names {
		if _, ok := h[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
}

func TestOperatorsOwnNames(t *testing.T) {
	t.Parallel()
	l := list("X-Tenant", "X-Corp-*", "x_plan", "X-Forwarded-Host")
	h := http.Header{
		"X-Tenant": {"a"}, "X_tenant": {"a"}, "X-Corp-Staff": {"a"}, "X.corp.Id": {"a"}, "X-Plan": {"a"}, "X-User-Id": {"a"}, "X-Forwarded-Host": {"a"},
		"X-Tenants": {"a"}, "X-Corporate": {"a"},
	}
	if l.Strip(h); len(h) != 2 || h["X-Tenants"] == nil || h["X-Corporate"] == nil {
		t.Errorf("left: %v", h)
	}
	h = http.Header{"X-Tenant": {"a"}}
	if known.Strip(h); len(h) != 1 {
		t.Error("one API's names are another's")
	}
	for _, bad := range []string{"", "*", "X-*", "X Tenant", "X-Tenant:", "X-*-Id", "X-Té", strings.Repeat("a", 65)} {
		if _, err := identity.New(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestStripOddForwarded covers the spellings that reverse_proxy does not replace.
func TestStripOddForwarded(t *testing.T) {
	t.Parallel()
	h := http.Header{"X_forwarded_for": {"10.0.0.1"}, "X-Forwarded.Proto": {"https"}}
	if known.Strip(h); len(h) != 0 {
		t.Fatalf("left: %v", h)
	}
}

func TestSealConnection(t *testing.T) {
	t.Parallel()
	upgrade := func(connection string, upgrade ...string) http.Header {
		return http.Header{"Connection": {connection}, "Upgrade": upgrade}
	}
	handshake := upgrade("Upgrade", "websocket")
	tests := []struct {
		name      string
		websocket bool
		in, want  http.Header
	}{
		{"absent", false, http.Header{}, http.Header{}},
		{"usual", false, http.Header{"Connection": {"keep-alive"}}, http.Header{}},
		{"credential", false, http.Header{"Connection": {"close, Authorization"}, "Authorization": {"a"}}, http.Header{"Authorization": {"a"}}},
		{"h2c", false, http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABk"}}, http.Header{}},
		{"h2c, websocket allowed", true, http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABk"}}, http.Header{}},
		{"websocket, not allowed", false, upgrade("Upgrade", "websocket"), http.Header{}},
		{"websocket", true, upgrade("keep-alive, Upgrade", "websocket"), handshake},
		{"websocket, other spelling", true, upgrade("upgrade", "WebSocket"), handshake},
		{"websocket that takes a credential away", true, upgrade("Upgrade, Authorization", "websocket"), handshake},
		{"websocket or h2c", true, upgrade("Upgrade", "websocket, h2c"), http.Header{}},
		{"websocket and h2c", true, upgrade("Upgrade", "websocket", "h2c"), http.Header{}},
		{"upgrade without connection", true, http.Header{"Upgrade": {"websocket"}}, http.Header{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if identity.SealConnection(test.in, test.websocket); !maps.EqualFunc(test.in, test.want, slices.Equal) {
				t.Fatalf("got %q, want %q", test.in, test.want)
			}
		})
	}
}

func TestOrdinaryRequestDoesNotAllocate(t *testing.T) {
	h := http.Header{
		"Accept": {"*/*"}, "Authorization": {"Bearer x"}, "Connection": {"keep-alive"}, "User-Agent": {"curl"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Request-Id": {"1"},
	}
	if n := testing.AllocsPerRun(100, func() { known.Strip(h); identity.SealConnection(h, false) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkOrdinaryRequest(b *testing.B) {
	h := http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer x"}, "Content-Type": {"application/json"}, "Cookie": {"a"},
		"Idempotency-Key": {"1"}, "User-Agent": {"curl"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Requested-With": {"x"}, "X-Request-Id": {"1"},
	}
	b.ReportAllocs()
	for b.Loop() {
		known.Strip(h)
	}
}
