package policy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// What becomes of an answer on its way back: reverse_proxy and intercept can put another
// one in its place, or lead on from it.

// rawResponse is one of handle_response, as the configuration writes it.
type rawResponse struct {
	Match *struct {
		Status []int           `json:"status_code"`
		Fields json.RawMessage `json:"headers"`
	} `json:"match"`
	Status json.RawMessage `json:"status_code"`
	Routes []rawRoute      `json:"routes"`
}

// response is what is done with some answers.
type response struct {
	always   bool  // with all of them
	statuses []int // with these; a digit is a class
	fields   bool  // it looks at fields of the answer, too
	status   string
	routes   []*Route
}

// hands says whether the answer is handed on, with another status.
func (r *response) hands() bool { return r.status != "" }

func (p *parser) responses(at string, raw []rawResponse) []*response {
	var all []*response
	for n, one := range raw {
		r := &response{always: one.Match == nil, status: statusText(one.Status), routes: p.routes(fmt.Sprintf("%s/handle_response/%d/routes", at, n), one.Routes)}
		if one.Match != nil {
			r.statuses, r.fields = one.Match.Status, len(one.Match.Fields) > 0
		}
		all = append(all, r)
	}
	return all
}

func innerOf(all []*response) [][]*Route {
	var inner [][]*Route
	for _, r := range all {
		inner = append(inner, r.routes)
	}
	return inner
}

// serve asks the service. What it answers is not known, so all ways on from there are gone.
func (h *Proxy) serve(w *walk, next next) end {
	if e := h.reach(w); e.failed {
		return e
	}
	for n, r := range h.responses {
		if !r.always && !w.unknown(fmt.Sprintf("what the service answers that is asked at %s: handle_response %d", h.At, n)) {
			continue
		}
		h.deliver(w)
		if r.hands() {
			w.forward(h)
			w.replaceStatus(r.status)
			return answered
		}
		w.ask(h)
		before, asked := w.responding, w.asked
		w.responding, w.asked = h, append(slices.Clip(w.asked), w.out.way)
		w.copied = true
		e := w.routes(r.routes, next)
		w.responding, w.asked = before, asked
		return w.wrapped(e)
	}
	h.deliver(w)
	w.forward(h)
	return answered
}

// reach says whether there is an answer at all.
func (h *Proxy) reach(w *walk) end {
	if status, fails := w.fails(serviceFails, h.At); fails {
		return w.fail(status, w.reasonOf(status), Step{h.At, h.String()})
	}
	return answered
}

// wrapped is what reverse_proxy makes of an error behind it that has no status.
func (w *walk) wrapped(e end) end {
	switch {
	case !e.failed || !e.bare:
		return e
	case e.plain:
		return w.fail(http.StatusBadGateway, w.reasonOf(http.StatusBadGateway), w.out.Rule)
	default:
		e.proxy = true
		return e
	}
}

// ask notes that the service has got the request: routes handle its answer.
func (w *walk) ask(h *Proxy) {
	then := w.out
	then.Kind, then.Rule, then.Upstreams = Forwarded, Step{h.At, h.String()}, h.addressesFor(w)
	w.keep(then)
	w.note(h.At, h.String()+", whose answer is handled")
}

// keep has the outcome that a service got the request by be told beside what comes of it.
func (w *walk) keep(then Outcome) {
	then.asked = true
	w.out.Asked = append(slices.Clip(w.out.Asked), &Asked{Rule: then.Rule, Upstreams: then.Upstreams, then: then})
}

// forward has the service's answer be that to the request, with the fields that it makes of it.
func (w *walk) forward(h *Proxy) {
	w.answer(Forwarded, 0, Step{h.At, h.String()})
	w.out.Upstreams = h.addressesFor(w)
	if h.answer != "" {
		w.answers = append(slices.Clip(w.answers), answerOp{text: w.fillIn(h.answer)})
	}
	w.around(w.out.way)
}

func (h *Proxy) inner() [][]*Route { return innerOf(h.responses) }

// Intercept looks at each answer of what comes after it, an API's refusals among them.
type Intercept struct {
	At             string
	HandleResponse []rawResponse `json:"handle_response"`

	responses []*response
	text      string // as it is written
}

func (h *Intercept) String() string    { return "intercept" }
func (h *Intercept) inner() [][]*Route { return innerOf(h.responses) }

