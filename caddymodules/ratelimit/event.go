package ratelimit

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// exceededEvent is what the community's module calls it, with the same data and the API.
const exceededEvent = "rate_limit_exceeded"

// events tells subscribers of refusals. Where there is none, it costs nothing.
type events struct {
	ctx caddy.Context
	app *caddyevents.App
}

func newEvents(ctx caddy.Context) (events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return events{}, fmt.Errorf("rate_limit: events: %w", err)
	}
	return events{ctx: ctx, app: app.(*caddyevents.App)}, nil
}

// exceeded tells that a request was over the limit of a zone. The key is not part of it.
func (e events) exceeded(z *Zone, wait time.Duration, r *http.Request) {
	if !e.app.ShouldEmit(exceededEvent) {
		return
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	e.app.Emit(e.ctx, exceededEvent, map[string]any{"api": z.api, "zone": z.name, "wait": wait, "remote_ip": address})
}
