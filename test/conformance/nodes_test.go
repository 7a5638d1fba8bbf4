package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// nodeConfig is of an edge that accepts the tokens of a real authorization server
// beside those of the test's own issuer.
const nodeConfig = `{
	admin {$TOLLGATE_ADMIN}
	skip_install_trust
	auto_https disable_redirects
	tollgate {
		redis {$TOLLGATE_REDIS}
		origin {$TOLLGATE_ORIGIN}
		issuer {$TOLLGATE_ORIGIN} {
			audience {$TOLLGATE_ORIGIN}/api
			jwks_uri {$TOLLGATE_JWKS_URI}
		}
		issuer {$AUTH_ISSUER} {
			audience {$AUTH_ISSUER}/api
			jwks_uri {$AUTH_ISSUER}/oauth/jwks
		}
		revocations {
			max_age {$MAX_AGE}
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api pay /pay {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
	api open /open {
		public
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// peer starts another edge of the same kind, with the same issuer, services and Redis.
// Its origin is where it is reached; what tokens and proofs name is the first one's.
func (p *platform) peer(t *testing.T, env ...string) *platform {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	q := &platform{origin: "https://localhost:" + port, address: address, issuer: p.issuer, service: p.service}
	q.edge = startEdge(t, p.config, slices.Concat(p.env, []string{"TOLLGATE_PORT=" + port, "TOLLGATE_ADMIN=" + freeAddress(t)}, env)...)
	q.roots = q.authority()
	q.client = keepAlive(t, q.roots)
	q.client.Transport.(*http.Transport).MaxConnsPerHost = 0
	waitFor(t, "the second edge", func() bool { return status(q.client, q.origin+"/pay", p.issuer.Token()) == http.StatusOK })
	return q
}

// authServer is the real authorization server.
type authServer struct{ issuer, client, secret string }

var buildAuth = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "auth")
	build := exec.Command("go", "build", "-o", path, "./cmd/auth")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building auth: %w\n%s", err, output)
	}
	return path, nil
})

// startAuth runs the authorization server with one client. With http on loopback it is
// its own origin.
func startAuth(t *testing.T, redis string) *authServer {
	t.Helper()
	program, err := buildAuth()
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	s := &authServer{issuer: "http://" + address}
	state := []string{"--database", filepath.Join(t.TempDir(), "auth.db")}
	output, err := exec.Command(program, append([]string{"client", "add", "--id", "payer", "--name", "Payer", "--kind", "standard",
		"--grant", "client_credentials", "--scope", "payments:create"}, state...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(output, &client); err != nil {
		t.Fatal(err)
	}
	s.client, s.secret = client.ID, client.Secret
	command := exec.Command(program, append([]string{"serve", "--listen", address, "--issuer", s.issuer}, state...)...)
	command.Env = append(os.Environ(), "AUTH_REDIS="+redis)
	var log bytes.Buffer
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("auth: %v\n%s", err, log.String())
		}
	})
	waitFor(t, "the authorization server", func() bool {
		response, err := http.Get(s.issuer + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusNoContent
	})
	return s
}

// post calls an endpoint as the client.
func (s *authServer) post(t *testing.T, path string, form url.Values) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(s.client, s.secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, response)
	if got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	return got
}

func (s *authServer) token(t *testing.T) string {
	t.Helper()
	got := s.post(t, "/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"payments:create"}})
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(got.body, &tokens); err != nil {
		t.Fatal(err)
	}
	return tokens.AccessToken
}

// nodes are two edges with one Redis, and the authorization server that tells them.
type nodes struct {
	redis  *testenv.RedisServer
	url    string
	auth   *authServer
	first  *platform
	second *platform
}

func newNodes(t *testing.T, secondMaxAge string) *nodes {
	t.Helper()
	n := &nodes{redis: testenv.NewRedisServer(t)}
	n.url = "redis://" + n.redis.Addr()
	n.auth = startAuth(t, n.url)
	n.first = newPlatformOf(t, writeConfig(t, "Caddyfile", nodeConfig), "TOLLGATE_REDIS="+n.url, "AUTH_ISSUER="+n.auth.issuer, "MAX_AGE=5m")
	n.second = n.first.peer(t, "MAX_AGE="+secondMaxAge)
	for _, p := range n.both() {
		waitFor(t, "the authorization server's keys", func() bool { return status(p.client, p.origin+"/pay", n.auth.token(t)) == http.StatusOK })
	}
	return n
}

func (n *nodes) both() []*platform { return []*platform{n.first, n.second} }

// TestRevocationUnderLoad holds both edges to the second: no request that is sent later
// than that after a token was revoked gets through. It is not parallel: what else runs
// here would be part of what it measures.
func TestRevocationUnderLoad(t *testing.T) {
	n := newNodes(t, "5m")
	steady := make([]string, users)
	for i := range steady {
		steady[i] = n.first.issuer.Token(tokentest.Claim("sub", fmt.Sprint("user-", i)))
	}
	roots := n.first.roots
	roots.AppendCertsFromPEM(n.second.get("/pki/ca/local/certificates"))
	traffic := startLoad(t, roots, pick(100, 1200), 16, inTurn(n.first.origin+"/pay", n.second.origin+"/pay"), inTurn(steady...))

	var slowest time.Duration
	for i := range pick(4, 20) {
		id := fmt.Sprint("token-", i)
		byCommand, byServer := n.first.issuer.Token(tokentest.Claim("jti", id)), n.auth.token(t)
		slowest = max(slowest,
			n.lastPass(t, "the operator's command", byCommand, func() { n.first.revoke(t, n.url, "--jti", id) }),
			n.lastPass(t, "the authorization server", byServer, func() { n.auth.post(t, "/oauth/revoke", url.Values{"token": {byServer}}) }))
	}
	perSecond, _ := traffic.stop()
	t.Logf("%.0f requests a second meanwhile; the last request that passed was sent %v after the revocation, at most", perSecond, slowest)
	if refused := traffic.refused.Load(); refused != 0 {
		t.Errorf("%d requests of others failed, one with %d", refused, traffic.other.Load())
	}
	if wanted := pick(0.0, 1000); perSecond < wanted {
		t.Errorf("the load was %.0f requests a second, not a thousand: this machine is too slow to measure on", perSecond)
	}
}

// lastPass revokes a token and gives how long after that the last request with it was
// sent that passed at one of the edges. It goes by when a request is sent, because a
// slow answer says nothing about the revocation.
func (n *nodes) lastPass(t *testing.T, how, token string, revoke func()) (last time.Duration) {
	t.Helper()
	for _, p := range n.both() {
		if got := status(p.client, p.origin+"/pay", token); got != http.StatusOK {
			t.Fatalf("%s: %d before", how, got)
		}
	}
	revoke()
	start := time.Now()
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, p := range n.both() {
		group.Go(func() {
			for {
				sent := time.Since(start)
				got := status(p.client, p.origin+"/pay", token)
				if got == http.StatusUnauthorized {
					return
				}
				mu.Lock()
				last = max(last, sent)
				mu.Unlock()
				if got != http.StatusOK || sent > time.Second {
					t.Errorf("%s: %d for a request that was sent %v after the revocation", how, got, sent)
					return
				}
			}
		})
	}
	group.Wait()
	return last
}

// TestProofIsGoodOnceOnTwoNodes sends one proof many times at once to two edges.
func TestProofIsGoodOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	n := newNodes(t, "5m")
	for range 3 {
		key := tokentest.NewKey(t, "ES256", "")
		token := n.first.issuer.Token(tokentest.BoundTo(key))
		proof := key.Proof(time.Now(), http.MethodGet, n.first.origin+"/pay", token)
		before := n.first.service.count.Load()
		var passed, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 50 {
			p := n.both()[i%2]
			all.Go(func() {
				switch got := p.do(t, http.MethodGet, "/pay", withHeader("Authorization", "DPoP "+token), withHeader("DPoP", proof)); got.status {
				case http.StatusOK:
					passed.Add(1)
				case http.StatusUnauthorized:
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if arrived := n.first.service.count.Load() - before; passed.Load() != 1 || refused.Load() != 49 || arrived != 1 {
			t.Errorf("%d passed, %d were refused, %d arrived", passed.Load(), refused.Load(), arrived)
		}
	}
}

// TestNodesWithoutRedis kills Redis: what depends on it is 503, all else goes on, and
// so does everything when Redis is back.
func TestNodesWithoutRedis(t *testing.T) {
	t.Parallel()
	n := newNodes(t, "1s")
	key := tokentest.NewKey(t, "ES256", "")
	bound, bearer, revoked := n.first.issuer.Token(tokentest.BoundTo(key)), n.first.issuer.Token(), n.first.issuer.Token(tokentest.Claim("jti", "gone"))
	withProof := func(p *platform) int {
		proof := key.Proof(time.Now(), http.MethodGet, n.first.origin+"/pay", bound)
		return p.do(t, http.MethodGet, "/pay", withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof)).status
	}
	with := func(p *platform, token string) int { return status(p.client, p.origin+"/pay", token) }
	n.first.revoke(t, n.url, "--jti", "gone")
	for _, p := range n.both() {
		waitFor(t, "the revocation", func() bool { return with(p, revoked) == http.StatusUnauthorized })
		if withProof(p) != http.StatusOK {
			t.Fatal("a proof is refused while all is well")
		}
	}

	n.redis.Kill()
	waitFor(t, "the second edge's revocations to be stale", func() bool { return with(n.second, bearer) == http.StatusServiceUnavailable })
	late := n.auth.token(t) // is issued and revoked while Redis is away
	n.auth.post(t, "/oauth/revoke", url.Values{"token": {late}})
	for _, test := range []struct {
		what string
		got  int
		want int
	}{
		{"a proof at the first edge", withProof(n.first), http.StatusServiceUnavailable},
		{"a proof at the second edge", withProof(n.second), http.StatusServiceUnavailable},
		{"a bearer token within max_age", with(n.first, bearer), http.StatusOK},
		{"a new bearer token within max_age", with(n.first, n.first.issuer.Token()), http.StatusOK},
		{"what is known to be revoked, within max_age", with(n.first, revoked), http.StatusUnauthorized},
		{"what is known to be revoked, beyond it", with(n.second, revoked), http.StatusUnauthorized},
		{"a public API", n.first.do(t, http.MethodGet, "/open").status, http.StatusOK},
		{"a public API of the second edge", n.second.do(t, http.MethodGet, "/open").status, http.StatusOK},
		{"a new token of the authorization server", with(n.first, n.auth.token(t)), http.StatusOK},
	} {
		if test.got != test.want {
			t.Errorf("without Redis: %s: %d, want %d", test.what, test.got, test.want)
		}
	}

	n.redis.Restart()
	for _, p := range n.both() {
		waitFor(t, "what was revoked meanwhile", func() bool { return with(p, late) == http.StatusUnauthorized })
		waitFor(t, "bearer tokens", func() bool { return with(p, bearer) == http.StatusOK })
		waitFor(t, "proofs", func() bool { return withProof(p) == http.StatusOK })
		if got := with(p, revoked); got != http.StatusUnauthorized {
			t.Errorf("what was revoked before: %d", got)
		}
	}
}
