package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// Sandbox is an edge that connects to nothing: cases.Edge with the real handlers. It is
// for one case at a time; sandboxes share nothing but the mint.
type Sandbox struct {
	config  []byte
	options Options
	settings

	edge  *Edge
	world *world
	notes []string
}

// settings are those of the configuration that its connections depend on.
type settings struct {
	tollgate    policy.Settings
	certificate certificateHeader
	connections map[string][]connectionPolicy // by server
}

// New provisions a configuration in Caddy's JSON.
func New(config []byte, options Options) (*Sandbox, error) {
	s := &Sandbox{config: config, options: options}
	if options.Mint == nil {
		s.options.Mint = mint.New()
	}
	err := policy.CheckMembers(config) // what is sealed is found by its name
	if err != nil {
		return nil, fmt.Errorf("not a configuration: %w", err)
	}
	if s.settings, err = readSettings(config); err != nil {
		return nil, err
	}
	return s, s.open()
}

// Close implements cases.Edge.
func (s *Sandbox) Close() {
	if s.edge != nil {
		s.edge.Close()
	}
	s.edge = nil
}

// Notes tell what is not as the configuration says.
func (s *Sandbox) Notes() []string { return s.notes }

func (s *Sandbox) open() error {
	registerOnce()
	name := strconv.FormatUint(editions.Add(1), 10)
	s.world = &world{clock: new(clock), Issuers: &mint.Issuers{Mint: s.options.Mint, Endpoints: make(map[string]mint.Asked)}}
	s.world.Issuers.Now = s.world.clock.Now
	if s.world.keys = s.options.Keys; s.world.keys == nil {
		s.world.keys = s.options.Mint.Keys
	}
	for _, i := range s.tollgate.Issuers {
		if i == nil || i.Introspection == nil {
			continue
		}
		asked := mint.Asked{Issuer: i.URL, Algorithm: i.Preferred()}
		if len(i.Audiences) > 0 {
			asked.Audience = i.Audiences[0]
		}
		endpoint := i.Introspection.Endpoint
		if endpoint == "" {
			endpoint = mint.Endpoint(i.URL)
		}
		s.world.Endpoints[endpoint] = asked
	}
	sealed, err := seal(s.config, name, s.options)
	if err != nil {
		return err
	}
	worlds.Store(name, s.world)
	defer worlds.Delete(name)
	s.world.clock.set(beginning)
	s.notes = sealed.notes
	s.edge, err = Open(sealed.config)
	return err
}

// Each case begins in a year of its own: by then, what an earlier one has left behind in
// limits, in memories of proofs and tokens, and in what issuers have said is over. The
// longest of these is a window of 366 days. It is noon in the middle of a month, so that no
// period of a day or a month ends by chance. Nanoseconds in 64 bits end in 2262; long before,
// everything is provisioned anew.
var beginning = time.Date(firstYear, time.January, 15, 12, 0, 0, 0, time.UTC)

const (
	firstYear  = 2026
	lastYear   = firstYear + 200
	yearsApart = 2
)

// Begin implements cases.Edge.
func (s *Sandbox) Begin() error {
	passed := s.world.Now().Year() - firstYear
	if firstYear+passed > lastYear {
		s.Close()
		if err := s.open(); err != nil {
			return err
		}
		passed = 0
	}
	s.world.clock.set(beginning.AddDate(passed+yearsApart, 0, 0))
	return nil
}

// Now implements cases.Edge.
func (s *Sandbox) Now() time.Time { return s.world.Now() }

// Wait implements cases.Edge.
func (s *Sandbox) Wait(d time.Duration) { s.world.clock.add(d) }

// Issuers implements cases.Edge.
func (s *Sandbox) Issuers() *mint.Issuers { return s.world.Issuers }

// Send implements cases.Edge.
func (s *Sandbox) Send(c cases.Call) (*cases.Answer, error) {
	server, err := s.server(c)
	if err != nil {
		return nil, err
	}
	host := hostOf(c.Host)
	asks, why, err := s.connects(server, host, c)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return &cases.Answer{Connection: cases.Refused, Why: why}, nil
	}
	r, err := s.request(host, c, asks)
	if err != nil {
		return nil, err
	}
	a, err := s.serve(server, r, c)
	if err == nil && c.Certificate != nil && !asks && !s.certificate.trusts(c.Address) {
		a.Met.Logged = append(a.Met.Logged, "the server asks for no client certificate, so none was shown")
	}
	return a, err
}

// serve has the request answered; a handler may abort it by a panic, which net/http takes
// for the end of the connection.
func (s *Sandbox) serve(server string, r *http.Request, c cases.Call) (a *cases.Answer, err error) {
	m := &cases.Met{Passed: make(map[string]bool)}
	r = r.WithContext(context.WithValue(context.WithValue(r.Context(), metKey{}, m), callKey{}, c))
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			a, err = &cases.Answer{Connection: cases.Aborted, Why: "a handler cut the connection", Met: *m}, nil
		default:
			a, err = &cases.Answer{Connection: cases.Aborted, Why: fmt.Sprintf("a handler fails: %v", p), Met: *m}, nil
		}
	}()
	answer, err := s.edge.Serve(server, r)
	if err != nil {
		return nil, err
	}
	m.Logged = s.edge.log.errors()
	return &cases.Answer{
		Status: answer.Code, Header: answer.Result().Header, Body: answer.Body.Bytes(), API: answer.API, Reason: answer.Reason, Met: *m,
	}, nil
}

// Serve has a server answer a request as it is, at the time that it is there.
func (s *Sandbox) Serve(server string, r *http.Request) (*cases.Answer, error) {
	return s.serve(server, r, cases.Call{})
}

// request reads the request as a server would.
func (s *Sandbox) request(host string, c cases.Call, asks bool) (*http.Request, error) {
	header := c.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	forwarded := c.Certificate != nil && s.certificate.trusts(c.Address)
	if forwarded {
		header.Set(s.certificate.Header, s.certificate.encode(c.Certificate))
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.Method, c.Target, c.Host)
	if c.Body != "" && header.Get("Content-Length") == "" {
		header.Set("Content-Length", strconv.Itoa(len(c.Body)))
	}
	_ = header.Write(&text) // to memory
	text.WriteString("\r\n" + c.Body)
	r, err := http.ReadRequest(bufio.NewReader(&text))
	if err != nil {
		return nil, fmt.Errorf("not a request: %w", err)
	}
	r.RemoteAddr = netip.AddrPortFrom(c.Address, 40000).String()
	if c.Secure {
		r.TLS = &tls.ConnectionState{
			HandshakeComplete: true, Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256,
			ServerName: host, NegotiatedProtocol: "http/1.1",
		}
		if c.Certificate != nil && asks && !forwarded {
			r.TLS.PeerCertificates = []*x509.Certificate{c.Certificate.Certificate}
		}
	}
	return r, nil
}

// hostOf gives the host without its port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
