package policy

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
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

	method, target string   // as rewritten; method empty: as sent
	url            *url.URL // as rewritten
	path           lowered
	queryChanged   bool
	lost           string // why method and URL are not known any more

	set     map[string][]string // fields that a handler has set or removed
	hidden  map[string]bool     // fields of which nothing is known
	strips  *identity.List      // what the api around takes away
	groups  map[string]bool     // satisfied by a route
	current *API
	proven  bool // the DPoP proof is used up

	errorStatus int // of the error that is being handled; 0: none
	out         Outcome
}

type next func() end

// end is how a handler came back: with an answer, or with an error for who handles it.
type end struct {
	failed bool
	bare   bool // a problem of an API's, in which Caddy's own handlers see no status
	status int
	reason string
}

var answered = end{}

// noStatus is the status of an error that Caddy's own handlers cannot tell.
const noStatus = -1

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
	Server    string    `json:"server,omitempty"`
	API       string    `json:"api,omitempty"`
	Kind      Kind      `json:"kind"`
	Status    int       `json:"status,omitempty"` // 0: whatever the service says
	Reason    string    `json:"reason,omitempty"`
	Rule      Step      `json:"rule"` // that decided
	Upstreams []string  `json:"upstreams,omitempty"`
	Location  string    `json:"location,omitempty"`
	Challenge string    `json:"challenge,omitempty"`
	Counters  []Counter `json:"counters,omitempty"`
	Steps     []Step    `json:"steps,omitempty"`
	// Open names what could not be analysed on the way.
	Open []string `json:"open,omitempty"`

	tokens   *AccessToken // that was passed
	requires []*Require
	zones    []*Zone
	public   bool
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

// walkRequest sends the request through a server.
func (c *Config) walkRequest(s *Server, r *Request, j *Judge, o *oracle) Outcome {
	w := &walk{config: c, server: s, req: r, judge: j, oracle: o, groups: make(map[string]bool)}
	w.out.Server = s.Name
	if err := w.begin(); err != nil {
		w.refuse(http.StatusBadRequest, "bad_request", Step{What: "not a request target"})
		return w.out
	}
	if e := w.routes(s.Routes, w.nothing); e.failed {
		w.handleError(e)
	}
	return w.out
}

// begin sets the URL to what was sent.
func (w *walk) begin() error {
	u, err := parseTarget(w.req.Target)
	if err != nil {
		return err
	}
	w.url, w.target, w.method = u, w.req.Target, ""
	w.path, w.queryChanged, w.lost = newLowered(u.Path), false, ""
	return nil
}

// handleError is what the server does with an error that nobody else has handled.
func (w *walk) handleError(e end) {
	rule := w.out.Rule
	_ = w.begin() // it could be parsed before
	w.errorStatus = e.status
	kind := Refused
	again := answered
	if len(w.server.Errors) > 0 {
		w.out.Kind = ""
		again = w.routes(w.server.Errors, w.empty)
		kind = w.out.Kind
	}
	if len(w.server.Errors) == 0 || again.failed {
		w.out.Status, kind = e.status, Refused
	}
	w.out.Kind = kind
	if kind == Responded || kind == Nothing || kind == Refused {
		w.out.Kind, w.out.Rule = Refused, rule
	}
}

// empty is the end of a route that ends everything, and of the error routes.
func (w *walk) empty() end {
	if w.errorStatus == 0 {
		return w.nothing()
	}
	w.out.Kind, w.out.Status = Refused, w.errorStatus
	if w.errorStatus == noStatus {
		w.out.Status = http.StatusInternalServerError
	}
	return answered
}

// nothing is the end of a server's routes, also for an error that a subroute has caught
// and not answered.
func (w *walk) nothing() end {
	w.out.Kind, w.out.Status = Nothing, http.StatusOK
	w.out.Rule = Step{What: "no rule answers"}
	return answered
}

