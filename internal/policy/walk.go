package policy

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/canonical"
	"github.com/open-tollgate/tollgate/internal/identity"
)

// walk is one request on its way through the routes, in the order that Caddy tries them.
type walk struct {
	config *Config
	server *Server
	req    *Request // as sent; what is open in it is decided by the oracle
	judge  *Judge   // nil: every token and every count passes
	oracle *oracle
	site   string // the Host as matchers of hosts take it

	method, target string   // as rewritten; method empty: as sent
	url            *url.URL // as rewritten
	path           lowered
	queryChanged   bool
	lost           string   // why the URL is not known any more
	rewrites       []string // since then
	rewrote        []string // all that have changed the URL, as they are written
	lostQuery      string   // why its query is not
	lostMethod     string   // why the method is not
	methodSet      bool     // method is a handler's, even if it is empty
	anyHost        bool     // a handler has set the Host
	copied         bool     // Caddy has gone on with a copy, whose method and Host placeholders do not see
	staleMethod    bool     // the copy's is another
	staleHost      bool     // so is its Host
	hostBefore     *field   // the Host in front of the handler that is changing fields: its placeholders see that
	steered        string   // by which handler address and identity are not what they were

	fields   fields
	vars     map[string]string
	guessed  map[string]bool // of these, as of fields
	captured []captured
	answers  []answerOp
	passes   []*Pass

	strips     []*identity.List // what apis on the way have taken away; error routes can lead to a second one
	groups     map[string]bool  // satisfied by a route
	current    *API
	proven     bool           // the DPoP proof is used up
	identified bool           // a token has passed: until then nobody is known
	invoked    int            // named routes on the way
	nested     int            // placeholders in what placeholders were set to, that are being filled in
	last       bool           // what fails now ends the request: its error routes are left
	catching   int            // subroutes around that have error routes
	tried      [failKinds]int // what can fail and did not
	changes    int            // handlers that were passed: each may have changed what matchers look at

	responding *Proxy // whose service's answer is handled
	asked      []*way // to services whose answers were handled
	given      bool   // there is an answer, which nothing but another one replaces
	anyStatus  bool   // its status is not known

	broken      string  // the matcher that has failed
	message     *string // of the last error that had one for handlers to tell; nil: not known
	raised      *string // the same, of the last error at all
	errorStatus int     // of the error that is being handled; 0: none
	toldStatus  int     // what {http.error.status_code} stands for: the last one that was told; 0: nothing
	out         Outcome
}

type next func() end

// end is how a handler came back: with an answer, or with an error for who handles it.
type end struct {
	failed  bool
	message *string // nil: not known
	bare    bool    // in which Caddy's own handlers see no status, as in a problem of an API's
	plain   bool    // and which is no such problem either
	proxy   bool    // reverse_proxy has put one around it, which they see: 502
	status  int
	reason  string
}

var answered = end{}

// What stands for the status of an error that is no one number.
const (
	noStatus   = -1 // Caddy's own handlers cannot tell it
	openStatus = -2 // the request decides it
)

// shownStatus is the status that an answer has.
func shownStatus(status int) int {
	if status < 0 {
		return http.StatusInternalServerError
	}
	return status
}

// walkRequest sends the request through a server.
func (c *Config) walkRequest(s *Server, r *Request, j *Judge, o *oracle) Outcome {
	if r.open == nil {
		r = r.seenBy(s)
	}
	w := &walk{config: c, server: s, req: r, judge: j, oracle: o, site: siteOf(r.Host), groups: make(map[string]bool)}
	w.out.Server = s.Name
	if j != nil {
		w.out.Counts = maps.Clone(j.Counts)
	}
	if err := w.begin(); err != nil {
		w.refuse(http.StatusBadRequest, "bad_request", Step{What: "not a request target"})
		return w.out
	}
	e := answered
	if !isHost(r.Host) {
		e = w.fail(http.StatusBadRequest, "", Step{What: "the Host is not valid"})
	} else if status, fails := w.fails(serverFails, s.Name); fails {
		e = w.fail(status, "", Step{What: serverFails.what})
	} else {
		e = w.routes(s.Routes, w.nothing)
	}
	if e.failed {
		w.handleError(e)
	}
	if w.aborted() {
		w.cut() // and so are the fields
	}
	if w.out.way == nil {
		w.deliver(silent{}, nil)
	}
	w.out.tells = w.out.way.words().tells()
	if !o.quiet {
		w.out.tell(r)
	}
	return w.out
}

// begin sets the URL to what was sent.
func (w *walk) begin() error {
	u, err := parseTarget(w.req.Target)
	if err != nil {
		return err
	}
	w.url, w.target, w.method, w.methodSet = u, w.req.Target, "", false
	w.path, w.queryChanged, w.lost, w.lostQuery, w.lostMethod, w.rewrites, w.rewrote = newLowered(u.Path), false, "", "", "", nil, nil
	return nil
}

