package policy

import (
	"net/http"
	"net/url"
)

// handleError is what the server does with an error that nobody else has handled.
func (w *walk) handleError(e end) {
	rule := w.out.Rule
	w.unwrap(wrappers{})
	_ = w.begin() // it could be parsed before
	w.last = true
	w.handling(e)
	kind := Refused
	again := answered
	if len(w.server.Errors) > 0 {
		w.out.Kind = ""
		again = w.routes(w.server.Errors, w.empty)
		kind = w.out.Kind
	}
	if len(w.server.Errors) == 0 || again.failed {
		w.out.Status, kind = shownStatus(e.status), Refused
	}
	w.out.Kind = kind
	if kind == Responded || kind == Nothing || kind == Refused {
		w.out.Kind, w.out.Rule = Refused, rule
	}
}

// handling is where the routes for an error begin. One without a status leaves told what
// was told of the last error.
func (w *walk) handling(e end) {
	w.copied = true
	w.errorStatus = noStatus
	switch {
	case e.proxy:
		w.errorStatus, w.toldStatus = http.StatusBadGateway, http.StatusBadGateway
	case !e.bare:
		w.errorStatus, w.toldStatus = e.status, e.status
	}
	if w.raised = e.message; e.proxy || !e.bare {
		w.message = e.message
	}
}

// empty is the end of a route that ends everything, and of the error routes.
func (w *walk) empty() end {
	if w.errorStatus == 0 {
		return w.nothing()
	}
	w.out.Kind, w.out.Status = Refused, shownStatus(w.errorStatus)
	if !w.given { // else its body stays
		w.out.way = nil
	}
	return answered
}

// reasonOf gives what an api says of an error of Caddy's own handlers.
func (w *walk) reasonOf(status int) string {
	if w.current == nil {
		return ""
	}
	if reason, ok := knownErrors[status]; ok {
		return reason
	}
	if 0 < status && status < http.StatusInternalServerError {
		return "request_refused"
	}
	return "internal_error"
}

var knownErrors = map[int]string{
	http.StatusBadRequest: "bad_request", http.StatusNotFound: "not_found", http.StatusRequestEntityTooLarge: "content_too_large",
	499: "client_closed_request", http.StatusBadGateway: "bad_gateway", http.StatusServiceUnavailable: "service_unavailable",
	http.StatusGatewayTimeout: "gateway_timeout",
}

// hasErrorRoute says whether the site's own handle_errors answers an error of an API.
func (w *walk) hasErrorRoute(status int) bool {
	if len(w.server.Errors) == 0 || w.errorStatus != 0 {
		return false
	}
	w.toldStatus = status // it stays told, whoever answers
	probe := *w           // what matchers see is what was sent
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
