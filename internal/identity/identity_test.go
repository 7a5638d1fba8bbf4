package identity_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/identity"
)

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
			if identity.Strip(h); len(h) != 0 {
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
		"X-Emails", strings.Repeat("X-Long-", 40),
	}
	h := make(http.Header)
	for _, name := range names {
		h[name] = []string{"v"}
	}
	identity.Strip(h)
	for _, name := range names {
		if _, ok := h[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
}

// TestStripOddForwarded covers the spellings that reverse_proxy does not replace.
func TestStripOddForwarded(t *testing.T) {
	t.Parallel()
	h := http.Header{"X_forwarded_for": {"10.0.0.1"}, "X-Forwarded.Proto": {"https"}}
	if identity.Strip(h); len(h) != 0 {
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
	if n := testing.AllocsPerRun(100, func() { identity.Strip(h); identity.SealConnection(h, false) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
