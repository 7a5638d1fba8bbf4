package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// statusClientClosed is what Caddy calls a request whose caller went away.
const statusClientClosed = 499

// known are the stable problems for errors of Caddy's own handlers, which come with a status only.
var known = map[int]*problem.Problem{
	http.StatusBadRequest:            problem.New(http.StatusBadRequest, "bad_request", ""),
	http.StatusNotFound:              problem.New(http.StatusNotFound, "not_found", "This API has nothing here."),
	http.StatusRequestEntityTooLarge: problem.New(http.StatusRequestEntityTooLarge, "content_too_large", "The request body is larger than this API takes."),
	statusClientClosed:               problem.New(statusClientClosed, "client_closed_request", ""),
	http.StatusBadGateway:            problem.New(http.StatusBadGateway, "bad_gateway", "The service behind this API did not answer as it should."),
	http.StatusServiceUnavailable:    problem.New(http.StatusServiceUnavailable, "service_unavailable", "The service behind this API is out of reach.").WithHeader("Retry-After", "1"),
	http.StatusGatewayTimeout:        problem.New(http.StatusGatewayTimeout, "gateway_timeout", "The service behind this API took too long."),
}

// problemOf gives the problem that an error of the routes stands for.
func problemOf(err error) *problem.Problem {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	if caller, ok := errors.AsType[bodyError](err); ok && !errors.Is(caller, context.Canceled) {
		return known[http.StatusBadRequest].WithCause(err)
	}
	status := http.StatusInternalServerError
	if handlerErr, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handlerErr.StatusCode >= http.StatusBadRequest {
		status = handlerErr.StatusCode
	}
	if p, ok := known[status]; ok {
		return p.WithCause(err)
	}
	if status < http.StatusInternalServerError {
		return problem.New(status, "request_refused", "").WithCause(err)
	}
	return problem.New(status, "internal_error", "").WithCause(err)
}

// refuse turns an error of the routes into an answer: problem+json, or whatever the
// site's own handle_errors makes of it.
func (h *Handler) refuse(c *call, r *http.Request, err error) error {
	p := problemOf(err)
	c.refused = p
	h.logRefusal(c, r, p)
	if c.final {
		return nil // half an answer is out; a second one cannot follow it
	}
	refusal := caddyhttp.Error(p.Status, p)
	if !tollgate.HasErrorRoute(r, refusal) {
		p.Write(c)
		return nil
	}
	c.status, c.final, c.toErrorRoutes = p.Status, true, true
	p.SetOwnHeader(c.Header())
	return refusal
}

// logRefusal puts the reason into the access log, and tells the operator's own log
// about what is the edge's or a backend's fault.
func (h *Handler) logRefusal(c *call, r *http.Request, p *problem.Problem) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("reason", p.Reason))
	}
	level := zapcore.DebugLevel
	if p.Status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	if entry := h.logger.Check(level, "refused"); entry != nil {
		entry.Write(zap.String("api", c.api), zap.String("request_id", c.requestID),
			zap.Int("status", p.Status), zap.String("reason", p.Reason), zap.NamedError("cause", p.Cause))
	}
}
