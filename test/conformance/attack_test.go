package conformance

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// table is what `make attack` asks for.
var table = flag.Bool("table", false, "print a table of all attacks at the end")

// attack is something that must not get through, or, so that an edge that refuses
// everything is found out, something that must.
type attack struct {
	name string
	do   func(t *testing.T) answer
	want verdict
	// allowed is how many requests may reach the backend all the same: those that the
	// policy lets in, when the attack is on what they carry.
	allowed int64
}

// verdict is an answer, to the letter of the RFCs.
type verdict struct {
	status int    // 0: the edge ends the connection or the stream without an answer
	code   string // of the problem; empty where no API of the edge answers
	scheme string // that the challenge with the error has
	orEnd  bool   // ending the connection is as good
}

var (
	passes       = verdict{status: 200}
	nobody       = verdict{status: 401, code: "missing_credentials", scheme: "Bearer"}
	malformed    = verdict{status: 400, code: "invalid_request", scheme: "Bearer"}
	badToken     = verdict{status: 401, code: "invalid_token", scheme: "Bearer"}
	badDPoPToken = verdict{status: 401, code: "invalid_token", scheme: "DPoP"}
	badDPoPProof = verdict{status: 401, code: "invalid_dpop_proof", scheme: "DPoP"}
	scopeMissing = verdict{status: 403, code: "insufficient_scope", scheme: "Bearer"}
	notCanonical = verdict{status: 400, code: "path_not_canonical"}
	notFound     = verdict{status: 404, code: "not_found"}
	noMethod     = verdict{status: 405, code: "method_not_allowed"}
	tooLarge     = verdict{status: 431, orEnd: true} // who goes on sending may not get to read it
	badRequest   = verdict{status: 400, code: "bad_request"}
	unreadable   = verdict{status: 400} // said by net/http, before any API is asked
)

// outcome is a line of the table.
type outcome struct {
	group, name, answer string
	allowed, arrived    int64
	forged              int // header fields of the attacker's at the backend
	failed              bool
}

var outcomes struct {
	sync.Mutex
	all []outcome
}

// target is where attacks are tried: the shipped Caddyfile at work, with a second
// issuer, a second origin, and a site that asks for client certificates.
type target struct {
	*platform
	other     *tokentest.Issuer
	redis     string
	certified string       // the origin of that site
	caught    string       // a URL that a token can name
	followed  atomic.Int64 // connections to it
	fetched   atomic.Int64 // times that the second issuer's keys were asked for
}

const (
	otherIssuer   = "https://other.example.com"
	defaultOrigin = "https://edge.example.com" // has the default port
)

