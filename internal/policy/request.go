package policy

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Request is what a caller sends.
type Request struct {
	Method  string // empty: any, while requests are enumerated
	Host    string // as sent: with a port, if it has one
	Target  string // the request target: path and query, as sent
	Header  http.Header
	TLS     bool
	Remote  netip.Addr // of the connection
	Token   *Token     // nil: none is sent
	SentAs  Scheme     // how Token is sent
	HasCert bool       // the certificate that the token is bound to, or any, is shown

	open  map[string]bool       // header fields and other dimensions that are decided, while others are not
	asked map[string]bool       // the same, of one that is complete
	parts map[string]*openLines // fields and parameters that are decided value by value
	hosts *hostClasses          // which Hosts matchers take for the same, of one that is complete

	failure failure // on its way

	client netip.Addr // as a server takes it, and whether that is not known
	unsure bool
}

// seenBy is the request with the address that a server takes for the client's. For that it
// has to be complete.
func (r *Request) seenBy(s *Server) *Request {
	seen := *r
	client, known := s.clientOf(r)
	seen.client, seen.unsure = client, !known
	return &seen
}

// Scheme is the one of the Authorization field.
type Scheme string

// Of the two, DPoP comes with a good proof.
const (
	Bearer Scheme = "Bearer"
	DPoP   Scheme = "DPoP"
)

// Token is a token with a good signature of its issuer.
type Token struct {
	Issuer    string
	Audience  []string
	Algorithm string // empty: an opaque one
	Subject   string
	Client    string
	Scopes    []string
	ACR       string
	AuthTime  time.Time
	Expires   time.Time // zero: later
	Details   []string  // types of authorization_details
	Claims    map[string]any
	JKT, X5T  bool // bound to a DPoP key, to a certificate
}

// Bound says whether the token is of use only with a proof of possession.
func (t *Token) Bound() bool { return t.JKT || t.X5T }

// parseTarget gives the URL of an origin-form target.
func parseTarget(target string) (*url.URL, error) { return url.ParseRequestURI(target) }
