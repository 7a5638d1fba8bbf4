// Package rest holds what the backends' APIs do alike: routes whose refusals are
// problems, conditional reads, and pages of lists.
package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// Endpoint answers a request, or gives the error to answer with: a
// *problem.Problem is told to the caller, anything else only to the log.
type Endpoint func(w http.ResponseWriter, r *http.Request) error

// Router is a ServeMux that also refuses unknown paths and methods as problems.
// Routes are added before it serves.
type Router struct {
	mux        *http.ServeMux
	log        *slog.Logger
	afterFault string
	methods    map[string][]string // by path
}

// NewRouter makes a router without routes. afterFault is what callers are told
// when something goes wrong here: one sentence on what that means for them.
func NewRouter(log *slog.Logger, afterFault string) *Router {
	rt := &Router{mux: http.NewServeMux(), log: log, afterFault: afterFault, methods: make(map[string][]string)}
	rt.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.New(http.StatusNotFound, "not_found", "There is nothing at this path.").Write(w)
	})
	return rt
}

// Handle adds a route such as "GET /api/payments/{id}" behind a guard.
func (rt *Router) Handle(pattern string, guard func(http.Handler) http.Handler, e Endpoint) {
	rt.mux.Handle(pattern, guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := e(w, r); err != nil {
			rt.refuse(w, r, err)
		}
	})))
	method, path, _ := strings.Cut(pattern, " ")
	if len(rt.methods[path]) == 0 {
		rt.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { rt.wrongMethod(w, path) })
	}
	rt.methods[path] = append(rt.methods[path], method)
	if method == http.MethodGet {
		rt.methods[path] = append(rt.methods[path], http.MethodHead)
	}
}

// Patterns gives the routes as they were added, in no order.
func (rt *Router) Patterns() (patterns []string) {
	for path, methods := range rt.methods {
		for _, method := range methods {
			if method != http.MethodHead {
				patterns = append(patterns, method+" "+path)
			}
		}
	}
	return patterns
}

// ServeHTTP answers one request.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) { rt.mux.ServeHTTP(w, r) }

func (rt *Router) wrongMethod(w http.ResponseWriter, path string) {
	allow := strings.Join(rt.methods[path], ", ")
	problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes "+allow+".").
		WithHeader("Allow", allow).Write(w)
}

func (rt *Router) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *problem.Problem
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), database.IsBusy(err):
		refusal = Busy().WithCause(err)
	default:
		refusal = problem.New(http.StatusInternalServerError, "internal_error",
			"Something went wrong here. "+rt.afterFault).WithCause(err)
	}
	if refusal.Status >= http.StatusInternalServerError {
		rt.log.Error("request failed", "route", r.Pattern, "error", refusal, "request_id", w.Header().Get("X-Request-Id"))
	}
	refusal.Write(w)
}

// Busy refuses a request that would have to wait for too long.
func Busy() *problem.Problem {
	return problem.New(http.StatusServiceUnavailable, "busy", "The service is busy. Try again in a moment.").
		WithRetryAfter(time.Second)
}
