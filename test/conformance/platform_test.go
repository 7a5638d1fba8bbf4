package conformance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// platform is a Caddyfile at work, mostly the shipped one, with stubs for everything behind it.
type platform struct {
	*edge
	origin  string
	address string
	issuer  *tokentest.Issuer
	service *service
	roots   *x509.CertPool
	client  *http.Client
}

// newPlatform starts the edge with the shipped Caddyfile.
func newPlatform(t *testing.T, env ...string) *platform {
	t.Helper()
	return newPlatformOf(t, filepath.Join(root, "Caddyfile"), env...)
}

// localEdge begins a Caddyfile of a test's own for newPlatformOf. What follows is the
// rest of the tollgate option.
const localEdge = `{
	admin {$TOLLGATE_ADMIN}
	skip_install_trust
	auto_https disable_redirects
	tollgate {
		origin {$TOLLGATE_ORIGIN}
		redis {$TOLLGATE_REDIS}
		issuer {$TOLLGATE_ORIGIN} {
			audience {$TOLLGATE_ORIGIN}/api
			jwks_uri {$TOLLGATE_JWKS_URI}
		}
`

// newPlatformOf starts the edge with a Caddyfile that uses the same environment as the
// shipped one. It is ready when the issuer's keys are there.
func newPlatformOf(t *testing.T, config string, env ...string) *platform {
	t.Helper()
	p := platformAt(t, freeAddress(t))
	keys := httptest.NewServer(p.issuer.Handler())
	t.Cleanup(keys.Close)
	p.run(t, config, append([]string{"TOLLGATE_JWKS_URI=" + keys.URL, "TOLLGATE_REDIS=off"}, env...)...)
	waitFor(t, "the issuer's keys", func() bool {
		age := p.metric(`tollgate_keyset_age_seconds{issuer="` + p.origin + `"}`)
		return age != "0" && age != "+Inf"
	})
	return p
}

// platformAt is one that does not run yet.
func platformAt(t *testing.T, address string) *platform {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	p := &platform{origin: "https://localhost:" + port, address: address, service: newService(t)}
	p.issuer = tokentest.NewIssuer(t, p.origin)
	return p
}

// run starts the edge and waits for its certificate.
func (p *platform) run(t *testing.T, config string, env ...string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.address)
	behind := strings.TrimPrefix(p.service.server.URL, "http://")
	p.edge = startEdge(t, config, append([]string{
		"TOLLGATE_HOST=localhost", "TOLLGATE_PORT=" + port, "TOLLGATE_ORIGIN=" + p.origin, "TOLLGATE_ADMIN=" + freeAddress(t),
		"TOLLGATE_AUTH=" + behind, "TOLLGATE_USERS=" + behind, "TOLLGATE_PAYMENTS=" + behind,
	}, env...)...)

	p.roots = p.authority()
	p.client = &http.Client{
		Transport:     &http.Transport{DialContext: dialing(t), TLSClientConfig: &tls.Config{RootCAs: p.roots}, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
	waitFor(t, "the certificate", func() bool {
		conn, err := tls.Dial("tcp", p.address, &tls.Config{RootCAs: p.roots, ServerName: "localhost"})
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// dialing opens connections and closes all of them when the test ends. Transports
// open more than they use, and do not close what is not yet open then (see stopTime).
func dialing(t *testing.T) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return func(_ context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		return conn, nil
	}
}

// authority gives the edge's local certificate authority.
func (p *platform) authority() *x509.CertPool {
	p.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.get("/pki/ca/local/certificates")) {
		p.t.Fatal("no certificate authority")
	}
	return roots
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem gives the members of a problem+json body.
func (a answer) problem(t *testing.T) map[string]any {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%d with content type %q: %s", a.status, got, a.body)
	}
	var members map[string]any
	if err := json.Unmarshal(a.body, &members); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return members
}

// option changes a request before it is sent.
type option func(*http.Request)

func withHeader(name, value string) option {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
}

func withBearer(token string) option { return withHeader("Authorization", "Bearer "+token) }

func withHost(host string) option { return func(r *http.Request) { r.Host = host } }

// do sends a request to the edge.
func (p *platform) do(t *testing.T, method, path string, options ...option) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.origin+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range options {
		option(r)
	}
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body}
}

// dial opens a TLS connection that speaks HTTP/1.1.
func (p *platform) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address, &tls.Config{RootCAs: p.roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// service stands for all services behind the edge.
type service struct {
	server *httptest.Server
	count  atomic.Int64
	// arrivals counts whatever comes in, also what is no request.
	arrivals atomic.Int64
	forged   forged

	mu   sync.Mutex
	last *http.Request
}

func newService(t *testing.T) *service {
	t.Helper()
	s := new(service)
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateActive {
			s.arrivals.Add(1)
		}
	}
	s.server.Start()
	t.Cleanup(s.server.Close)
	return s
}

// ServeHTTP counts, remembers, and answers with an id that the edge has to replace.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.count.Add(1)
	s.forged.note(r.Header)
	_, _ = io.Copy(io.Discard, r.Body) // trailers are there when the body has been read
	s.mu.Lock()
	s.last = r.Clone(r.Context())
	s.mu.Unlock()
	w.Header().Set("X-Request-Id", "from-the-service")
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

func (s *service) lastRequest() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// expectNothingBehind fails the test if anything but the edge saw what happens in do.
func (p *platform) expectNothingBehind(t *testing.T, do func()) {
	t.Helper()
	before := p.service.count.Load()
	do()
	if after := p.service.count.Load(); after != before {
		t.Errorf("%d requests reached a service", after-before)
	}
}
