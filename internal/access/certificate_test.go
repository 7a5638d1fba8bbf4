package access_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// newCertificate makes a self-signed client certificate.
func newCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"client"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// certified binds a token to the certificate.
func certified(der []byte) tokentest.Option {
	return tokentest.Claim("cnf", map[string]any{"x5t#S256": thumbprint(der)})
}

func escapedPEM(der []byte) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

const (
	proxyAddress    = "10.0.0.7:4711"
	strangerAddress = "192.0.2.1:4711"
)

func fromProxies(encoding access.CertificateEncoding) *access.ClientCertificates {
	return &access.ClientCertificates{
		Header: "Client-Cert", Encoding: encoding, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
}

func TestWhoseCertificateItIs(t *testing.T) {
	t.Parallel()
	client, other := newCertificate(t).Certificate[0], newCertificate(t).Certificate[0]
	tests := []struct {
		name     string
		encoding access.CertificateEncoding
		remote   string
		tls      []byte
		fields   []string
		want     []byte
		fails    bool
	}{
		{"TLS", "", strangerAddress, client, nil, client, false},
		{"none", "", strangerAddress, nil, nil, nil, false},
		{"proxy", "", proxyAddress, nil, []string{access.EncodeClientCert(client)}, client, false},
		{"proxy over IPv4 in IPv6", "", "[::ffff:10.0.0.7]:1", nil, []string{access.EncodeClientCert(client)}, client, false},
		{"the proxy's own certificate is not the client's", "", proxyAddress, other, []string{access.EncodeClientCert(client)}, client, false},
		{"a client without one behind a proxy that has one", "", proxyAddress, other, nil, nil, false},
		{"empty field", "", proxyAddress, other, []string{""}, nil, false},
		{"header from a stranger", "", strangerAddress, nil, []string{access.EncodeClientCert(client)}, nil, false},
		{"header beside TLS from a stranger", "", strangerAddress, other, []string{access.EncodeClientCert(client)}, other, false},
		{"address without a port", "", "10.0.0.7", nil, []string{access.EncodeClientCert(client)}, nil, false},
		{"two fields", "", proxyAddress, nil, []string{access.EncodeClientCert(client), access.EncodeClientCert(client)}, nil, true},
		{"list in a field", "", proxyAddress, nil, []string{access.EncodeClientCert(client) + ", " + access.EncodeClientCert(other)}, nil, true},
		{"no colons", "", proxyAddress, nil, []string{base64.StdEncoding.EncodeToString(client)}, nil, true},
		{"one colon", "", proxyAddress, nil, []string{":"}, nil, true},
		{"nothing between colons", "", proxyAddress, nil, []string{"::"}, nil, true},
		{"base64url", "", proxyAddress, nil, []string{":_-8=:"}, nil, true},
		{"very long", "", proxyAddress, nil, []string{":" + strings.Repeat("A", 16<<10) + ":"}, nil, true},
		{"PEM", access.EscapedPEM, proxyAddress, nil, []string{escapedPEM(client)}, client, false},
		{"PEM from a stranger", access.EscapedPEM, strangerAddress, nil, []string{escapedPEM(client)}, nil, false},
		{"two PEM blocks", access.EscapedPEM, proxyAddress, nil, []string{escapedPEM(client) + escapedPEM(other)}, nil, true},
		{"PEM of a key", access.EscapedPEM, proxyAddress, nil, []string{"-----BEGIN%20PUBLIC%20KEY-----%0AAAAA%0A-----END%20PUBLIC%20KEY-----%0A"}, nil, true},
		{"broken escape", access.EscapedPEM, proxyAddress, nil, []string{"%zz"}, nil, true},
		{"no PEM", access.EscapedPEM, proxyAddress, nil, []string{access.EncodeClientCert(client)}, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source := fromProxies(test.encoding)
			if err := source.Check(); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = test.remote
			r.Header["Client-Cert"] = test.fields
			if test.tls != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: test.tls}}}
			}
			got, err := source.Of(r)
			if !bytes.Equal(got, test.want) || (err != nil) != test.fails {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			source.Strip(r)
			if kept := r.Header.Values("Client-Cert") != nil; kept && test.remote == strangerAddress {
				t.Error("a stranger's field is passed on")
			}
		})
	}
}

