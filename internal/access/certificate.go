package access

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// maxCertificate bounds a certificate in a header, encoded.
const maxCertificate = 16 << 10

// CertificateEncoding is how a proxy writes a certificate into a header.
type CertificateEncoding string

// The encodings that are understood.
const (
	// RFC9440 is base64 of the DER between colons, as in Client-Cert.
	RFC9440 CertificateEncoding = "rfc9440"
	// EscapedPEM is a PEM block in percent-encoding, as nginx has it in $ssl_client_escaped_cert.
	EscapedPEM CertificateEncoding = "pem"
)

// decoders give the DER of a header's value.
var decoders = map[CertificateEncoding]func(string) ([]byte, error){
	RFC9440:    decodeRFC9440,
	EscapedPEM: decodeEscapedPEM,
}

// ClientCertificates finds the certificate whose key the client has proved to hold.
// The zero value knows those of TLS alone.
type ClientCertificates struct {
	// Header is the field in which the proxies hand the client's certificate on;
	// empty: there are no proxies.
	Header string
	// Encoding of the field; RFC9440 when empty.
	Encoding CertificateEncoding
	// Proxies are the addresses that connections of the trusted proxies come from.
	// On these connections the TLS certificate, if any, is the proxy's and not the
	// client's; on all others the field is the caller's own invention.
	Proxies []netip.Prefix
}

// Check says what is wrong with the settings.
func (c *ClientCertificates) Check() error {
	if c.Header == "" {
		if len(c.Proxies) > 0 || c.Encoding != "" {
			return errors.New("client certificates: proxies, but no header that they use")
		}
		return nil
	}
	if strings.ContainsFunc(c.Header, notToken) {
		return errors.New("client certificates: not the name of a header")
	}
	if len(c.Proxies) == 0 {
		return errors.New("client certificates: a header, but no proxy that is trusted with it")
	}
	if _, known := decoders[c.encoding()]; !known {
		return fmt.Errorf("client certificates: unknown encoding %q", c.Encoding)
	}
	return nil
}

func (c *ClientCertificates) encoding() CertificateEncoding {
	if c.Encoding == "" {
		return RFC9440
	}
	return c.Encoding
}

// Of gives the DER of the client's certificate, nil when it has shown none. An error
// means that a trusted proxy sent what nobody can read.
func (c *ClientCertificates) Of(r *http.Request) ([]byte, error) {
	if c.Header != "" && c.trusts(r.RemoteAddr) {
		return c.forwarded(r.Header)
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	return r.TLS.PeerCertificates[0].Raw, nil
}

// Strip removes the field unless a trusted proxy sent it, so that nothing behind us
// believes what a caller made up.
func (c *ClientCertificates) Strip(r *http.Request) {
	if c.Header != "" && !c.trusts(r.RemoteAddr) {
		r.Header.Del(c.Header)
	}
}

// trusts says whether the connection comes from one of the proxies.
func (c *ClientCertificates) trusts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := at.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(c.Proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

func (c *ClientCertificates) forwarded(h http.Header) ([]byte, error) {
	fields := h[textproto.CanonicalMIMEHeaderKey(c.Header)]
	if len(fields) == 0 {
		return nil, nil
	}
	if len(fields) > 1 || len(fields[0]) > maxCertificate {
		return nil, errors.New("more than one certificate, or a very long one")
	}
	if fields[0] == "" { // nginx, when the client has shown none
		return nil, nil
	}
	return decoders[c.encoding()](fields[0])
}

// EncodeClientCert gives the value of a Client-Cert field (RFC 9440 section 2.1), for
// a server behind us that trusts us with it.
func EncodeClientCert(der []byte) string {
	return ":" + base64.StdEncoding.EncodeToString(der) + ":"
}

var errCertificate = errors.New("not a certificate in the encoding that is configured")

// decodeRFC9440 reads a byte sequence (RFC 9651 section 3.3.5).
func decodeRFC9440(value string) ([]byte, error) {
	inner, opened := strings.CutPrefix(value, ":")
	inner, closed := strings.CutSuffix(inner, ":")
	// The standard decoder skips line breaks, even in strict mode.
	if !opened || !closed || inner == "" || strings.ContainsAny(inner, "\r\n") {
		return nil, errCertificate
	}
	der, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil {
		return nil, errCertificate // base64's words give a position, and no more is needed
	}
	return der, nil
}

func decodeEscapedPEM(value string) ([]byte, error) {
	text, err := url.PathUnescape(value) // a plus is a plus here
	if err != nil {
		return nil, errCertificate
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, errCertificate
	}
	return block.Bytes, nil
}
