package tollgate

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"
)

// sharedLogger gives a logger for what outlives a configuration. It writes to the
// default log of the configuration that is running when something is logged: the
// writers of the one it was made in may be closed by then.
func sharedLogger(name string) *slog.Logger { return slog.New(currentLog{name: name}) }

// currentLog is a slog.Handler in front of caddy.Log.
type currentLog struct {
	name  string
	attrs []slog.Attr
}

// noStack is above any level there is: a failed fetch, or a configuration that is refused, is no bug.
const noStack = slog.Level(127)

func (l currentLog) handler() slog.Handler {
	h := zapslog.NewHandler(caddy.Log().Core(), zapslog.WithName(l.name), zapslog.AddStacktraceAt(noStack))
	return h.WithAttrs(l.attrs)
}

// Enabled says whether the running configuration logs that level.
func (l currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.handler().Enabled(ctx, level)
}

// Handle writes the record.
func (l currentLog) Handle(ctx context.Context, record slog.Record) error {
	return l.handler().Handle(ctx, record)
}

// WithAttrs gives a handler that adds the attributes.
func (l currentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	l.attrs = append(append([]slog.Attr(nil), l.attrs...), attrs...)
	return l
}

// WithGroup gives the handler itself: what is shared logs flat fields.
func (l currentLog) WithGroup(string) slog.Handler { return l }
