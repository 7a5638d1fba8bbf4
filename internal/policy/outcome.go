package policy

import (
	"fmt"
	"net/http"
	"strings"
)

// Kind is what became of a request.
type Kind string

// The kinds. The first four mean that the request got somewhere.
const (
	Forwarded Kind = "forwarded" // to a service
	Files     Kind = "files"     // to a folder
	Responded Kind = "responded" // the configuration has an answer of its own
	Published Kind = "published" // the edge's own documents
	Refused   Kind = "refused"
	Nothing   Kind = "nothing" // no rule was for it: an empty 200
)

// Step is something on a request's way that is worth telling.
type Step struct {
	At   string `json:"at"`
	What string `json:"what"`
}

// Outcome is what the edge does with a request.
type Outcome struct {
	Server    string   `json:"server,omitempty"`
	API       string   `json:"api,omitempty"`
	Kind      Kind     `json:"kind"`
	Status    int      `json:"status,omitempty"` // 0: whatever the service says
	Reason    string   `json:"reason,omitempty"`
	Rule      Step     `json:"rule"` // that decided
	Upstreams []string `json:"upstreams,omitempty"`
	Sent      *Sent    `json:"sent,omitempty"` // what they, or whoever else answers, are asked
	// Asked are services that get the request, though routes answer in their place.
	Asked     []*Asked  `json:"asked,omitempty"`
	Location  string    `json:"location,omitempty"`
	Challenge string    `json:"challenge,omitempty"`
	Counters  []Counter `json:"counters,omitempty"`
	Steps     []Step    `json:"steps,omitempty"`
	// Open names what could not be analysed on the way.
	Open []string `json:"open,omitempty"`
	// May says how else the edge may answer, for what no configuration tells; see MayAlso.
	May []string `json:"may_also,omitempty"`

	// Counts are those after it, where somebody counts.
	Counts Counts `json:"-"`

	api      *API
	tokens   *AccessToken // that was passed
	requires []*Require
	zones    []*Zone
	counted  map[string][]string // by placeholder of these, what handlers have made of it in front of them
	unread   []*unread           // of the handlers on the way
	public   bool
	bounded  bool      // it got to a request_body that limits it
	failed   bool      // something on the way that could
	asked    bool      // it is that of a service whose answer is handled
	tells    []telling // what only the edge knows and the answer has in it
	way      *way      // to who answers; nil: nobody was reached
}

// Asked is a service that a request got to, whoever answers then.
type Asked struct {
	Rule      Step     `json:"rule"`
	Upstreams []string `json:"upstreams"`
	Sent      *Sent    `json:"sent,omitempty"`

	then Outcome // of the request, had the service's answer been handed on
}

// Admits says whether the request got to something.
func (o *Outcome) Admits() bool {
	switch o.Kind {
	case Forwarded, Files:
		return true
	case Responded:
		return o.Status < http.StatusMultipleChoices
	default:
		return o.Kind == Published
	}
}

// Reaches says whether the request is asked of something outside the configuration.
func (o *Outcome) Reaches() bool { return o.Kind == Forwarded || o.Kind == Files }

// tell says what they are asked.
func (o *Outcome) tell(r *Request) {
	if o.way != nil && o.Reaches() {
		o.Sent = o.way.sent(r)
	}
	for _, a := range o.Asked {
		a.Sent = a.then.way.sent(r)
	}
}

// String tells the outcome in one line.
func (o *Outcome) String() string {
	switch {
	case o.Kind == Forwarded:
		return fmt.Sprintf("forwarded to %s", strings.Join(o.Upstreams, " "))
	case o.Reason != "":
		return fmt.Sprintf("%d %s", o.Status, o.Reason)
	default:
		return fmt.Sprintf("%d %s", o.Status, o.Kind)
	}
}
