package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// rules is a Caddyfile with these issuers.
func rules(issuers ...string) string {
	return "{\n\tadmin {$TOLLGATE_ADMIN}\n\tskip_install_trust\n\tauto_https disable_redirects\n\ttollgate {\n\t\tfailures off\n" +
		strings.Join(issuers, "") + "\t}\n}\nhttps://localhost:{$TOLLGATE_PORT} {\n\ttls internal\n" +
		"\tapi pay /pay {\n\t\taccess_token\n\t\treverse_proxy {$TOLLGATE_PAYMENTS}\n\t}\n}\n"
}

// What is asked of the requests with a token.
const (
	changing int64 = iota // a reload is under way: either answer is right
	accepted
	declined
)

// caller sends one token again and again over a connection of its own.
type caller struct {
	token  string
	wanted atomic.Int64
	sent   atomic.Int64
}

func (c *caller) run(t *testing.T, client *http.Client, url string, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		before := c.wanted.Load()
		got := status(client, url, c.token)
		c.sent.Add(1)
		if before != c.wanted.Load() {
			continue // the rules changed while it was under way
		}
		if before == accepted && got != http.StatusOK || before == declined && got != http.StatusUnauthorized {
			t.Errorf("%d for a token of which %d is wanted", got, before)
			return
		}
	}
}

// TestReloadChangesTheRules takes issuers, audiences and algorithms away in the middle
// of traffic, and adds an issuer. From the moment that a reload answers, no request
// passes with what is no longer allowed, on connections that were open before it
// either, although the edge has verified and remembered each of the tokens.
func TestReloadChangesTheRules(t *testing.T) {
	t.Parallel()
	p := platformAt(t, freeAddress(t))
	a, b := tokentest.NewIssuer(t, "https://a.test"), tokentest.NewIssuer(t, "https://b.test")
	es, ps := a.Key(), tokentest.NewKey(t, "PS256", "ps")
	settings := func(i *tokentest.Issuer, audiences, algorithms string) string {
		server := httptest.NewServer(i.Handler())
		t.Cleanup(server.Close)
		return fmt.Sprintf("\t\tissuer %s {\n\t\t\taudience %s\n\t\t\talgorithms %s\n\t\t\tjwks_uri %s\n\t\t}\n", i.URL, audiences, algorithms, server.URL)
	}
	// One way of starting a key server for each issuer, or the key set would be another one.
	aServer, bServer := settings(a, "AUDIENCE", "ALGORITHMS"), settings(b, "https://b.test/api", "ES256")
	issuerA := func(audiences, algorithms string) string {
		return strings.NewReplacer("AUDIENCE", audiences, "ALGORITHMS", algorithms).Replace(aServer)
	}
	a.Publish(ps)
	byES, other := a.Token(), a.Token(tokentest.Claim("aud", "https://a.test/other"))
	a.Rotate(ps)
	byPS := a.Token()
	a.Rotate(es)
	const own, both = "https://a.test/api", "https://a.test/api https://a.test/other"

	config := writeConfig(t, "Caddyfile", rules(issuerA(both, "ES256 PS256")))
	p.run(t, config)
	url := p.origin + "/pay"
	callers := map[string]*caller{"ES256": {token: byES}, "audience": {token: other}, "PS256": {token: byPS}, "b": {token: b.Token()}}
	for name, want := range map[string]int{"ES256": 200, "audience": 200, "PS256": 200, "b": 401} {
		waitFor(t, name, func() bool { return status(p.client, url, callers[name].token) == want })
		callers[name].wanted.Store(map[int]int64{200: accepted, 401: declined}[want])
	}
	done := make(chan struct{})
	var workers sync.WaitGroup
	for _, c := range callers {
		for range 2 {
			client := keepAlive(t, p.roots)
			workers.Go(func() { c.run(t, client, url, done) })
		}
	}
	traffic := func() {
		t.Helper()
		for name, c := range callers {
			target := c.sent.Load() + 20
			waitFor(t, "traffic with "+name, func() bool { return t.Failed() || c.sent.Load() >= target })
		}
	}
	traffic()
	for _, step := range []struct {
		what    string
		config  string
		refused []string // from now on
		passes  []string // from when the keys are there
	}{
		{"an issuer comes, an audience goes", rules(issuerA(own, "ES256 PS256"), bServer), []string{"audience"}, []string{"b"}},
		{"an algorithm goes", rules(issuerA(own, "PS256"), bServer), []string{"ES256"}, nil},
		{"an algorithm goes and another comes", rules(issuerA(own, "ES256"), bServer), []string{"PS256"}, []string{"ES256"}},
		{"an issuer goes", rules(bServer), []string{"ES256"}, nil},
		{"it comes back", rules(issuerA(both, "ES256 PS256"), bServer), nil, []string{"ES256", "PS256", "audience"}},
	} {
		for _, name := range append(step.refused, step.passes...) {
			callers[name].wanted.Store(changing)
		}
		if err := os.WriteFile(config, []byte(step.config), 0o600); err != nil {
			t.Fatal(err)
		}
		p.reload()
		for _, name := range step.refused {
			callers[name].wanted.Store(declined)
		}
		for _, name := range step.refused { // on a connection that the edge has not seen, too
			if got := status(keepAlive(t, p.roots), url, callers[name].token); got != http.StatusUnauthorized {
				t.Errorf("%s: %d for %s on a new connection", step.what, got, name)
			}
		}
		for _, name := range step.passes {
			waitFor(t, name, func() bool { return status(p.client, url, callers[name].token) == http.StatusOK })
			callers[name].wanted.Store(accepted)
		}
		traffic()
		if t.Failed() {
			t.Fatalf("after: %s", step.what)
		}
	}
	close(done)
	workers.Wait()
}
