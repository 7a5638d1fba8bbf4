// Package cases are what an edge has to answer: requests with tokens, and what is expected
// of each, in YAML files. It reads the files, runs the cases against an Edge, and counts
// which rules of the policy they have shown at work.
package cases

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// Edge answers the requests of cases. It is for one case at a time.
type Edge interface {
	// Begin forgets everything that an earlier case has left behind.
	Begin() error
	// Send has a request answered. An error says that it cannot be sent like that.
	Send(Call) (*Answer, error)
	// Now is the time there, which goes on by Wait alone.
	Now() time.Time
	Wait(time.Duration)
	// Issuers know the opaque tokens.
	Issuers() *mint.Issuers
	// Close is its end.
	Close()
}

// Call is a request.
type Call struct {
	Method string
	// Secure is https. Host may have a port, Target is path and query, both as they are written.
	Secure       bool
	Host, Target string
	Header       http.Header
	Body         string
	Address      netip.Addr
	// Certificate is what the client shows; nil: none. Untrusted is one of an authority that
	// no server trusts.
	Certificate *mint.Certificate
	Untrusted   bool
	// Server is the name of the one that it comes to, where the port does not say it.
	Server string
	// After is how often it is taken to have been sent before: its limits count that, and
	// nothing else does.
	After int
	// Service is what services answer.
	Service Service
}

// Service is what services answer; the zero value is an empty 200.
type Service struct {
	Status int
	Header http.Header
	Body   string
}

// Connection says what became of a connection that brought no answer.
type Connection string

// Ways to get no answer.
const (
	Refused Connection = "refused" // in the TLS handshake
	Aborted Connection = "aborted" // by a handler
)

// Answer is what came of a request: as the caller sees it, as the access log tells it,
// and what it has met on its way.
type Answer struct {
	Connection Connection // empty: there is an answer
	Why        string     // there is none
	Status     int
	Header     http.Header
	Body       []byte
	// API and Reason are those of the access log.
	API, Reason string
	Met         Met
}

// Met is what a request has met.
type Met struct {
	// Reached are the handlers that it came to, in order, and Passed those that let it on.
	// Handlers are known by a JSON pointer from the root of the configuration; an api is
	// "api NAME", and what is in it by a pointer from there.
	Reached []string
	Passed  map[string]bool
	// RefusedBy is the innermost handler that refused.
	RefusedBy string
	Zones     []Stand
	// Upstreams are the services that it got to, as scheme://address, and Forwarded the
	// header that the last one of them got.
	Upstreams []string
	Forwarded http.Header
	// Impossible is what the call says and what could not be done.
	Impossible []string
	// NotRun are handlers on its way that are not run here.
	NotRun []string
	// Answered says that a handler has answered; otherwise it is Caddy's empty 200.
	Answered bool
	// Logged are errors of the log.
	Logged []string
}

// Stand is where a request stood in a zone after its answer.
type Stand struct {
	API, Zone string
	Remaining int64
	Shadow    bool
	Counted   bool // it has passed
	Refused   bool // by this zone
}
