package sandbox

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// connectionPolicy is one of a server's TLS policies.
type connectionPolicy struct {
	Match      map[string]json.RawMessage `json:"match"`
	ClientAuth *struct {
		Mode string `json:"mode"`
		// What says whose certificates are good.
		CA               json.RawMessage `json:"ca"`
		TrustedCACerts   json.RawMessage `json:"trusted_ca_certs"`
		TrustedCAFiles   json.RawMessage `json:"trusted_ca_certs_pem_files"`
		TrustedLeafCerts json.RawMessage `json:"trusted_leaf_certs"`
		Verifiers        json.RawMessage `json:"verifiers"`
	} `json:"client_authentication"`
}

// certificateHeader is how proxies in front hand certificates on.
type certificateHeader struct {
	Header   string                     `json:"header"`
	Encoding access.CertificateEncoding `json:"encoding"`
	Proxies  []string                   `json:"proxies"`
}

func readSettings(config []byte) (settings, error) {
	var raw struct {
		Apps struct {
			HTTP struct {
				Servers map[string]*struct {
					Connections []connectionPolicy `json:"tls_connection_policies"`
				} `json:"servers"`
			} `json:"http"`
			Tollgate json.RawMessage `json:"tollgate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &raw); err != nil {
		return settings{}, fmt.Errorf("not a configuration: %w", err)
	}
	s := settings{connections: make(map[string][]connectionPolicy)}
	for name, server := range raw.Apps.HTTP.Servers {
		if server != nil {
			s.connections[name] = server.Connections
		}
	}
	if len(raw.Apps.Tollgate) == 0 {
		return s, nil
	}
	var more struct {
		ClientCertificate certificateHeader `json:"client_certificate"`
	}
	if err := json.Unmarshal(raw.Apps.Tollgate, &more); err != nil {
		return s, fmt.Errorf("app tollgate: %w", err)
	}
	s.certificate = more.ClientCertificate
	var model policy.Settings
	if err := json.Unmarshal(raw.Apps.Tollgate, &model); err != nil {
		return s, fmt.Errorf("app tollgate: %w", err)
	}
	s.tollgate = model
	return s, nil
}

func (h *certificateHeader) trusts(address netip.Addr) bool {
	return h.Header != "" && slices.ContainsFunc(h.Proxies, func(proxy string) bool {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(proxy)
		return err == nil && prefix.Masked().Contains(address.Unmap())
	})
}

func (h *certificateHeader) encode(c *mint.Certificate) string {
	if h.Encoding == access.EscapedPEM {
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	return access.EncodeClientCert(c.Raw)
}

// server finds the server that the request comes to.
func (s *Sandbox) server(c cases.Call) (string, error) {
	if c.Server != "" {
		server := s.edge.app.Servers[c.Server]
		if server == nil {
			return "", fmt.Errorf("no server %q; there are %s", c.Server, strings.Join(slices.Sorted(maps.Keys(s.edge.app.Servers)), " "))
		}
		return c.Server, nil
	}
	host, port := hostOf(c.Host), ""
	if _, explicit, err := net.SplitHostPort(c.Host); err == nil {
		port = explicit
	}
	found := s.listening(c.Secure, host, port)
	if len(found) == 0 && port == "" { // a load balancer may stand in front
		found = s.listening(c.Secure, host, "any")
	}
	scheme := map[bool]string{false: "http", true: "https"}[c.Secure]
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no server of the configuration listens for %s at %s", scheme, c.Host)
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("servers %s listen for %s at %s: say which by server", strings.Join(found, " and "), scheme, c.Host)
	}
}

// listening gives the servers at a port: that of the scheme where it is empty. Where one
// of them is bound to the host's own address, it is that one.
func (s *Sandbox) listening(secure bool, host, port string) []string {
	app := s.edge.app
	standard := map[bool]uint{false: uint(caddyhttp.DefaultHTTPPort), true: uint(caddyhttp.DefaultHTTPSPort)}
	if app.HTTPPort > 0 {
		standard[false] = uint(app.HTTPPort)
	}
	if app.HTTPSPort > 0 {
		standard[true] = uint(app.HTTPSPort)
	}
	wanted := uint64(map[bool]uint{false: 80, true: 443}[secure])
	if port != "" && port != "any" {
		wanted, _ = strconv.ParseUint(port, 10, 16) // the URL was parsed
	}
	var found, own []string
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		for _, listen := range server.Listen {
			address, err := caddy.ParseNetworkAddressWithDefaults(listen, "tcp", standard[secure])
			if err != nil {
				continue // it would not have been provisioned
			}
			encrypted := len(server.TLSConnPolicies) > 0 && address.StartPort != standard[false]
			at := port == "any" || uint64(address.StartPort) <= wanted && wanted <= uint64(address.EndPort)
			if encrypted != secure || !at {
				continue
			}
			if !slices.Contains(found, name) {
				found = append(found, name)
			}
			if address.Host != "" && strings.Trim(address.Host, "[]") == strings.Trim(host, "[]") && !slices.Contains(own, name) {
				own = append(own, name)
			}
		}
	}
	if len(own) > 0 {
		return own
	}
	return found
}

// connects says whether the server asks for a certificate, and why the TLS handshake
// fails; empty: it does not.
func (s *Sandbox) connects(server, host string, c cases.Call) (asks bool, why string, err error) {
	policies := s.connections[server]
	if !c.Secure || len(policies) == 0 {
		return false, "", nil
	}
	for _, p := range policies {
		matches, err := p.matches(host)
		if err != nil {
			return false, "", fmt.Errorf("server %s: %w", server, err)
		}
		if matches {
			return p.ClientAuth != nil, p.judge(c), nil
		}
	}
	return false, "no TLS policy of server " + server + " is for " + host, nil
}

func (p *connectionPolicy) matches(host string) (bool, error) {
	for name, raw := range p.Match {
		if name != "sni" {
			return false, fmt.Errorf("TLS policies with the matcher %s cannot be tested", name)
		}
		var names []string
		if err := json.Unmarshal(raw, &names); err != nil {
			return false, err
		}
		if !slices.ContainsFunc(names, func(n string) bool { return certmagic.MatchWildcard(strings.ToLower(host), strings.ToLower(n)) }) {
			return false, nil
		}
	}
	return true, nil
}

// judge decides about the client's certificate as crypto/tls does.
func (p *connectionPolicy) judge(c cases.Call) string {
	a := p.ClientAuth
	if a == nil {
		return ""
	}
	mode := a.Mode
	if mode == "" { // as Caddy has it
		mode = "require"
		if len(a.CA)+len(a.TrustedCACerts)+len(a.TrustedCAFiles)+len(a.TrustedLeafCerts) > 0 {
			mode = "require_and_verify"
		}
	}
	switch {
	case c.Certificate == nil && (mode == "require" || mode == "require_and_verify"):
		return "a client certificate is needed"
	case c.Certificate != nil && c.Untrusted && (mode == "verify_if_given" || mode == "require_and_verify"):
		return "the client certificate is of an authority that is not trusted"
	default:
		return ""
	}
}
