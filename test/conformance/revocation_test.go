package conformance

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const following = localEdge + `		revocations {
			max_age 1s
		}
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

// TestRevocation revokes tokens that the edge remembers, each in one of the three ways,
// and holds it to the second that this may take.
func TestRevocation(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	redis := "redis://" + server.Addr()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", following), "TOLLGATE_REDIS="+redis)
	issued := tokentest.Claim("iat", time.Now().Add(-time.Minute).Unix())
	ask := func(token string) answer { return p.do(t, http.MethodGet, "/", withBearer(token)) }
	waitFor(t, "the revocations", func() bool { return ask(p.issuer.Token()).status == http.StatusOK })

	for _, test := range []struct {
		name          string
		revoked, kept string
		flags         []string
	}{
		{"a token", p.issuer.Token(issued, tokentest.Claim("jti", "one")), p.issuer.Token(issued, tokentest.Claim("jti", "two")), []string{"--jti", "one"}},
		{"a grant", p.issuer.Token(issued, tokentest.Claim("grant_id", "g1")), p.issuer.Token(issued, tokentest.Claim("grant_id", "g2")), []string{"--grant", "g1"}},
		{"a subject", p.issuer.Token(issued, tokentest.Claim("sub", "ada")), p.issuer.Token(issued, tokentest.Claim("sub", "bob")), []string{"--subject", "ada"}},
	} {
		if ask(test.revoked).status != http.StatusOK || ask(test.kept).status != http.StatusOK {
			t.Fatalf("%s is refused before", test.name)
		}
		p.revoke(t, redis, test.flags...)
		start := time.Now()
		waitFor(t, "the revocation of "+test.name, func() bool { return ask(test.revoked).status == http.StatusUnauthorized })
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: revoked after %v", test.name, took)
		}
		p.reload() // forgets nothing
		p.expectNothingBehind(t, func() {
			if got := ask(test.revoked); got.problem(t)["code"] != "invalid_token" {
				t.Errorf("%s: %d %s", test.name, got.status, got.body)
			}
		})
		if got := ask(test.kept); got.status != http.StatusOK {
			t.Errorf("%s: another one: %d %s", test.name, got.status, got.body)
		}
	}
	if held := p.metric("tollgate_revocations"); held != "3" {
		t.Errorf("%s revocations are held", held)
	}

	kept := p.issuer.Token()
	server.Kill()
	waitFor(t, "the revocations to be stale", func() bool { return ask(kept).status == http.StatusServiceUnavailable })
	if age, err := strconv.ParseFloat(p.metric("tollgate_revocations_age_seconds"), 64); err != nil || age < 1 {
		t.Errorf("age %v, %v", age, err)
	}
	server.Restart()
	waitFor(t, "Redis to be back", func() bool { return ask(kept).status == http.StatusOK })
}

// revoke runs the command, with Redis in the environment or as a flag.
func (p *platform) revoke(t *testing.T, redis string, flags ...string) {
	t.Helper()
	command := exec.Command(binary, slices.Concat([]string{"token", "revoke", "--issuer", p.origin}, flags)...)
	command.Env = append(os.Environ(), "TOLLGATE_REDIS="+redis)
	if output, err := command.CombinedOutput(); err != nil || strings.TrimSpace(string(output)) != "revoked" {
		t.Fatalf("%v\n%s", err, output)
	}
}

// TestRevokeNeedsAll has command lines that must not revoke anything, or say so.
func TestRevokeNeedsAll(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"token", "token forget", "token revoke --jti a", "token revoke --issuer https://i.test",
		"token revoke --issuer https://i.test --jti a --subject b --redis redis://127.0.0.1:1",
		"token revoke --issuer https://i.test --jti a", "token revoke --issuer https://i.test --jti a --redis off",
		"token revoke --issuer https://i.test --jti a --redis redis://127.0.0.1:1",
		"token revoke --issuer https://i.test --jti a --redis http://user:canary@host",
	} {
		command := exec.Command(binary, strings.Fields(line)...)
		command.Env = append(os.Environ(), "TOLLGATE_REDIS=")
		output, err := command.CombinedOutput()
		if err == nil || strings.Contains(string(output), "canary") {
			t.Errorf("%s: %v\n%s", line, err, output)
		}
	}
}