// nothing is the end of a server's routes, also for an error that a subroute has caught
// and not answered.
func (w *walk) nothing() end {
	if w.given {
		return answered
	}
	w.out.Kind, w.out.Status, w.out.way = Nothing, http.StatusOK, nil
	w.out.Rule = Step{What: "no rule answers"}
	return answered
}

// routes runs a list of them in front of what comes next.
func (w *walk) routes(routes []*Route, next next) end { return w.routesFrom(routes, 0, next) }

func (w *walk) routesFrom(routes []*Route, at int, next next) end {
	for n := w.following(routes, at); n < len(routes); n = w.following(routes, n+1) {
		r := routes[n]
		if r.Group != "" && w.groups[r.Group] {
			continue
		}
		found := anySet(r.Match, w)
		if w.broken != "" {
			return w.breakOff()
		}
		if !found {
			continue
		}
		if r.Group != "" {
			w.groups[r.Group] = true
		}
		rest := func() end { return w.routesFrom(routes, n+1, next) }
		if r.Terminal {
			rest = w.nothing
			if w.errorStatus != 0 { // now, and not when its end is reached
				rest = w.empty
			}
		}
		return w.handlers(r.Handlers, rest)
	}
	return next()
}

// breakOff is what becomes of a request when a matcher fails.
func (w *walk) breakOff() end {
	rule := Step{What: w.broken}
	w.broken = ""
	return w.broke(rule)
}

func (w *walk) handlers(handlers []Handler, next next) end {
	if len(handlers) == 0 {
		return next()
	}
	if more := w.config.unread[handlers[0]]; more != nil {
		w.out.unread = append(w.out.unread, more)
	}
	return handlers[0].serve(w, func() end {
		w.changes++
		return w.handlers(handlers[1:], next)
	})
}

func (h *Subroute) serve(w *walk, next next) end {
	if !h.caught {
		return w.routes(h.Routes, next)
	}
	w.catching++
	around := w.wrappers()
	e := w.routes(h.Routes, next)
	w.catching--
	if !e.failed {
		return e
	}
	w.unwrap(around)
	before := w.errorStatus
	w.handling(e)
	e = w.routes(h.Errors, next)
	w.errorStatus = before
	return e
}

func (h *Invoke) serve(w *walk, next next) end {
	r := w.server.Named[h.Name]
	if r == nil {
		return w.broke(Step{h.At, h.String()})
	}
	if w.invoked++; w.invoked > maxInvoked {
		return (&Unknown{h.At, h.String() + ", after a thousand named routes"}).serve(w, next)
	}
	return w.routes([]*Route{r}, next)
}

// maxInvoked is how many named routes a request is followed through: they may be a circle,
// in which the edge itself goes on until it has no more memory.
const maxInvoked = 1000

func (h *API) serve(w *walk, _ next) end {
	w.meet(h.At, h)
	w.out.API, w.out.public, w.out.api, w.current = h.Name, h.Public, h, h
	around := w.wrappers()
	e := h.admit(w)
	if !e.failed {
		w.enter(h)
		e = w.routes(h.Routes, func() end {
			return w.deny(http.StatusNotFound, "not_found", Step{h.At, h.String() + ": nothing in it is for this"})
		})
	}
	w.current = nil // what it has taken away, error routes do not see either
	if e.failed {
		w.unwrap(around)
		w.out.Reason = e.reason        // it is logged, whoever answers
		e.bare, e.proxy = false, false // an error with a status from here on
		if e.message != nil {
			e.message = new("{http.api.name} refuses: " + *e.message)
		}
	}
	if !e.failed || w.hasErrorRoute(e.status) {
		return e
	}
	w.out.Kind, w.out.Status = Refused, shownStatus(e.status)
	return answered
}

// admit refuses what no route of an API may see. What is not known may be as it has to be.
func (h *API) admit(w *walk) end {
	methods := methodMatcher(h.Methods)
	if !methods.matches(w) {
		return w.fail(http.StatusMethodNotAllowed, "method_not_allowed", Step{h.At, h.String() + ": methods " + strings.Join(h.Methods, " ")})
	}
	can := apiFails
	if h.Audit == "required" {
		can = auditFails
	}
	if status, fails := w.fails(can, h.At); fails {
		return w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
	}
	if w.lost != "" && !w.unknown("whether the path is canonical after "+w.lost) || w.lost == "" && canonical.Check(w.url, w.target) != nil {
		return w.fail(http.StatusBadRequest, "path_not_canonical", Step{h.At, h.String() + ": the path is not canonical"})
	}
	return answered
}

