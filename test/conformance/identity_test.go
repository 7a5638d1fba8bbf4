package conformance

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// spoofed are fields that a backend might believe.
var spoofed = []string{
	"X-User-Id", "X-User", "x-user-id", "X-USER-ID", "X_User_Id", "X-User_Id", "X.User.Id", "X-Client-Id", "X-Auth-Request-User",
	"X-Authenticated-Userid", "Remote-User", "Remote_User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email",
	"X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Consumer-Id", "X-Credential-Identifier",
	"X-Tollgate-Identity", "X-SSL-Client-Cert", "X-Client-Cert", "Client-Cert", "X-Original-Url", "X-Original-Uri",
	"X-Original-Method", "X-Rewrite-Url", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "Forwarded",
	"X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Host", "X-Request-Id", "X_Request_Id",
	"True-Client-IP", "CF-Connecting-IP", "X-Forwarded", "X-Role", "X-Group", "X-Principal", "X-Id-Token", "X-Envoy-Original-Path",
}

// TestNobodySpeaksForTheEdge covers a protected and a public route, HTTP/1.1 and HTTP/2.
func TestNobodySpeaksForTheEdge(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	token := p.everything()
	for _, path := range []string{"/api/payments", "/oauth/jwks"} {
		var raw strings.Builder
		fmt.Fprintf(&raw, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n", path, token)
		for _, name := range spoofed {
			fmt.Fprintf(&raw, "%s: mallory\r\n%s: mallory2\r\n", name, name)
		}
		raw.WriteString("Connection: close, Authorization, DPoP, X-Request-Id, X-Forwarded-For\r\n\r\n")
		conn := p.dial(t)
		if _, err := conn.Write([]byte(raw.String())); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, response)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		p.expectOwnIdentity(t, got)

		options := []option{withBearer(token)}
		for _, name := range spoofed {
			options = append(options, withHeader(http.CanonicalHeaderKey(name), "mallory"))
		}
		p.expectOwnIdentity(t, p.do(t, http.MethodGet, path, options...))
	}
}

func (p *platform) expectOwnIdentity(t *testing.T, got answer) {
	t.Helper()
	sent := p.service.lastRequest().Header
	for name, values := range sent {
		if strings.Contains(strings.Join(values, " "), "mallory") {
			t.Errorf("%s arrives as %q", name, values)
		}
	}
	for _, name := range []string{"Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"} {
		if sent.Get(name) == "" {
			t.Errorf("%s does not arrive", name)
		}
	}
	if id := got.header["X-Request-Id"]; len(id) != 1 || id[0] != sent.Get("X-Request-Id") {
		t.Errorf("the answer's id is %q, the service's %q", id, sent.Get("X-Request-Id"))
	}
	checkIDs(t, got)
}

func TestInteractionID(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	given := uuid.NewString()
	tests := []struct {
		name   string
		values []string
		echoed bool
	}{
		{"uuid", []string{given}, true},
		{"none", nil, false},
		{"no uuid", []string{"mallory"}, false},
		{"braces", []string{"{" + given + "}"}, false},
		{"two", []string{given, given}, false},
	}
	for _, test := range tests {
		for _, path := range []string{"/api/payments", "/oauth/jwks", "/nothing"} {
			var options []option
			for _, value := range test.values {
				options = append(options, withHeader("X-Fapi-Interaction-Id", value))
			}
			got := p.do(t, http.MethodGet, path, options...)
			checkIDs(t, got)
			if (got.header.Get("X-Fapi-Interaction-Id") == given) != test.echoed {
				t.Errorf("%s %s: %q", test.name, path, got.header["X-Fapi-Interaction-Id"])
			}
		}
	}
}
