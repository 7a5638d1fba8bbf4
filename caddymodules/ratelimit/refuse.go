package ratelimit

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// refuse answers with the problem, or returns it to who does: the api around, or the
// site's handle_errors. Caddy alone would make a bare status of it.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) error {
	err := caddyhttp.HandlerError{Err: p, StatusCode: p.Status}
	if h.enclosed || tollgate.HasErrorRoute(r, err) {
		return err
	}
	h.logRefusal(r, p)
	p.Write(w)
	return nil
}

// logRefusal says what the api or Caddy says of an error that they answer.
func (h *Handler) logRefusal(r *http.Request, p *problem.Problem) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("reason", p.Reason))
	}
	level := zapcore.DebugLevel
	if p.Status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	if entry := h.logger.Check(level, "refused"); entry != nil {
		entry.Write(zap.Int("status", p.Status), zap.String("reason", p.Reason), zap.NamedError("cause", p.Cause))
	}
}