// routes runs a list of them in front of what comes next.
func (w *walk) routes(routes []*Route, next next) end {
	if len(routes) > longList {
		routes = w.alive(routes)
	}
	for n, r := range routes {
		if r.Group != "" && w.groups[r.Group] || !anySet(r.Match, w) {
			continue
		}
		if r.Group != "" {
			w.groups[r.Group] = true
		}
		rest := func() end { return w.routes(routes[n+1:], next) }
		if r.Terminal {
			rest = w.nothing
			if w.errorStatus != 0 { // now, and not when its end is reached
				rest = w.empty
			}
		}
		return w.handlers(r, r.Handlers, rest)
	}
	return next()
}

func (w *walk) handlers(r *Route, handlers []Handler, next next) end {
	if len(handlers) == 0 {
		return next()
	}
	return handlers[0].serve(w, func() end { return w.handlers(r, handlers[1:], next) })
}

func (h *Subroute) serve(w *walk, next next) end {
	e := w.routes(h.Routes, next)
	if !e.failed || !h.caught {
		return e
	}
	before := w.errorStatus
	w.errorStatus = e.status
	if e.bare {
		w.errorStatus = noStatus
	}
	e = w.routes(h.Errors, next)
	w.errorStatus = before
	return e
}

func (h *Invoke) serve(w *walk, next next) end {
	r := w.server.Named[h.Name]
	if r == nil {
		return w.fail(http.StatusInternalServerError, "", Step{h.At, h.String()})
	}
	return w.routes([]*Route{r}, next)
}

func (h *API) serve(w *walk, _ next) end {
	w.note(h.At, h.String())
	w.out.API, w.out.public, w.current = h.Name, h.Public, h
	e := h.admit(w)
	if !e.failed {
		w.enter(h)
		e = w.routes(h.Routes, func() end {
			return w.deny(http.StatusNotFound, "not_found", Step{h.At, h.String() + ": nothing in it is for this"})
		})
	}
	w.current, w.strips = nil, nil
	if e.failed {
		w.out.Reason = e.reason // it is logged, whoever answers
		e.bare = false          // an error with a status from here on
	}
	if !e.failed || w.hasErrorRoute(e.status) {
		return e
	}
	w.out.Kind, w.out.Status = Refused, e.status
	return answered
}

// admit refuses what no route of an API may see.
func (h *API) admit(w *walk) end {
	if w.lost == "" && !slices.Contains(h.Methods, w.currentMethod()) {
		return w.fail(http.StatusMethodNotAllowed, "method_not_allowed", Step{h.At, h.String() + ": methods " + strings.Join(h.Methods, " ")})
	}
	if w.lost == "" && canonical.Check(w.url, w.target) != nil {
		return w.fail(http.StatusBadRequest, "path_not_canonical", Step{h.At, h.String() + ": the path is not canonical"})
	}
	return answered
}

// enter takes away what only the edge may say.
func (w *walk) enter(h *API) {
	more := h.Strip
	if c := w.config.Tollgate.ClientCertificate; c != nil {
		more = append(slices.Clone(more), c.Header)
	}
	w.strips, _ = identity.New(more...) // a bad name does not load
	for _, field := range []string{"X-Request-Id", "X-Fapi-Interaction-Id", "Connection", "Upgrade", "Http2-Settings"} {
		w.hide(field)
	}
}

func (h *AccessToken) serve(w *walk, next next) end {
	w.note(h.At, h.String())
	w.out.tokens = h
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
	return next()
}

func (h *Require) serve(w *walk, next next) end {
	w.note(h.At, h.String())
	w.out.requires = append(w.out.requires, h)
	if r := w.judge.require(w, h); r != nil {
		return w.failWith(r, Step{h.At, h.String()})
	}
	return next()
}

func (h *Proxy) serve(w *walk, next next) end {
	if len(h.HandleResponse) > 0 && !w.unknown("reverse_proxy that handles answers by itself, at "+h.At) {
		return next()
	}
	w.answer(Forwarded, 0, Step{h.At, h.String()})
	w.out.Upstreams = h.Addresses()
	return answered
}