// enter takes away what only the edge may say.
func (w *walk) enter(h *API) {
	w.strips = append(slices.Clip(w.strips), h.strips)
	w.fields.enter(h.strips)
}

func (h *AccessToken) serve(w *walk, next next) end {
	w.meet(h.At, h)
	if status, fails := w.fails(tokenFails, h.At); fails {
		return w.failWith(&refusal{status: status}, Step{h.At, h.String()})
	}
	w.out.tokens = h
	if w.asserted() { // an error route has led it to a second API
		return w.failWith(unauthorized("unknown_issuer", w.challenge("invalid_token", "")), Step{h.At, h.String() + ": the token is the edge's own assertion"})
	}
	for _, name := range []string{"Authorization", "DPoP"} {
		if f := w.fields.now(w, canonicalField(name)); !f.equals(field{sent: true}) {
			w.open(h.String() + " at " + h.At + ", whose " + name + " is not the caller's")
		}
	}
	r := w.judge.token(w, h)
	if r == nil && w.judge != nil && w.req.SentAs == DPoP {
		if w.proven { // an error route has led it to a second API
			r = unauthorized("proof_replayed", w.challenge("invalid_dpop_proof", ""))
		}
		w.proven = true
	}
	if r != nil {
		return w.failWith(r, Step{h.At, h.String()})
	}
	w.identified = true
	return next()
}

// asserted says whether an assertion has taken the token's place.
func (w *walk) asserted() bool {
	return slices.ContainsFunc(w.passes, func(p *Pass) bool { return p.What == "identity_assertion" })
}

func (h *Require) serve(w *walk, next next) end {
	w.meet(h.At, h)
	if status, fails := w.fails(requireFails, h.At); fails {
		return w.failWith(&refusal{status: status}, Step{h.At, h.String()})
	}
	w.out.requires = append(w.out.requires, h)
	if r := w.judge.require(w, h); r != nil {
		return w.failWith(r, Step{h.At, h.String()})
	}
	return next()
}

func (h *Headers) serve(w *walk, next next) end {
	if h.answer != "" {
		w.answers = append(slices.Clip(w.answers), answerOp{text: w.fillIn(h.answer), late: h.late})
	}
	if h.Request != nil {
		w.anyHost = w.anyHost || h.Request.setsHost()
		w.staleHost = w.staleHost || w.copied && h.Request.setsHost()
		host := w.fields.now(w, "Host")
		w.hostBefore = &host
		w.fields.change(w, h.Request)
		w.hostBefore = nil
	}
	return next()
}

func (h *Steers) serve(w *walk, next next) end {
	w.steered = h.What + " at " + h.At
	w.open("handler " + w.steered)
	return next()
}

func (h *Unknown) serve(w *walk, next next) end {
	if !w.unknown("handler " + h.What + " at " + h.At) {
		return next()
	}
	if h.What == "authentication" && w.oracle.choose(2) == 1 { // whom it does not know; an error passes by who handles answers
		return w.fail(http.StatusUnauthorized, "", Step{h.At, h.String()})
	}
	w.answer(Responded, http.StatusOK, Step{h.At, h.String()})
	w.anyStatus = true
	w.deliver(h, nil)
	return answered
}

func (w *walk) answer(kind Kind, status int, rule Step) {
	w.anyStatus = false
	w.out.Kind, w.out.Status, w.out.Rule = kind, status, rule
	w.note(rule.At, rule.What)
}

func (w *walk) refuse(status int, reason string, rule Step) {
	w.out.Kind, w.out.Status, w.out.Reason, w.out.Rule, w.out.way = Refused, status, reason, rule, nil
}

// deny is fail for what is none of Caddy's errors with a status.
func (w *walk) deny(status int, reason string, rule Step) end {
	e := w.fail(status, reason, rule)
	e.bare = true
	return e
}

func (w *walk) fail(status int, reason string, rule Step) end {
	w.out.Rule, w.out.way = rule, nil
	return end{failed: true, status: status, reason: reason}
}

// broke is deny for what fails without a word of why.
func (w *walk) broke(rule Step) end {
	e := w.deny(http.StatusInternalServerError, w.reasonOf(http.StatusInternalServerError), rule)
	e.plain = true
	return e
}

func (w *walk) failWith(r *refusal, rule Step) end {
	w.out.Challenge = r.challenge
	return w.deny(r.status, r.reason, rule)
}

func (w *walk) note(at, what string) {
	if !w.oracle.quiet {
		w.out.Steps = append(w.out.Steps, Step{at, what})
	}
}

// meet is note for a handler: its words cost more than the rest of a walk.
func (w *walk) meet(at string, h Handler) {
	if !w.oracle.quiet {
		w.note(at, h.String())
	}
}
