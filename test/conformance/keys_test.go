package conformance

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// oneIssuer is of an edge that looks into every bad token, so that none is kept from
// the key set by the limit on failures.
const oneIssuer = `{
	admin {$TOLLGATE_ADMIN}
	skip_install_trust
	auto_https disable_redirects
	tollgate {
		issuer {$TOLLGATE_ORIGIN} {
			audience {$TOLLGATE_ORIGIN}/api
			jwks_uri {$KEYS}
		}
		failures off
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api pay /pay {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// keyServer publishes an issuer's keys, and counts who asks.
type keyServer struct {
	*httptest.Server
	handler atomic.Pointer[http.Handler]
	fetches atomic.Int64
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	k := new(keyServer)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.fetches.Add(1)
		if handler := k.handler.Load(); handler != nil {
			(*handler).ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(func() {
		k.CloseClientConnections() // of an issuer that hangs
		k.Close()
	})
	return k
}

func (k *keyServer) serve(handler http.Handler) { k.handler.Store(&handler) }

// TestRandomKeyIDs attacks the issuer through the edge with ids of keys that nobody
// has: that causes three fetches at most, the first one included, and valid requests
// go on, those with tokens that the edge has not seen among them.
func TestRandomKeyIDs(t *testing.T) {
	keys := newKeyServer(t)
	p := newPlatformWithKeys(t, keys, oneIssuer)
	url := p.origin + "/pay"
	valid := make([]string, users)
	for i := range valid {
		valid[i] = p.issuer.Token(tokentest.Claim("sub", fmt.Sprint("user-", i)))
	}
	seconds := pick(1, 10)
	forged := make([]string, 1000*seconds) // made beforehand: to sign is as much work as to verify
	for i := range forged {
		forged[i] = p.issuer.Token(tokentest.Header("kid", rand.Text()))
	}

	// Calm and attack take turns over the same connections, because machines are noisy. When
	// it is calm, as many requests come as in the attack; they are valid ones.
	var attacking atomic.Bool
	var attack, accepted atomic.Int64
	steady := startLoad(t, p.roots, pick(200, 400), 8, always(url), inTurn(valid...))
	steady.phase.Store(0)
	extra := startLoad(t, p.roots, 1000, 16, always(url), func(n int64) string {
		if attacking.Load() {
			return forged[int(attack.Add(1)-1)%len(forged)]
		}
		accepted.Add(1)
		return valid[int(n)%len(valid)]
	})
	turn := func(attacked bool) {
		t.Helper()
		attacking.Store(attacked)
		steady.phase.Store(map[bool]int32{false: 0, true: 1}[attacked])
		target := extra.sent.Load() + 500
		waitFor(t, "a turn", func() bool { return extra.sent.Load() >= target })
	}
	turn(false) // warms connections and the heap
	steady.forget()
	begin := time.Now()
	for range 2 * seconds {
		turn(false)
		turn(true)
	}
	elapsed := time.Since(begin)
	extra.stop()
	_, times := steady.stop()
	if refused := steady.refused.Load(); refused != 0 {
		t.Errorf("%d valid requests failed, one with %d", refused, steady.other.Load())
	}
	if refused := extra.refused.Load(); refused != attack.Load() {
		t.Errorf("%d forged tokens were sent, %d requests refused", attack.Load(), refused)
	}
	// One to start with, two for strangers, and one more each half minute if this machine is slow.
	if fetches, most := keys.fetches.Load(), 3+int64(elapsed/(30*time.Second)); fetches > most {
		t.Errorf("%d fetches in %v", fetches, elapsed)
	}
	before, now := percentile(times[0], 99), percentile(times[1], 99)
	t.Logf("%d forged tokens in %.1f s: %d fetches; p99 of %d valid requests %v, %v in the calm phase (%+.1f %%)",
		attack.Load(), elapsed.Seconds()/2, keys.fetches.Load(), len(times[1]), now, before, 100*(now.Seconds()/before.Seconds()-1))
	if strict && now > before*11/10 {
		t.Errorf("p99 moved from %v to %v", before, now)
	}
	fresh := p.issuer.Token(tokentest.Claim("sub", "new"))
	if got := status(p.client, url, fresh); got != http.StatusOK {
		t.Errorf("a token that the edge had not seen: %d", got)
	}
}

// newPlatformWithKeys has the issuer's keys come from k.
func newPlatformWithKeys(t *testing.T, k *keyServer, config string) *platform {
	t.Helper()
	var issuer atomic.Pointer[tokentest.Issuer]
	k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i := issuer.Load(); i != nil {
			i.Handler().ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	address := freeAddress(t)
	p := platformAt(t, address)
	issuer.Store(p.issuer)
	p.run(t, writeConfig(t, "Caddyfile", config), "KEYS="+k.URL)
	return p
}

// TestIssuerThatFails has five issuers, each of which goes wrong in its own way after
// its keys were fetched. Valid tokens go on working, and metrics say what is wrong.
func TestIssuerThatFails(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	elsewhere := newKeyServer(t)
	elsewhere.serve(http.NotFoundHandler())
	wrong := map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
		"fails":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
	}
	var sent atomic.Int64
	wrong["gigabyte"] = func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<16)
		for range 1 << 14 {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	var config strings.Builder
	config.WriteString("{\n\tadmin {$TOLLGATE_ADMIN}\n\tskip_install_trust\n\tauto_https disable_redirects\n\ttollgate {\n\t\tfailures off\n")
	issuers := make(map[string]*tokentest.Issuer)
	servers := make(map[string]*keyServer)
	for _, name := range []string{"hangs", "fails", "redirects", "gigabyte", "unknown"} {
		i := tokentest.NewIssuer(t, "https://"+name+".test")
		server := newKeyServer(t)
		server.serve(i.Handler())
		issuers[name], servers[name] = i, server
		fmt.Fprintf(&config, "\t\tissuer %s {\n\t\t\taudience %s\n\t\t\tjwks_uri %s\n\t\t}\n", i.URL, i.Audience, server.URL)
	}
	wrong["unknown"] = func(w http.ResponseWriter, _ *http.Request) {
		// RFC 7517 section 5: keys of a kind that is not known are ignored.
		own := strings.TrimSuffix(strings.TrimPrefix(string(issuers["unknown"].JWKS()), `{"keys":[`), `]}`)
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"PQC","kid":"q","pub":"AAAA"},%s,{"kty":"oct","kid":"s","k":"AAAA"}]}`, own)
	}
	config.WriteString("\t}\n}\nhttps://localhost:{$TOLLGATE_PORT} {\n\ttls internal\n\tapi pay /pay {\n\t\taccess_token\n\t\treverse_proxy {$TOLLGATE_PAYMENTS}\n\t}\n}\n")
	p := platformAt(t, freeAddress(t))
	p.run(t, writeConfig(t, "Caddyfile", config.String()))
	url := p.origin + "/pay"
	series := func(name, issuer, more string) string {
		return p.metric(fmt.Sprintf(`%s{issuer=%q%s}`, name, issuers[issuer].URL, more))
	}
	known := make(map[string]string)
	for name, i := range issuers {
		known[name] = i.Token()
		waitFor(t, "the keys of "+name, func() bool { return status(p.client, url, known[name]) == http.StatusOK })
	}
	for name, handler := range wrong {
		servers[name].serve(handler)
		stranger := issuers[name].Token(tokentest.Header("kid", "nobody's")) // has the edge fetch
		go status(keepAlive(t, p.roots), url, stranger)
	}
	for name, i := range issuers {
		failed, fetched := "1", "1"
		if name == "unknown" {
			failed, fetched = "0", "2"
		}
		waitFor(t, "the metrics of "+name, func() bool {
			return series("tollgate_keyset_fetches_total", name, `,result="failed"`) == failed &&
				series("tollgate_keyset_fetches_total", name, `,result="fetched"`) == fetched
		})
		if age, err := strconv.ParseFloat(series("tollgate_keyset_age_seconds", name, ""), 64); err != nil || age <= 0 || age > 60 {
			t.Errorf("%s: age %v, %v", name, age, err)
		}
		if keys := series("tollgate_keyset_keys", name, ""); keys != "1" {
			t.Errorf("%s: %s keys", name, keys)
		}
		for what, token := range map[string]string{"remembered": known[name], "new": i.Token()} {
			if got := status(p.client, url, token); got != http.StatusOK {
				t.Errorf("%s: a %s token: %d", name, what, got)
			}
		}
	}
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("%d bytes of the gigabyte were read", n)
	}
	if n := elsewhere.fetches.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

