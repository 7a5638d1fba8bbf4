package policy

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/open-tollgate/tollgate/plugins"
)

// edge is the real chain of handlers of a configuration.
type edge struct{ *sandbox.Edge }

func newEdge(config []byte) (*edge, error) {
	opened, err := sandbox.Open(config)
	return &edge{opened}, err
}

// serve has the server of the random configurations answer. A connection that a handler
// cuts has no status.
func (e *edge) serve(t testing.TB, r *http.Request) (answer sandbox.Answer) {
	t.Helper()
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p != http.ErrAbortHandler && !strings.Contains(fmt.Sprint(p), "WriteHeader code 0") { // of intercept, where nothing answers
			panic(p)
		}
		answer = sandbox.Answer{ResponseRecorder: httptest.NewRecorder()}
		answer.Code = 0
	}()
	answer, err := e.Serve("srv", r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// world is what all configurations of a test share.
type world struct {
	t         testing.TB
	upstreams []string
	keys      []string
	roots     []string
	issuers   []*tokentest.Issuer
	eddsa     map[*tokentest.Issuer]*tokentest.Key
	es256     map[*tokentest.Issuer]*tokentest.Key
	proofKey  *tokentest.Key
	cert      *x509.Certificate
	tokens    []credential
	last      string // request, for messages
	edges     int    // that were made fresh
	replayed  int    // series sent
	asked     int    // witnesses that were shown to ask another service
	moved     int    // witnesses that were shown to go elsewhere
	told      int    // witnesses that are answered in other words
	untold    int    // of these, the ones that are not

	mu    sync.Mutex
	heard []string // what services have been asked
}

// credential is a token as the model knows it, and as it is sent.
type credential struct {
	model *policy.Token
	sent  string
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, cert: &x509.Certificate{Raw: []byte("certificate")}, es256: make(map[*tokentest.Issuer]*tokentest.Key), eddsa: make(map[*tokentest.Issuer]*tokentest.Key)}
	for n := range 2 {
		name := strconv.Itoa(n)
		service := httptest.NewServer(w.record(name))
		t.Cleanup(service.Close)
		w.upstreams = append(w.upstreams, strings.TrimPrefix(service.URL, "http://"))
		w.roots = append(w.roots, folder(t))
		w.addIssuer([]string{"https://one.test", "https://two.test"}[n])
	}
	w.proofKey = tokentest.NewKey(t, "ES256", "proof")
	g := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		w.tokens = append(w.tokens, w.credential(g))
	}
	return w
}