func (h *Static) serve(w *walk, _ next) end {
	status, known := statusOf(h.Status)
	switch {
	case h.Abort:
		w.refuse(0, "", Step{h.At, "abort"})
		return answered
	case !known:
		w.unknown("status " + string(h.Status))
		status = http.StatusOK
	case status == 0 && w.errorStatus > 0:
		status = w.errorStatus
	case status == 0:
		status = http.StatusOK
	}
	w.answer(Responded, status, Step{h.At, h.String()})
	if location := h.Headers["Location"]; len(location) > 0 {
		w.out.Location = location[0]
	}
	return answered
}

func (h *StaticError) serve(w *walk, _ next) end {
	status, known := statusOf(h.Status)
	if !known || status == 0 {
		status = http.StatusInternalServerError
	}
	return w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
}

// reasonOf gives what an api says of an error of Caddy's own handlers.
func (w *walk) reasonOf(status int) string {
	if w.current == nil {
		return ""
	}
	if reason, ok := knownErrors[status]; ok {
		return reason
	}
	if status < http.StatusInternalServerError {
		return "request_refused"
	}
	return "internal_error"
}

var knownErrors = map[int]string{
	http.StatusBadRequest: "bad_request", http.StatusNotFound: "not_found", http.StatusRequestEntityTooLarge: "content_too_large",
	499: "client_closed_request", http.StatusBadGateway: "bad_gateway", http.StatusServiceUnavailable: "service_unavailable",
	http.StatusGatewayTimeout: "gateway_timeout",
}

func statusOf(raw []byte) (status int, known bool) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return 0, true
	}
	status, err := strconv.Atoi(text)
	return status, err == nil
}

func (h *FilesHandler) serve(w *walk, next next) end {
	if h.PassThru && !w.unknown("whether a file is there, at "+h.At) {
		return next()
	}
	w.answer(Files, 0, Step{h.At, h.String()})
	return answered
}

func (h *Headers) serve(w *walk, next next) end {
	if h.Request == nil {
		return next()
	}
	for field, values := range h.Request.Set {
		w.setField(field, values)
	}
	for field := range h.Request.Add {
		w.hide(field)
	}
	for field := range h.Request.Replace {
		w.hide(field)
	}
	for _, field := range h.Request.Delete {
		if strings.Contains(field, "*") {
			w.hide("*")
			continue
		}
		w.setField(field, nil)
	}
	return next()
}

func (h *Pass) serve(_ *walk, next next) end { return next() }

func (h *PublishedHandler) serve(w *walk, next next) end {
	method := w.currentMethod()
	if method != http.MethodGet && method != http.MethodHead {
		return next()
	}
	if h.paths != nil && !h.paths()[w.req.Host+" "+w.url.EscapedPath()] {
		return next()
	}
	w.answer(Published, http.StatusOK, Step{h.At, h.String()})
	return answered
}

func (h *Unknown) serve(w *walk, next next) end {
	if !w.unknown("handler " + h.What + " at " + h.At) {
		return next()
	}
	w.answer(Responded, http.StatusOK, Step{h.At, h.String()})
	return answered
}

func (w *walk) answer(kind Kind, status int, rule Step) {
	w.out.Kind, w.out.Status, w.out.Rule = kind, status, rule
	w.note(rule.At, rule.What)
}

func (w *walk) refuse(status int, reason string, rule Step) {
	w.out.Kind, w.out.Status, w.out.Reason, w.out.Rule = Refused, status, reason, rule
}

// deny is fail for what is not an error of Caddy's own.
func (w *walk) deny(status int, reason string, rule Step) end {
	e := w.fail(status, reason, rule)
	e.bare = true
	return e
}

func (w *walk) fail(status int, reason string, rule Step) end {
	w.out.Rule = rule
	return end{failed: true, status: status, reason: reason}
}

func (w *walk) failWith(r *refusal, rule Step) end {
	w.out.Challenge = r.challenge
	return w.deny(r.status, r.reason, rule)
}