// TestRotationUnderLoad changes keys in the middle of traffic: a new key that is
// published before it signs, and one that signs from the moment it is published, which
// the edge meets in a token first.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t)
	p := newPlatformWithKeys(t, keys, oneIssuer)
	url := p.origin + "/pay"
	traffic := startLoad(t, p.roots, 200, 8, always(url), func(n int64) string {
		return p.issuer.Token(tokentest.Claim("sub", fmt.Sprint("user-", n%users)))
	})
	after := func(more int64) {
		t.Helper()
		target := traffic.sent.Load() + more
		waitFor(t, "traffic", func() bool { return traffic.sent.Load() >= target })
	}
	after(50)

	// Published, seen by the edge, then used.
	next := tokentest.NewKey(t, "ES256", "key-2")
	p.issuer.Publish(next)
	seen := keys.fetches.Load()
	if got := status(p.client, url, p.issuer.Token(tokentest.Header("kid", "nobody's"))); got != http.StatusUnauthorized {
		t.Errorf("a key that nobody has: %d", got)
	}
	waitFor(t, "the edge to see the new key", func() bool { return keys.fetches.Load() > seen })
	after(50)
	p.issuer.Rotate(next)
	after(50)

	// Used from the moment that it is published; the old one is withdrawn at once.
	p.issuer.Rotate(tokentest.NewKey(t, "ES256", "key-3"))
	after(50)
	p.issuer.Withdraw()
	after(50)
	traffic.stop()
	if refused := traffic.refused.Load(); refused != 0 {
		t.Errorf("%d of %d valid requests were refused, one with %d", refused, traffic.sent.Load(), traffic.other.Load())
	}
}