func TestCertificateSettings(t *testing.T) {
	t.Parallel()
	everywhere := []netip.Prefix{netip.MustParsePrefix("::/0")}
	for name, settings := range map[string]access.ClientCertificates{
		"header without proxies": {Header: "Client-Cert"},
		"proxies without header": {Proxies: everywhere},
		"encoding alone":         {Encoding: access.RFC9440},
		"unknown encoding":       {Header: "Client-Cert", Proxies: everywhere, Encoding: "der"},
		"no header name":         {Header: "Client Cert", Proxies: everywhere},
	} {
		if settings.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := new(access.ClientCertificates).Check(); err != nil {
		t.Error(err)
	}
}

func TestCertificateBoundTokens(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	client, other := newCertificate(t).Certificate[0], newCertificate(t).Certificate[0]
	bound := s.issuer.Token(certified(client))
	both := s.issuer.Token(tokentest.Claim("cnf", map[string]any{"x5t#S256": thumbprint(client), "jkt": s.key.JKT()}))
	refused := func(reason, detail string) answer {
		return answer{401, reason, []string{`Bearer error="invalid_token", error_description="` + detail + `"`, bareDPoP}}
	}
	refusedDPoP := func(reason, detail string) answer {
		return answer{401, reason, []string{
			`DPoP error="invalid_token", error_description="` + detail + `", algs="ES256 PS256 EdDSA"`, "Bearer"}}
	}
	const missing, wrong = "The token is bound to a client certificate, and none was presented.", "The token is bound to another client certificate."

	tests := []struct {
		name, authorization string
		shown               []byte
		failure             error
		proofs              []string
		want                answer
	}{
		{"the certificate", "Bearer " + bound, client, nil, nil, answer{}},
		{"no certificate", "Bearer " + bound, nil, nil, nil, refused("certificate_missing", missing)},
		{"another certificate", "Bearer " + bound, other, nil, nil, refused("certificate_wrong", wrong)},
		{"an unreadable one", "Bearer " + bound, nil, errors.New("unreadable"), nil,
			refused("certificate_unreadable", "The client certificate could not be read.")},
		{"a thumbprint with padding", "Bearer " + s.issuer.Token(tokentest.Claim("cnf", map[string]any{"x5t#S256": thumbprint(client) + "="})),
			client, nil, nil, refused("certificate_wrong", wrong)},
		{"unbound, whatever is shown", "Bearer " + s.issuer.Token(), other, nil, nil, answer{}},
		{"sent by DPoP", "DPoP " + bound, client, nil, []string{s.proof(bound)}, refusedDPoP("proof_wrong_key", "Invalid DPoP key binding")},
		{"both", "DPoP " + both, client, nil, []string{s.proof(both)}, answer{}},
		{"both, as Bearer", "Bearer " + both, client, nil, []string{s.proof(both)},
			refused("bound_token_as_bearer", "The token is bound to a DPoP key.")},
		{"both, no certificate", "DPoP " + both, nil, nil, []string{s.proof(both)}, refusedDPoP("certificate_missing", missing)},
		{"both, another certificate", "DPoP " + both, other, nil, []string{s.proof(both)}, refusedDPoP("certificate_wrong", wrong)},
		{"both, no proof", "DPoP " + both, client, nil, nil, answer{401, "proof_missing",
			[]string{`DPoP error="invalid_dpop_proof", algs="ES256 PS256 EdDSA"`, "Bearer"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := *s.checker
			c.Certificate = func(*http.Request) ([]byte, error) { return test.shown, test.failure }
			r := request(test.authorization)
			r.Header["Dpop"] = test.proofs
			check(t, &c, r, test.want)
		})
	}
}

// A proof that comes without the certificate is not used up by that.
func TestProofOutlivesAMissingCertificate(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	client := newCertificate(t).Certificate[0]
	both := s.issuer.Token(tokentest.Claim("cnf", map[string]any{"x5t#S256": thumbprint(client), "jkt": s.key.JKT()}))
	var shown []byte
	s.checker.Certificate = func(*http.Request) ([]byte, error) { return shown, nil }
	r := request("DPoP " + both)
	r.Header.Set("DPoP", s.proof(both))
	if _, p := s.checker.Check(r); p == nil || p.Reason != access.CertificateMissing {
		t.Fatal(p)
	}
	shown = client
	check(t, s.checker, r, answer{})
}

// Over real connections: the handshake proves that the client holds the key.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	certificate := newCertificate(t)
	s.checker.Certificate = fromProxies("").Of
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, p := s.checker.Check(r); p != nil {
			p.Write(w)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)

	for name, test := range map[string]struct {
		certificates []tls.Certificate
		header       string
		status       int
	}{
		"with the certificate":             {[]tls.Certificate{certificate}, "", 200},
		"with another":                     {[]tls.Certificate{newCertificate(t)}, "", 401},
		"without":                          {nil, "", 401},
		"a header that nobody vouches for": {nil, access.EncodeClientCert(certificate.Certificate[0]), 401},
	} {
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = test.certificates
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.issuer.Token(certified(certificate.Certificate[0])))
		r.Header.Set("Client-Cert", test.header)
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		transport.CloseIdleConnections()
		if response.StatusCode != test.status {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, test.status)
		}
	}
}