func (w *world) addIssuer(url string) {
	i := tokentest.NewIssuer(w.t, url)
	w.es256[i] = i.Key()
	w.eddsa[i] = tokentest.NewKey(w.t, "EdDSA", "key-3")
	i.Rotate(w.eddsa[i])
	i.Rotate(tokentest.NewKey(w.t, "PS256", "key-2"))
	file := filepath.Join(w.t.TempDir(), "keys.json")
	if err := os.WriteFile(file, i.JWKS(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.issuers, w.keys = append(w.issuers, i), append(w.keys, file)
}

// credential makes a random token; most are good for something.
func (w *world) credential(r *rand.Rand) credential {
	g := &generator{Rand: r}
	issuer := one(g, w.issuers)
	url := issuer.URL
	now := time.Now()
	m := &policy.Token{Issuer: url, Subject: one(g, []string{"u1", "u2"}), Client: one(g, []string{"c1", "c2"}), Claims: map[string]any{}}
	m.Audience = one(g, [][]string{{"shared"}, {"shared"}, {"api"}, {"two"}, {"other"}, {"other", "shared"}})
	m.Scopes = one(g, [][]string{scopes, {"read"}, {"read", "write"}, {"pay"}, nil})
	options := []tokentest.Option{
		tokentest.Claim("aud", m.Audience), tokentest.Claim("scope", strings.Join(m.Scopes, " ")), tokentest.Claim("sub", m.Subject),
		tokentest.Claim("client_id", m.Client), tokentest.Claim("exp", now.Add(24*time.Hour).Unix()),
	}
	if m.Scopes == nil {
		options = append(options, tokentest.Without("scope"))
	}
	set := func(name string, value any) { options = append(options, tokentest.Claim(name, value)) }
	if g.chance(5) {
		m.Issuer = "https://nobody.test"
		set("iss", m.Issuer)
	}
	if g.chance(6) {
		m.Expires = now.Add(-time.Hour)
		set("exp", m.Expires.Unix())
	}
	if g.chance(60) {
		m.ACR = one(g, []string{"high", "low"})
		set("acr", m.ACR)
	}
	if g.chance(60) {
		m.AuthTime = now.Add(-one(g, []time.Duration{time.Second, 48 * time.Hour}))
		if now.Sub(m.AuthTime) < time.Hour {
			m.AuthTime = now.Add(23 * time.Hour) // still recent at the end of a long run
		}
		set("auth_time", m.AuthTime.Unix())
	}
	if g.chance(60) {
		m.Details = []string{one(g, []string{"payment", "account"})}
		set("authorization_details", []any{map[string]any{"type": m.Details[0]}})
	}
	if g.chance(60) {
		value := one(g, []any{"gold", "iron", []any{"silver", "iron"}})
		m.Claims["tier"] = value
		set("tier", value)
	}
	confirmation := map[string]any{}
	if g.chance(25) {
		m.JKT = true
		confirmation["jkt"] = w.proofKey.JKT()
	}
	if g.chance(20) {
		m.X5T = true
		confirmation["x5t#S256"] = thumbprint(w.cert.Raw)
	}
	if len(confirmation) > 0 {
		set("cnf", confirmation)
	}
	m.Algorithm = issuer.Key().Algorithm
	if g.chance(70) {
		key := w.es256[issuer]
		m.Algorithm = "ES256"
		options = append(options, tokentest.SignedBy(key), tokentest.Header("kid", key.ID), tokentest.Header("alg", key.Algorithm))
	}
	return credential{m, issuer.Token(options...)}
}

// request makes a random request, as it is sent and as the model knows it.
func (w *world) request(g *generator, secure bool) (*http.Request, policy.Request) {
	targets := []string{"/", "/a", "/A/B", "/a/b", "/a/b/", "/a/x/c", "/users", "/users/7", "/users/x-1", "/users/7.json", "/Users/abc", "/admin", "/a/admin/x",
		"/b", "/a//b", "//a", "/a/../b", "/a/%2e/b", "/a/%41", "/a%20b", "/users/%7Ex", "/users/a%C3%A9", "/b/c?a=1", "/a?b=2&a=2", "/users?users=1;x", "/a?access%5Ftoken=x", "/a/.json", "/usersx", "/a?",
		"/.well-known/oauth-protected-resource/r"}
	m := policy.Request{
		Method: one(g, append(methods, "GET", "GET", "POST", "TRACE", "get")), Host: one(g, []string{"edge.test", "edge.test", "www.edge.test", "a.b.edge.test", "other.test", "nobody.test", "EDGE.TEST"}),
		Target: one(g, targets), TLS: secure, Header: make(http.Header),
		Remote: netip.MustParseAddr(one(g, []string{"10.1.2.3", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "::1"})),
	}
	switch { // 1 in 4 has a port, or is otherwise odd
	case g.chance(20):
		m.Host += one(g, []string{":8443", ":80", ":", ":0"})
	case g.chance(6):
		m.Host = one(g, []string{"[::1]", "[::1]:8443", "edge.test.", "[edge.test:8443]", "xn--bcher-kva.test"})
	}
	for _, field := range []string{"X-Forwarded-For", "X-Real-Ip"} {
		if g.chance(40) {
			m.Header[field] = some(g, []string{"10.1.2.3", "192.0.2.1, 10.9.9.9", "nobody, 2001:db8::1", "[2001:db8::2]:80,192.0.2.1:443", "", "unknown", "203.0.113.5", "::ffff:10.1.1.1"})
		}
	}
	for _, field := range []string{"X-Flag", "X-Mode", "X-User-Id"} {
		if g.chance(40) {
			m.Header[field] = []string{one(g, []string{"1", "x", "ax", "xa", "axa", ""})}
		}
	}
	m.HasCert = secure && g.chance(60)
	r := w.parsed(&m)
	w.authorize(g, r, &m)
	return r, m
}

// parsed makes what a server would read of the request.
func (w *world) parsed(m *policy.Request) *http.Request {
	w.t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(m.Method + " " + m.Target + " HTTP/1.1\r\nHost: " + m.Host + "\r\n\r\n")))
	if err != nil {
		w.t.Fatal(err)
	}
	r.RemoteAddr = netip.AddrPortFrom(m.Remote, 1234).String()
	for name, values := range m.Header {
		r.Header[name] = slices.Clone(values) // handlers change them in place
	}
	if m.TLS {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13}
	}
	if m.HasCert {
		r.TLS.PeerCertificates = []*x509.Certificate{w.cert}
	}
	return r
}

func (w *world) authorize(g *generator, r *http.Request, m *policy.Request) {
	if g.chance(12) {
		return
	}
	c := one(g, w.tokens)
	m.Token, m.SentAs = c.model, policy.Bearer
	if c.model.JKT && g.chance(75) || g.chance(4) {
		m.SentAs = policy.DPoP
		path, _, _ := strings.Cut(m.Target, "?")
		r.Header.Set("DPoP", w.proofKey.Proof(time.Now(), m.Method, "https://edge.test"+path, c.sent))
	}
	r.Header.Set("Authorization", string(m.SentAs)+" "+c.sent)
}

// thumbprint is the "x5t#S256" of a certificate (RFC 8705 section 3.1).
func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
