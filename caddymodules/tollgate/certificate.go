package tollgate

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/identity"
)

// ClientCertificate says how proxies in front of this edge, which end the client's
// TLS, hand its certificate on.
type ClientCertificate struct {
	// Header is the field that they put it into. It is taken from the requests of all others.
	Header string `json:"header"`
	// Encoding is rfc9440 (RFC 9440, as in Client-Cert) or pem (percent-encoded, as nginx
	// has it in $ssl_client_escaped_cert); empty: rfc9440.
	Encoding access.CertificateEncoding `json:"encoding,omitempty"`
	// Proxies are the addresses, or ranges of them, that their connections come from.
	Proxies []string `json:"proxies"`
}

// settings checks what is configured; nil is TLS alone.
func (c *ClientCertificate) settings() (access.ClientCertificates, error) {
	if c == nil {
		return access.ClientCertificates{}, nil
	}
	s := access.ClientCertificates{Header: c.Header, Encoding: c.Encoding}
	if _, err := identity.New(c.Header); err != nil {
		return s, fmt.Errorf("client_certificate: header %w", err)
	}
	for _, proxy := range c.Proxies {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(proxy)
		if err != nil {
			return s, fmt.Errorf("client_certificate: %q is neither an address nor a range", proxy)
		}
		s.Proxies = append(s.Proxies, prefix.Masked())
	}
	return s, s.Check()
}

// parseCertificate reads: client_certificate header <name> rfc9440|pem from <cidr>...
func (a *App) parseCertificate(d *caddyfile.Dispenser) error {
	if a.ClientCertificate != nil {
		return d.Err("client_certificate is there twice")
	}
	args := d.RemainingArgs()
	if len(args) < 5 || args[0] != "header" || args[3] != "from" {
		return d.Err("client_certificate header <name> rfc9440|pem from <address or range>...")
	}
	a.ClientCertificate = &ClientCertificate{Header: args[1], Encoding: access.CertificateEncoding(args[2]), Proxies: args[4:]}
	if _, err := a.ClientCertificate.settings(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// CertificateHeaders names the fields that may speak of certificates, for an api to
// keep them from the service in every spelling.
func (a *App) CertificateHeaders() []string {
	if a.certificates.Header == "" {
		return nil
	}
	return []string{a.certificates.Header}
}

// certificateVar is the request variable that holds what a proxy said.
const certificateVar = "tollgate.certificate"

// certificate is the client's as far as the proxies in front know it.
type certificate struct {
	der []byte
	err error
}

// TakeCertificate takes the client's certificate out of the header of a trusted proxy,
// before anything is stripped from the request.
func (a *App) TakeCertificate(r *http.Request) {
	c := &a.deciding().certificates
	if c.Header == "" {
		return
	}
	der, err := c.Of(r)
	caddyhttp.SetVar(r.Context(), certificateVar, certificate{der, err})
	r.Header.Del(c.Header)
}

// certificateOf gives the certificate whose key the client has proved to hold.
func certificateOf(r *http.Request) ([]byte, error) {
	if taken, ok := caddyhttp.GetVar(r.Context(), certificateVar).(certificate); ok {
		return taken.der, taken.err
	}
	return new(access.ClientCertificates).Of(r) // that of TLS
}
