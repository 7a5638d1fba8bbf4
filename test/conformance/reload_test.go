package conformance

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// TestReloadLosesNothing reloads in the middle of traffic: each request is answered,
// and counters go on where they were.
func TestReloadLosesNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	steady := p.issuer.Token(tokentest.Claim("sub", "steady"))
	remaining := p.remaining(t, steady)

	traffic := p.startTraffic()
	for range 4 {
		traffic.wait(t, 50)
		p.reload()
		traffic.wait(t, 50)
	}
	sent := traffic.stop(t)

	if now := p.remaining(t, steady); now != remaining-1 {
		t.Errorf("the limit's counter went from %d to %d", remaining, now)
	}
	counted := p.metric(`tollgate_requests_total{api="accounts",code="200",method="GET"}`)
	if want := strconv.FormatInt(sent+2, 10); counted != want {
		t.Errorf("%s requests counted, %s sent", counted, want)
	}
	accepted := p.metric(`tollgate_token_decisions_total{api="accounts",reason="accepted",result="accepted"}`)
	if accepted != counted {
		t.Errorf("%s tokens accepted, %s requests counted", accepted, counted)
	}
	if arrived := p.service.count.Load(); arrived != sent+2 {
		t.Errorf("%d arrived, %d were sent", arrived, sent+2)
	}
}

var userRemaining = regexp.MustCompile(`"accounts_user";r=(\d+)`)

// remaining sends a request and gives what the user's limit has left after it.
func (p *platform) remaining(t *testing.T, token string) int {
	t.Helper()
	got := p.do(t, http.MethodGet, "/api/accounts", withBearer(token))
	match := userRemaining.FindStringSubmatch(got.header.Get("RateLimit"))
	if got.status != http.StatusOK || match == nil {
		t.Fatalf("%d, RateLimit %q", got.status, got.header.Get("RateLimit"))
	}
	left, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// traffic is a handful of callers that send one request after the other.
type traffic struct {
	tokens  []string
	sent    atomic.Int64
	failure atomic.Pointer[string]
	done    chan struct{}
	workers sync.WaitGroup
}

// users is how many there are, so that nobody comes near a limit.
const users = 64

func (p *platform) startTraffic() *traffic {
	tr := &traffic{done: make(chan struct{})}
	for n := range users {
		tr.tokens = append(tr.tokens, p.issuer.Token(tokentest.Claim("sub", fmt.Sprint("user-", n)), tokentest.Claim("client_id", fmt.Sprint("app-", n))))
	}
	http1 := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots}}}
	for _, client := range []*http.Client{p.client, p.client, http1, http1} {
		tr.workers.Go(func() { tr.run(client, p.origin+"/api/accounts") })
	}
	return tr
}

func (tr *traffic) run(client *http.Client, url string) {
	for {
		select {
		case <-tr.done:
			return
		default:
		}
		r, _ := http.NewRequest(http.MethodGet, url, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+tr.tokens[tr.sent.Add(1)%users])
		response, err := client.Do(r)
		if err != nil {
			tr.fail(err.Error())
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			tr.fail(response.Status)
		}
	}
}

func (tr *traffic) fail(what string) { tr.failure.CompareAndSwap(nil, &what) }

// wait returns when that many more requests are under way or done.
func (tr *traffic) wait(t *testing.T, more int64) {
	t.Helper()
	target := tr.sent.Load() + more
	waitFor(t, "traffic", func() bool { return tr.sent.Load() >= target })
}

func (tr *traffic) stop(t *testing.T) (sent int64) {
	t.Helper()
	close(tr.done)
	tr.workers.Wait()
	if failure := tr.failure.Load(); failure != nil {
		t.Errorf("a request failed: %s", *failure)
	}
	return tr.sent.Load()
}

// TestReloadRefusesAtOnce has a token that was verified, and remembered, before the
// configuration stopped allowing it.
func TestReloadRefusesAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	token := withBearer(p.issuer.Token())
	expect := func(what string, status int) {
		t.Helper()
		if got := p.do(t, http.MethodGet, "/api/accounts", token); got.status != status {
			t.Errorf("%s: %d", what, got.status)
		}
	}
	expect("before", http.StatusOK)
	p.reload("TOLLGATE_ORIGIN=https://elsewhere.test")
	expect("issuer gone", http.StatusUnauthorized)
	p.reload()
	expect("issuer back", http.StatusOK)
}

// seamlessConfig has Caddy's own protocols, HTTP/3 among them, and a second site that
// may not be able to listen.
const seamlessConfig = `{
	admin {$TOLLGATE_ADMIN}
	default_bind seamless/127.0.0.1
	auto_https disable_redirects
	skip_install_trust
}
https://localhost:{$FIRST} {
	tls internal
	respond {$WORD}
}
http://localhost:{$SECOND} {
	respond {$WORD}
}
`

// TestSeamlessSurvivesAFailedReload: what could not start has no part of the socket.
func TestSeamlessSurvivesAFailedReload(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, occupied, _ := net.SplitHostPort(taken.Addr().String())
	_, first, _ := net.SplitHostPort(freeAddress(t))
	_, second, _ := net.SplitHostPort(freeAddress(t))
	e := startEdge(t, writeConfig(t, "Caddyfile", seamlessConfig), "TOLLGATE_ADMIN="+freeAddress(t), "FIRST="+first, "SECOND="+second, "WORD=old")

	for range 4 { // Caddy starts its servers in any order
		command := exec.Command(binary, "reload", "--force", "--config", e.config, "--adapter", "caddyfile", "--address", e.admin)
		command.Env = append(e.env, "SECOND="+occupied, "WORD=new")
		if output, err := command.CombinedOutput(); err == nil || !strings.Contains(string(output), "address already in use") {
			t.Fatalf("reload: %v\n%s", err, output)
		}
	}
	for range 20 {
		fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := fresh.Get("http://localhost:" + second)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, response); string(got.body) != "old" {
			t.Fatalf("the configuration that failed answers: %d %s", got.status, got.body)
		}
	}
}
