package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// proxy is the address that the edge below trusts with certificates. All of
// 127.0.0.0/8 is this machine.
const proxy = "127.0.0.2"

const certified = localEdge + `		client_certificate header X-Cert rfc9440 from ` + proxy + `
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal {
		client_auth {
			mode request
		}
	}
	api pay {
		access_token
		@mtls path /mtls
		require @mtls {
			mtls
		}
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestCertificateBoundTokens makes real handshakes, as RFC 8705 section 3 wants them:
// with the token's certificate, another, and none, and the same by a proxy's header.
func TestCertificateBoundTokens(t *testing.T) {
	t.Parallel()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", certified))
	right, wrong := newClientCertificate(t), newClientCertificate(t)
	der := right.Certificate[0]
	sum := sha256.Sum256(der)
	bound := withBearer(p.issuer.Token(tokentest.Claim("cnf", map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])})))
	plain := withBearer(p.issuer.Token())
	header := func(name string, der []byte) option { return withHeader(name, access.EncodeClientCert(der)) }

	const stranger = "127.0.0.1"
	tests := []struct {
		name    string
		client  *http.Client
		path    string
		options []option
		status  int
		reason  string
	}{
		{"right", p.clientOf(t, stranger, right), "/", []option{bound}, 200, ""},
		{"right where it is required", p.clientOf(t, stranger, right), "/mtls", []option{bound}, 200, ""},
		{"wrong", p.clientOf(t, stranger, wrong), "/", []option{bound}, 401, "certificate_wrong"},
		{"missing", p.clientOf(t, stranger), "/", []option{bound}, 401, "certificate_missing"},
		{"a stranger's header", p.clientOf(t, stranger), "/", []option{bound, header("X-Cert", der)}, 401, "certificate_missing"},
		{"a stranger's standard header", p.clientOf(t, stranger), "/", []option{bound, header("Client-Cert", der)}, 401, "certificate_missing"},
		{"a stranger's header beside a certificate", p.clientOf(t, stranger, wrong), "/", []option{bound, header("X-Cert", der)}, 401, "certificate_wrong"},
		{"unbound", p.clientOf(t, stranger, right), "/mtls", []option{plain}, 401, "not_sender_constrained"},
		{"unbound where that is fine", p.clientOf(t, stranger), "/", []option{plain}, 200, ""},
		{"the proxy's header", p.clientOf(t, proxy), "/mtls", []option{bound, header("X-Cert", der)}, 200, ""},
		{"the proxy's header for another", p.clientOf(t, proxy), "/", []option{bound, header("X-Cert", wrong.Certificate[0])}, 401, "certificate_wrong"},
		{"the proxy's header twice", p.clientOf(t, proxy), "/", []option{bound, header("X-Cert", der), header("X-Cert", der)}, 401, "certificate_unreadable"},
		{"the proxy's header in another spelling", p.clientOf(t, proxy), "/", []option{bound, header("X_cert", der)}, 401, "certificate_missing"},
		{"the proxy's own certificate", p.clientOf(t, proxy, right), "/", []option{bound}, 401, "certificate_missing"},
	}
	for _, test := range tests {
		before := p.service.count.Load()
		got := p.doAs(t, test.client, test.path, test.options...)
		if got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.body)
			continue
		}
		if test.status != http.StatusOK {
			if p.service.count.Load() != before {
				t.Errorf("%s reached the service", test.name)
			}
			if challenge := got.header.Get("Www-Authenticate"); !strings.HasPrefix(challenge, `Bearer error="invalid_token"`) {
				t.Errorf("%s: challenge %q", test.name, challenge)
			}
			if p.metric(`tollgate_token_decisions_total{api="pay",reason="`+test.reason+`",result="`+result(test.reason)+`"}`) == "0" {
				t.Errorf("%s: no decision because of %s", test.name, test.reason)
			}
			continue
		}
		for name := range p.service.lastRequest().Header {
			if slices.Contains([]string{"x-cert", "client-cert"}, strings.ReplaceAll(strings.ToLower(name), "_", "-")) {
				t.Errorf("%s: the service got %s", test.name, name)
			}
		}
	}
}

// result is who refuses for the reason.
func result(reason string) string {
	if reason == "not_sender_constrained" {
		return "denied"
	}
	return "refused"
}

// clientOf connects from an address of this machine, with a certificate or without.
func (p *platform) clientOf(t *testing.T, from string, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext:       dialer.DialContext,
		TLSClientConfig:   &tls.Config{RootCAs: p.roots, Certificates: certificates},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// doAs sends a GET with a client of its own.
func (p *platform) doAs(t *testing.T, client *http.Client, path string, options ...option) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.origin+path, http.NoBody)
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

// newClientCertificate is self-signed: what counts is that the client has its key.
func newClientCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"client"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