func (w *walk) note(at, what string) { w.out.Steps = append(w.out.Steps, Step{at, what}) }

// unknown decides what cannot be analysed, and says so.
func (w *walk) unknown(what string) bool {
	if !slices.Contains(w.out.Open, what) {
		w.out.Open = append(w.out.Open, what)
	}
	return w.oracle.unknown(what)
}

func (w *walk) lose(why string) {
	w.open(why)
	w.lost = why
}

// open says what is not analysed and does not change the way.
func (w *walk) open(what string) {
	if !slices.Contains(w.out.Open, what) {
		w.out.Open = append(w.out.Open, what)
	}
}

func (w *walk) setPath(p, raw string) {
	w.url.Path, w.url.RawPath = p, raw
	w.path = newLowered(p)
}

func (w *walk) setMethod(method string) { w.method = method }

func (w *walk) currentPath() lowered { return w.path }

func (w *walk) currentMethod() string {
	if w.method != "" {
		return w.method
	}
	if w.req.Method == "" {
		w.req.Method = pick(w.oracle, w.oracle.methods)
	}
	return w.req.Method
}

func (w *walk) query() string {
	if !w.queryChanged && w.req.undecided("query") {
		if query := pick(w.oracle, w.oracle.queries); query != "" {
			w.req.Target += "?" + query
			w.url.RawQuery = query
		}
	}
	if u, err := parseTarget(w.req.Target); err == nil && !w.queryChanged {
		return u.RawQuery
	}
	return w.url.RawQuery
}

func (w *walk) address(client bool) netip.Addr {
	if w.req.undecided("address") {
		w.req.Remote = pick(w.oracle, w.oracle.addresses)
	}
	if client {
		return w.req.client()
	}
	return w.req.Remote
}

// field gives the values of a header field as they are now, and whether they are known.
func (w *walk) field(name string) (values []string, known bool) {
	name = canonicalField(name)
	if name == "Host" {
		return []string{w.req.Host}, true
	}
	if values, ok := w.set[name]; ok {
		return values, true
	}
	if w.hidden[name] || w.hidden["*"] {
		return nil, false
	}
	if w.req.undecided("header " + name) {
		if values := pick(w.oracle, w.oracle.fields[name]); values != nil {
			w.req.Header[name] = values
		}
	}
	sent := w.req.Header[name]
	if w.strips != nil && sent != nil {
		left := http.Header{name: sent}
		w.strips.Strip(left)
		return left[name], true
	}
	return sent, true
}

func (w *walk) setField(name string, values []string) {
	if hasPlaceholder(strings.Join(values, " ")) || hasPlaceholder(name) {
		w.hide(name)
		return
	}
	if w.set == nil {
		w.set = make(map[string][]string)
	}
	w.set[canonicalField(name)] = values
}

func (w *walk) hide(name string) {
	if w.hidden == nil {
		w.hidden = make(map[string]bool)
	}
	w.hidden[canonicalField(name)] = true
	delete(w.set, canonicalField(name))
}

// hasErrorRoute says whether the site's own handle_errors answers an error of an API.
func (w *walk) hasErrorRoute(status int) bool {
	if len(w.server.Errors) == 0 || w.errorStatus != 0 {
		return false
	}
	probe := *w // what matchers see is what was sent
	probe.groups, probe.errorStatus = make(map[string]bool), status
	probe.url = new(url.URL)
	if probe.begin() != nil {
		return false
	}
	return probe.answersErrors(w.server.Errors)
}

func (w *walk) answersErrors(routes []*Route) bool {
	groups := make(map[string]bool)
	for _, r := range routes {
		if !anySet(r.Match, w) || groups[r.Group] {
			continue
		}
		groups[r.Group] = r.Group != ""
		for _, h := range r.Handlers {
			if inner, ok := h.(*Subroute); !ok || w.answersErrors(inner.Routes) {
				return true
			}
		}
		if r.Terminal {
			return false
		}
	}
	return false
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
