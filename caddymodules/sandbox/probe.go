package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/ratelimit"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// probe is around a handler, and notes what becomes of requests there. It changes nothing.
type probe struct {
	At       string          `json:"at"`
	InnerRaw json.RawMessage `json:"inner" caddy:"namespace=http.handlers inline_key=handler"`

	inner caddyhttp.MiddlewareHandler
}

// CaddyModule passes for the handler inside once there is one: an api looks whether its
// first handler is access_token.
func (p *probe) CaddyModule() caddy.ModuleInfo {
	if module, ok := p.inner.(caddy.Module); ok {
		return module.CaddyModule()
	}
	return caddy.ModuleInfo{ID: "http.handlers." + probeName, New: func() caddy.Module { return new(probe) }}
}

// WantsDPoP is what the handler inside says of itself.
func (p *probe) WantsDPoP() bool {
	wants, ok := p.inner.(interface{ WantsDPoP() bool })
	return ok && wants.WantsDPoP()
}

// Provision sets up the handler inside.
func (p *probe) Provision(ctx caddy.Context) error {
	module, err := ctx.LoadModule(p, "InnerRaw")
	if err != nil {
		return err
	}
	p.inner = module.(caddyhttp.MiddlewareHandler)
	return nil
}

// answering are the handlers that answer by themselves.
var answering = []caddy.ModuleID{
	"http.handlers.api", "http.handlers.reverse_proxy", "http.handlers.static_response", "http.handlers.file_server",
	"http.handlers.error", "http.handlers.resource_metadata", "http.handlers.assertion_keys",
}

// ServeHTTP runs the handler inside.
func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	t := met(r.Context())
	t.Reached = append(t.Reached, p.At)
	var places []ratelimit.Place
	if limits, ok := p.inner.(*ratelimit.Handler); ok {
		places = limits.Places(r)
		spend(r.Context(), t, places)
	}
	passed := false
	err := p.inner.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		passed = true
		t.Passed[p.At] = true
		return next.ServeHTTP(w, r)
	}))
	refusal, _ := errors.AsType[*problem.Problem](err)
	if !passed {
		t.Answered = t.Answered || err != nil || slices.Contains(answering, p.CaddyModule().ID) || len(places) > 0
		if err != nil && t.RefusedBy == "" {
			t.RefusedBy = p.At
		}
	}
	t.Zones = append(t.Zones, stands(r, places, passed, refusal)...)
	return err
}

// spend counts the requests that are said to have been sent before.
func spend(ctx context.Context, t *cases.Met, places []ratelimit.Place) {
	times := callOf(ctx).After
	if times == 0 {
		return
	}
	if err := ratelimit.Spend(ctx, places, times); err != nil {
		t.Impossible = append(t.Impossible, fmt.Sprintf("after %d: %v", times, err))
	}
}

// stands says where the request stands in its zones.
func stands(r *http.Request, places []ratelimit.Place, passed bool, refusal *problem.Problem) (all []cases.Stand) {
	for _, place := range places {
		remaining, err := place.Remaining(r.Context())
		if err != nil {
			continue // counted in memory, which does not fail
		}
		z := cases.Stand{API: place.API, Zone: place.Zone, Remaining: remaining, Shadow: place.Shadow, Counted: passed && !place.Keyless}
		if !passed && refusal != nil {
			violated, _ := refusal.Extra["violated-policies"].([]string)
			z.Refused = slices.Contains(violated, place.Zone) || len(violated) == 0 && place.Keyless && !place.Shadow
		}
		all = append(all, z)
	}
	return all
}

// absent stands for a handler that may leave the process, or that nobody here knows.
type absent struct {
	Name string `json:"name"`
	// Pass goes on as if it was not there.
	Pass bool `json:"pass,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*absent) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + absentName, New: func() caddy.Module { return new(absent) }}
}

// ServeHTTP answers that it is not run.
func (a *absent) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if a.Pass {
		return next.ServeHTTP(w, r)
	}
	t := met(r.Context())
	t.NotRun, t.Answered = append(t.NotRun, a.Name), true
	w.WriteHeader(http.StatusNotImplemented)
	return nil
}
