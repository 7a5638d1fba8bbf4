package policy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// A comparison walks with a good token, past limits that are not full, to services that
// answer. Where error routes can lead on, the other way is gone as well: a caller may choose
// it, for a bad token is easily had, or can wait for it.

// failing is something on the way that refuses, or fails, for what no configuration tells,
// and the statuses that it fails with.
type failing struct {
	kind     failKind
	what     string
	statuses []int
}

type failKind int

const (
	ofServer failKind = iota
	ofAPI
	ofToken
	ofRequire
	ofLimit
	ofAssertion
	ofService // from here on for a request that is complete, too
	ofBody
	ofFile
	failKinds
)

var (
	serverFails    = &failing{ofServer, "the server refuses the request itself", []int{http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest, http.StatusTooEarly}}
	apiFails       = &failing{ofAPI, "the api refuses the request itself", []int{http.StatusBadRequest}}
	auditFails     = &failing{ofAPI, "the api refuses the request itself, or cannot record it", []int{http.StatusBadRequest, http.StatusServiceUnavailable}}
	tokenFails     = &failing{ofToken, "access_token refuses", []int{http.StatusUnauthorized, http.StatusBadRequest, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError}}
	requireFails   = &failing{ofRequire, "require refuses", []int{http.StatusForbidden, http.StatusUnauthorized}}
	limitFails     = &failing{ofLimit, "rate_limit refuses", []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}}
	assertionFails = &failing{ofAssertion, "identity_assertion refuses", []int{http.StatusUnauthorized, http.StatusInternalServerError}}
	serviceFails   = &failing{ofService, "the service does not answer", []int{
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusBadRequest, statusClientClosed, http.StatusInternalServerError,
	}}
	bodyFails = &failing{ofBody, "the body is too large", []int{http.StatusRequestEntityTooLarge}}
	fileFails = &failing{ofFile, "no such file is there", []int{
		http.StatusNotFound, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusInternalServerError,
	}}
)

const statusClientClosed = 499

// caught is what error routes tell errors apart by.
type caught struct{ codes []func(status int) bool }

// distinct leaves one of the statuses for each that error routes take for another.
func (c *caught) distinct(statuses []int) (kept []int) {
	for _, status := range statuses {
		same := func(other int) bool {
			return !slices.ContainsFunc(c.codes, func(has func(int) bool) bool { return has(status) != has(other) })
		}
		if !slices.ContainsFunc(kept, same) {
			kept = append(kept, status)
		}
	}
	return kept
}

// reaches says whether routes lead anywhere, or tell what only the edge knows: most error routes do nothing but answer.
func reaches(routes []*Route) (found bool) {
	VisitRoutes(routes, func(h Handler) {
		switch h := h.(type) {
		case *Static:
			found = found || h.tells()
		case *Subroute, *StaticError, *Headers, *Rewrite, *Pass:
		default:
			found = true
		}
	})
	return found
}

// failure is how a request fails, in all of its walks: at the nth of what can.
type failure struct {
	by          *failing
	nth, status int
}

// String tells it for people; nothing where the request does not fail.
func (f failure) String() string {
	if f.by == nil {
		return ""
	}
	return fmt.Sprintf("%s (%d)", f.by.what, f.status)
}

// fails says whether the request fails here, and with which status. It does so once.
func (w *walk) fails(f *failing, at string) (status int, fails bool) {
	switch {
	case w.out.failed, w.last:
		return 0, false
	case w.oracle.quiet:
		status, fails = w.fate(f)
	case f.kind >= ofService:
		status = w.leadsOn(f.statuses)
		fails = status != 0 && !w.unknown("whether "+f.what+", at "+at)
	}
	w.out.failed = fails
	return status, fails
}

// fate is the same in both configurations.
func (w *walk) fate(f *failing) (status int, fails bool) {
	nth := w.tried[f.kind]
	w.tried[f.kind]++
	if w.oracle.caught == nil {
		return 0, false
	}
	if one := w.req.failure; one.by != nil {
		return one.status, one.by.kind == f.kind && one.nth == nth
	}
	for _, status := range w.oracle.caught.distinct(f.statuses) {
		if !w.oracle.unknown(fmt.Sprint("that not ", f.kind, nth, status)) {
			w.req.failure = failure{f, nth, status}
			return status, true
		}
	}
	return 0, false
}

// leadsOn gives the first of the statuses with which error routes lead somewhere; 0: none.
func (w *walk) leadsOn(statuses []int) int {
	for _, status := range statuses {
		if w.catching > 0 {
			return status // a subroute's are not looked into
		}
		o := &oracle{quiet: true}
		for range maxWays {
			request, probe := *w.req, *w
			probe.req, probe.judge, probe.oracle, probe.fields, probe.groups = &request, nil, o, w.fields.clone(), maps.Clone(w.groups)
			probe.out.Counts = nil // nobody counts
			if probe.handleError(end{failed: true, status: status}); probe.out.Reaches() || len(probe.out.Asked) > len(w.out.Asked) {
				return status
			}
			if !o.rewind() {
				break
			}
		}
	}
	return 0
}
