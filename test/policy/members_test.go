package policy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestAllMembersHaveARule names the members of Caddy's handlers that diff has no rule for: they
// count as wider where they differ, and each version of Caddy can bring new ones.
func TestAllMembersHaveARule(t *testing.T) {
	t.Parallel()
	found := 0
	for _, of := range []struct {
		handler, at string
		config      any
		without     string // a rule: no answer of the handler, but routes of its own
	}{
		{"reverse_proxy", "", reverseproxy.Handler{}, "handle_response"},
		{"reverse_proxy", "transport.", reverseproxy.HTTPTransport{}, ""},
		{"reverse_proxy", "transport.tls.", reverseproxy.TLSConfig{}, ""},
		{"reverse_proxy", "upstreams.", reverseproxy.Upstream{}, ""},
		{"reverse_proxy", "headers.", headers.Handler{}, ""},
		{"reverse_proxy", "headers.request.", headers.HeaderOps{}, ""},
		{"reverse_proxy", "rewrite.", rewrite.Rewrite{}, ""},
		{"file_server", "", fileserver.FileServer{}, ""},
		{"file_server", "browse.", fileserver.Browse{}, ""},
		{"static_response", "", caddyhttp.StaticResponse{}, ""},
	} {
		kind := reflect.TypeOf(of.config)
		for n := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(n).Tag.Get("json"), ",")
			if name == "" || name == "-" || name == of.without || isStruct(of.at+name) {
				continue
			}
			found++
			if !policy.HasRule(of.handler, of.at+name) {
				t.Errorf("%s: no rule for %s%s", of.handler, of.at, name)
			}
		}
	}
	if found < 70 {
		t.Errorf("only %d members are there", found)
	}
	for _, unknown := range []string{"handle_response", "transport.tls.newly", "transport.newly", "newly"} {
		if policy.HasRule("reverse_proxy", unknown) {
			t.Errorf("there is a rule for %s", unknown)
		}
	}
}

// isStruct says whether a member's own members have the rules.
func isStruct(name string) bool {
	return strings.Contains(" transport upstreams headers headers.request rewrite transport.tls ", " "+name+" ")
}