func (h *Intercept) serve(w *walk, next next) end {
	w.passes = append(slices.Clip(w.passes), &Pass{At: h.At, What: "intercept", text: h.text})
	inside := w.wrappers()
	e := next()
	if w.staleMethod { // its routes get what it was before the copy
		w.lostMethod = "a rewrite of a copy's method"
	}
	switch {
	case e.failed || w.aborted(): // an error is none of its answers
		return e
	case w.out.Kind == Nothing: // it writes the status that nobody has given: a panic
		w.refuse(0, "", Step{h.At, h.String() + ", where nothing answers: the connection is cut"})
		return answered
	}
	for n, r := range h.responses {
		if !r.takes(w, fmt.Sprintf("%s/handle_response/%d", h.At, n)) {
			continue
		}
		if r.hands() {
			w.replaceStatus(r.status)
			return answered
		}
		return w.instead(r.routes, inside)
	}
	return answered
}

// instead lets routes put another answer in the place of the one that there is. Whoever
// has got somewhere has been there all the same.
func (w *walk) instead(routes []*Route, around wrappers) end {
	was, before := w.out, w.given
	w.given, w.anyStatus = true, false
	w.done(around)
	e := w.routes(routes, w.nothing)
	w.given = before
	switch {
	case !was.Reaches():
		if !e.failed && was.way != nil {
			w.out.way = w.over(&was)
		}
		return e
	case e.failed: // the error is the answer
		w.keep(was)
		return e
	case w.out.Reaches() && w.out.way != nil && w.out.way != was.way:
		w.keep(w.out)
	}
	reached := *was.way
	reached.said = w.over(&was)
	w.out.Kind, w.out.Rule, w.out.Upstreams, w.out.way = was.Kind, was.Rule, was.Upstreams, &reached
	return e
}

// aborted says whether the connection was cut.
func (w *walk) aborted() bool { return w.out.Kind == Refused && w.out.Status == 0 }

// takes says whether it is for the answer that there is.
func (r *response) takes(w *walk, at string) bool {
	status := w.out.Status
	if w.anyStatus {
		status = 0
	}
	switch {
	case r.always:
		return true
	case status != 0 && r.statuses != nil && !r.has(status):
		return false
	case status == 0 && r.statuses != nil, r.fields:
		return w.unknown("whether an answer is one of " + at)
	default:
		return true
	}
}

// has says whether a status is one of those that are listed.
func (r *response) has(status int) bool {
	return slices.ContainsFunc(r.statuses, func(wanted int) bool { return statusMatches(wanted, status) })
}

// statusMatches compares with a status, or with a class: 4 is all of 400 to 499.
func statusMatches(wanted, status int) bool {
	return wanted == status || wanted < 100 && status >= wanted*100 && status < (wanted+1)*100
}

// replaceStatus changes that of the answer: its body goes out as it is.
func (w *walk) replaceStatus(text string) {
	status, err := strconv.Atoi(text)
	if err != nil {
		w.open("status " + text)
		return
	}
	w.out.Status = status
}

func statusText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	if text = string(raw); text == "null" {
		return ""
	}
	return text
}

// CopyResponse hands a service's answer on from the routes that handle it, or its fields alone.
type CopyResponse struct {
	At, What   string
	Status     json.RawMessage `json:"status_code"`
	onlyFields bool
	text       string // as it is written
}

func (h *CopyResponse) String() string { return h.What }

func (h *CopyResponse) serve(w *walk, next next) end {
	switch {
	case w.responding == nil:
		return w.fail(http.StatusInternalServerError, w.reasonOf(http.StatusInternalServerError), Step{h.At, h.What + " outside handle_response"})
	case h.onlyFields:
		w.answers = append(slices.Clip(w.answers), answerOp{text: h.text})
		return next()
	}
	by := w.asked[len(w.asked)-1]
	own := *by // what the service was asked, with what was done to its answer since
	own.passes, own.vars = w.passes, w.vars
	w.out.way = &own
	w.forward(w.responding)
	if status := statusText(h.Status); status != "" {
		w.replaceStatus(status)
	}
	w.out.Asked = slices.DeleteFunc(slices.Clone(w.out.Asked), func(a *Asked) bool { return a.then.way == by }) // nobody is in its place
	return answered
}