// besides is what the shipped Caddyfile gets at its end.
const besides = `
https://localhost:{$CERTIFIED_PORT} {
	import site
	tls {
		client_auth {
			mode request
		}
	}
	api certified {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

func newTarget(t *testing.T) *target {
	t.Helper()
	x := &target{other: tokentest.NewIssuer(t, otherIssuer), redis: "redis://" + testenv.Redis(t)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	x.caught = "http://" + listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			x.followed.Add(1)
			_ = conn.Close()
		}
	}()
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.fetched.Add(1)
		x.other.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(keys.Close)
	port := strings.TrimPrefix(freeAddress(t), "127.0.0.1:")
	x.certified = "https://localhost:" + port
	x.platform = newPlatformOf(t, writeConfig(t, "Caddyfile", shippedAndMore(t)),
		"TOLLGATE_REDIS="+x.redis, "OTHER_JWKS_URI="+keys.URL, "CERTIFIED_PORT="+port)
	waitFor(t, "the other issuer's keys", func() bool {
		age := x.metric(`tollgate_keyset_age_seconds{issuer="` + otherIssuer + `"}`)
		return age != "0" && age != "+Inf"
	})
	waitFor(t, "the revocations", func() bool {
		return x.do(t, http.MethodGet, "/api/accounts", withBearer(x.issuer.Token())).status == http.StatusOK
	})
	return x
}

// shippedAndMore adds to the shipped file; nothing in it is changed.
func shippedAndMore(t *testing.T) string {
	t.Helper()
	shipped, err := os.ReadFile(filepath.Join(root, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	const option = "\n\ttollgate {\n"
	if strings.Count(string(shipped), option) != 1 {
		t.Fatalf("the shipped Caddyfile has no %q, or several", option)
	}
	return strings.Replace(string(shipped), option, option+
		"\t\torigin "+defaultOrigin+"\n"+
		"\t\tissuer "+otherIssuer+" {\n\t\t\taudience "+otherIssuer+"/api\n\t\t\tjwks_uri {$OTHER_JWKS_URI}\n\t\t}\n", 1) + besides
}

// TestAttack tries every attack against the built edge, one after the other, so that
// whatever arrives at the backend meanwhile is the attack's. Each group comes from an
// address of its own: the edge looks into only so many bad tokens from one.
func TestAttack(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	groups := []struct {
		name    string
		attacks []attack
	}{
		{"access token", x.tokenAttacks(t, "127.1.0.1")},
		{"where the token is", x.placeAttacks(t, "127.1.0.2")},
		{"revoked", x.revokedAttacks(t, "127.1.0.3")},
		{"DPoP proof", x.proofAttacks(t, "127.1.0.4")},
		{"DPoP must pass", x.goodProofs(t, "127.1.0.5")},
		{"client certificate", x.certificateAttacks(t, "127.1.0.6")},
		{"unknown kid", x.kidAttacks(t, "127.1.0.7")},
		{"whose bucket", x.bucketAttacks(t, "127.1.0.8")},
		{"identity header", x.identityAttacks(t, "127.1.0.9")},
		{"method", x.methodAttacks(t, "127.1.0.10")},
		{"path", x.pathAttacks(t, "127.1.0.11")},
		{"smuggling", x.smugglingAttacks(t, "127.1.0.12")},
		{"smuggling in HTTP/2", x.http2Attacks(t, "127.1.0.13")},
		{"large header", x.sizeAttacks(t, "127.1.0.14")},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, attack := range group.attacks {
				t.Run(attack.name, func(t *testing.T) { x.try(t, group.name, attack) })
			}
		})
	}
	if n := x.followed.Load(); n > 0 {
		t.Errorf("%d connections to a URL that a token names", n)
	}
}

// try makes a line of the table.
func (x *target) try(t *testing.T, group string, a attack) {
	t.Helper()
	before := x.service.arrivals.Load()
	x.service.forged.forget()
	got := a.do(t)
	line := outcome{group: group, name: a.name, allowed: a.allowed}
	line.arrived = x.service.arrivals.Load() - before
	forged := x.service.forged.names()
	line.forged = len(forged)
	line.answer = a.want.judge(t, got)
	if line.arrived != a.allowed {
		t.Errorf("%d requests at the backend, %d are allowed", line.arrived, a.allowed)
	}
	if line.forged > 0 {
		t.Errorf("the backend sees %v", forged)
	}
	line.failed = t.Failed()
	outcomes.Lock()
	defer outcomes.Unlock()
	outcomes.all = append(outcomes.all, line)
}

// judge holds an answer against the verdict, and says in short what it is.
func (v verdict) judge(t *testing.T, got answer) string {
	t.Helper()
	code := ""
	if got.header.Get("Content-Type") == "application/problem+json" {
		code, _ = got.problem(t)["code"].(string)
	}
	said := fmt.Sprint(got.status)
	if got.status == 0 {
		said = "connection ended"
	} else if code != "" {
		said += " " + code
	}
	if v.orEnd && got.status == 0 {
		return said
	}
	if got.status != v.status || code != v.code {
		t.Errorf("answered %s %s, want %d %s", said, got.body, v.status, v.code)
		return said
	}
	v.judgeChallenges(t, got.header["Www-Authenticate"])
	if exposed := got.header.Get("Access-Control-Expose-Headers"); (v.scheme != "") != (exposed == "WWW-Authenticate, DPoP-Nonce") {
		t.Errorf("Access-Control-Expose-Headers %q", exposed)
	}
	if v.code != "" && (got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Request-Id") == "") {
		t.Errorf("Cache-Control %q, X-Request-Id %q", got.header.Get("Cache-Control"), got.header.Get("X-Request-Id"))
	}
	return said
}

// judgeChallenges wants the error on the challenge of the scheme that was used, and
// nowhere else (RFC 6750 section 3, RFC 9449 section 7.1).
func (v verdict) judgeChallenges(t *testing.T, challenges []string) {
	t.Helper()
	wanted := fmt.Sprintf("%s error=%q", v.scheme, v.code)
	withError := slices.DeleteFunc(slices.Clone(challenges), func(c string) bool { return !strings.Contains(c, "error=") })
	for _, challenge := range challenges {
		if strings.HasPrefix(challenge, "DPoP") && !strings.Contains(challenge, `algs="`) {
			t.Errorf("challenge without algs: %s", challenge)
		}
	}
	switch {
	case v.scheme == "":
		if len(challenges) > 0 {
			t.Errorf("challenges %q", challenges)
		}
	case v.code == "missing_credentials":
		if len(withError) > 0 || len(challenges) != 2 {
			t.Errorf("challenges %q, want two without an error", challenges)
		}
	case len(withError) != 1 || !strings.HasPrefix(withError[0], wanted):
		t.Errorf("challenges %q, want one error: %s", challenges, wanted)
	}
}

// printTable ends `make attack`.
func printTable(w io.Writer) {
	lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(lines, "\tATTACK\tANSWER\tAT THE BACKEND\tFORGED HEADERS THERE")
	failed, arrived, forged := 0, int64(0), 0
	for _, o := range outcomes.all {
		mark := "ok"
		if o.failed {
			mark = "FAILED"
			failed++
		}
		there := fmt.Sprint(o.arrived)
		if o.allowed > 0 {
			there += fmt.Sprintf(" (%d allowed)", o.allowed)
		}
		_, _ = fmt.Fprintf(lines, "%s\t%s: %s\t%s\t%s\t%d\n", mark, o.group, o.name, o.answer, there, o.forged)
		arrived += o.arrived - o.allowed
		forged += o.forged
	}
	_ = lines.Flush()
	_, _ = fmt.Fprintf(w, "\n%d attacks, %d answered wrongly; at the backend %d requests that no policy allows, %d forged headers\n",
		len(outcomes.all), failed, arrived, forged)
}

// from gives a client with an address of its own, over HTTP/2.
func (x *target) from(t *testing.T, address string, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	client := x.clientOf(t, address, certificates...)
	client.CheckRedirect = x.client.CheckRedirect
	return client
}

// ask sends a request with the client.
func (x *target) ask(t *testing.T, client *http.Client, method, url string, options ...option) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range options {
		option(r)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

// get is an attack by one GET of the accounts.
func (x *target) get(client *http.Client, options ...option) func(*testing.T) answer {
	return func(t *testing.T) answer {
		return x.ask(t, client, http.MethodGet, x.origin+"/api/accounts", options...)
	}
}

// claimsOf gives the payload of a token as text, empty when it has none.
func claimsOf(raw string) map[string]any {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil
	}
	var claims map[string]any
	_ = json.Unmarshal(unb64(parts[1]), &claims)
	return claims
}

// deadline is what a raw connection waits for an answer.
const deadline = 20 * time.Second
