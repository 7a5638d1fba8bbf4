package tollgate

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// HasErrorRoute says whether a handle_errors of the request's own site answers this
// error. A server's error routes are those of all its sites, each with its hosts and
// status codes; an error that is returned where none of them matches is answered with
// a bare status. So is one that is met while another is being handled.
func HasErrorRoute(r *http.Request, err caddyhttp.HandlerError) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return false
	}
	if r.Context().Value(caddyhttp.ErrorCtxKey) != nil {
		return false
	}
	return answers(server.Errors.Routes, server.Errors.WithError(asReceived(r), err))
}

// asReceived gives the request as the error routes will see it: Caddy takes rewrites
// back before it enters them.
func asReceived(r *http.Request) *http.Request {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return r
	}
	received := *r
	received.Method, received.RequestURI, received.URL = original.Method, original.RequestURI, original.URL
	return &received
}

// answers says whether a handler is reached. A site's block, handle_errors and handle
// are each a subroute, so it is what is in there that counts.
func answers(routes caddyhttp.RouteList, r *http.Request) bool {
	groups := make(map[string]bool) // of each, the first route that matches is the only one
	for _, route := range routes {
		matches, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil {
			return false // ends the error routes without an answer
		}
		if !matches || groups[route.Group] {
			continue
		}
		groups[route.Group] = route.Group != ""
		if slices.ContainsFunc(route.Handlers, func(h caddyhttp.MiddlewareHandler) bool { return answer(h, r) }) {
			return true
		}
		if route.Terminal {
			return false
		}
	}
	return false
}

func answer(handler caddyhttp.MiddlewareHandler, r *http.Request) bool {
	inner, ok := handler.(*caddyhttp.Subroute)
	return !ok || answers(inner.Routes, r)
}
