package identity_test

import (
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

func TestSanitizeConnection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		in, want []string
	}{
		{"absent", nil, nil},
		{"usual", []string{"keep-alive, Upgrade"}, []string{"keep-alive, Upgrade"}},
		{"credential", []string{"close, Authorization"}, []string{"close"}},
		{"only bad", []string{"X-Request-Id,DPoP"}, nil},
		{"several fields", []string{"close", "x-forwarded-for , TE"}, []string{"close, TE"}},
		{"empty options", []string{"close,,"}, []string{"close"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := make(http.Header)
			if test.in != nil {
				h["Connection"] = test.in
			}
			identity.SanitizeConnection(h)
			if !slices.Equal(h["Connection"], test.want) {
				t.Fatalf("got %q, want %q", h["Connection"], test.want)
			}
		})
	}
}

func TestOrdinaryRequestDoesNotAllocate(t *testing.T) {
	h := http.Header{
		"Accept": {"*/*"}, "Authorization": {"Bearer x"}, "Connection": {"keep-alive"}, "User-Agent": {"curl"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Request-Id": {"1"},
	}
	if n := testing.AllocsPerRun(100, func() { identity.Strip(h); identity.SanitizeConnection(h) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
