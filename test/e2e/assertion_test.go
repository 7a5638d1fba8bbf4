package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// assertingEdge speaks for callers whose tokens the service cannot check: they are for an
// audience that it does not know.
const assertingEdge = `{
	admin off
	auto_https off
	tollgate {
		origin %[1]s
		issuer %[2]s {
			audience for-the-edge
			jwks_uri %[2]s
		}
		issuer %[3]s {
			audience for-the-edge
			jwks_uri %[3]s
		}
		assertion {
			issuer %[1]s/assertions
		}
	}
}
%[1]s {
	api keys /keys {
		public
		assertion_keys
	}
	api payments /api/* {
		access_token
		identity_assertion payments
		reverse_proxy %[4]s
	}
}
`

// TestAssertionsReachAService has the built payments service believe the built edge, and
// nobody else.
func TestAssertionsReachAService(t *testing.T) {
	t.Parallel()
	edge, service := "http://127.0.0.1:"+strconv.Itoa(freePort(t)), "127.0.0.1:"+strconv.Itoa(freePort(t))
	issuer, other := newIssuer(t), newIssuer(t)
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, fmt.Appendf(nil, assertingEdge, edge, issuer.URL, other.URL, service), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "tollgate", "run", "--config", config)
	run(t, "payments", "serve", "--listen", service, "--database", filepath.Join(t.TempDir(), "payments.db"),
		"--issuer", issuer.URL, "--jwks-url", issuer.URL, "--audience", "for-the-service",
		"--assertion-issuer", edge+"/assertions", "--assertion-jwks-url", edge+"/keys", "--assertion-audience", "payments")

	key := tokentest.NewKey(t, "ES256", "")
	own := []tokentest.Option{tokentest.Claim("sub", "client-1"), tokentest.Claim("scope", "payments:read")}
	token := issuer.Token(own...)
	bound := issuer.Token(append(own, tokentest.BoundTo(key))...)
	const path = "/api/payments"
	status := func(origin, authorization, proof string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0 // not there yet
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	for deadline := time.Now().Add(30 * time.Second); status(edge, "Bearer "+token, "") != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the service answers %d", status(edge, "Bearer "+token, ""))
		}
	}
	if got := status(edge, "DPoP "+bound, key.Proof(time.Now(), http.MethodGet, edge+path, bound)); got != http.StatusOK {
		t.Errorf("a bound token: %d", got)
	}
	if got := status("http://"+service, "Bearer "+token, ""); got != http.StatusUnauthorized {
		t.Errorf("the service takes the caller's own token: %d", got)
	}
	if got := status(edge, "Bearer "+issuer.Token(tokentest.Claim("scope", "x")), ""); got != http.StatusForbidden {
		t.Errorf("without the scope: %d", got)
	}
	if got := status(edge, "Bearer "+other.Token(own...), ""); got != http.StatusUnauthorized {
		t.Errorf("another issuer's client of the same name: %d", got)
	}
}

// newIssuer is an authorization server that is known by where its keys are.
func newIssuer(t *testing.T) *tokentest.Issuer {
	t.Helper()
	issuer := tokentest.NewIssuer(t, "")
	server := httptest.NewServer(issuer.Handler())
	t.Cleanup(server.Close)
	issuer.URL, issuer.Audience = server.URL, "for-the-edge"
	return issuer
}

// run starts a built command, and ends it with the test.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, name), args...)
	data := t.TempDir()
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+data, "XDG_CONFIG_HOME="+data)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended already
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
}