// The example of RFC 8705 appendix A.
func TestExampleOfRFC8705(t *testing.T) {
	t.Parallel()
	const example = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
`
	s := newResource(t)
	s.checker.Certificate = fromProxies(access.EscapedPEM).Of
	bound := func(print string) string {
		return s.issuer.Token(tokentest.Claim("cnf", map[string]any{"x5t#S256": print}))
	}
	r := request("Bearer " + bound("A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"))
	r.RemoteAddr = proxyAddress
	r.Header.Set("Client-Cert", url.PathEscape(example))
	check(t, s.checker, r, answer{})
	r.Header.Set("Authorization", "Bearer "+bound("bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")) // of section 3.1
	if _, p := s.checker.Check(r); p == nil || p.Reason != access.CertificateWrong {
		t.Errorf("got %v", p)
	}
}

func TestWarmCertificateCheckDoesNotAllocate(t *testing.T) {
	s := newResource(t)
	client := newCertificate(t).Certificate[0]
	s.checker.Certificate = new(access.ClientCertificates).Of
	r := request("Bearer " + s.issuer.Token(certified(client)))
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: client}}}
	allocations := testing.AllocsPerRun(1000, func() {
		if _, p := s.checker.Check(r); p != nil {
			t.Fatal(p)
		}
	})
	if allocations > 1 {
		t.Errorf("%v allocations", allocations)
	}
}

// FuzzClientCert: what is read is what was written, and nobody but a proxy is heard.
func FuzzClientCert(f *testing.F) {
	der := newCertificate(f).Certificate[0]
	for _, seed := range []string{access.EncodeClientCert(der), escapedPEM(der), "", ":", "::", ":AA==:", "%2D"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header["Client-Cert"] = []string{value}
		for _, encoding := range []access.CertificateEncoding{access.RFC9440, access.EscapedPEM} {
			source := fromProxies(encoding)
			r.RemoteAddr = strangerAddress
			if got, err := source.Of(r); got != nil || err != nil {
				t.Fatalf("believes a stranger: %v, %v", got, err)
			}
			r.RemoteAddr = proxyAddress
			got, err := source.Of(r)
			if err == nil && encoding == access.RFC9440 && len(got) > 0 && access.EncodeClientCert(got) != value {
				t.Fatalf("%q is read as %x", value, got)
			}
		}
	})
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		constraint      access.Constraint
		any, jkt, x5t   bool
		algs, challenge string
	}{
		{access.AnyConstraint, false, true, true, "ES256",
			`DPoP error="invalid_token", error_description="A sender-constrained access token is required.", algs="ES256"`},
		{access.AnyConstraint, false, true, true, "",
			`Bearer error="invalid_token", error_description="A sender-constrained access token is required."`},
		{access.DPoPConstraint, false, true, false, "ES256",
			`DPoP error="invalid_token", error_description="An access token that is bound to a DPoP key is required.", algs="ES256"`},
		{access.MutualConstraint, false, false, true, "ES256",
			`Bearer error="invalid_token", error_description="An access token that is bound to a client certificate is required."`},
	} {
		for _, have := range []struct {
			cnf   token.Confirmation
			holds bool
		}{
			{token.Confirmation{}, test.any}, {token.Confirmation{JKT: "x"}, test.jkt}, {token.Confirmation{X5TS256: "x"}, test.x5t},
			{token.Confirmation{JKT: "x", X5TS256: "x"}, true},
		} {
			if test.constraint.Holds(&token.Token{Confirmation: have.cnf}) != have.holds {
				t.Errorf("%s of %+v is not %v", test.constraint, have.cnf, have.holds)
			}
		}
		p := access.NotSenderConstrained(test.constraint, test.algs)
		if p.Status != 401 || p.Reason != "not_sender_constrained" || p.Header.Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%d %s %s", p.Status, p.Reason, p.Header)
		}
	}
	if access.Constraint("none").Holds(&token.Token{Confirmation: token.Confirmation{JKT: "x"}}) {
		t.Error("an unknown constraint holds")
	}
}
