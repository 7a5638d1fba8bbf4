// Package ratelimit is the Caddy handler that decides how much a caller may do.
package ratelimit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/limit"
	"github.com/open-tollgate/tollgate/internal/problem"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler limits how many requests may pass in any window of time. All of its zones
// are decided together: a request that one of them denies counts in none.
//
// A denied request is answered 429 with Retry-After and the RateLimit fields, which
// allowed answers have too. Where the counters are out of reach, each zone's on_failure
// says what holds.
type Handler struct {
	// RateLimits are the zones by name. Zones of the same name, API and window share
	// their counts. A name is up to 64 letters, digits, '_', '.', '-' and '/'.
	RateLimits map[string]*Zone `json:"rate_limits,omitempty"`
	// Headers are the fields that answers have: on (RateLimit and RateLimit-Policy, the
	// default), off, or legacy (X-RateLimit-Limit, -Remaining and -Reset as well).
	Headers string `json:"headers,omitempty"`
	// Jitter is the part of the wait by which Retry-After may be later than it needs to
	// be, a minute at the most: 0.1 when left out.
	Jitter *float64 `json:"jitter,omitempty"`
	// Distributed is the community module's: it needs a Redis, and changes nothing.
	Distributed *Distributed `json:"distributed,omitempty"`
	// SweepInterval is the community module's: it changes nothing.
	SweepInterval caddy.Duration `json:"sweep_interval,omitempty"`
	// DisableMetrics is the community module's: it changes nothing.
	DisableMetrics bool `json:"disable_metrics,omitempty"`

	zones  []*Zone // by name
	policy string  // of all of them
	jitter float64
	engine *limit.Engine
	app    *tollgate.App
	events events
	logger *zap.Logger

	enclosed      bool // in an api, which answers what is refused
	distributedAt caddyfile.Token
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rate_limit", New: func() caddy.Module { return new(Handler) }}
}

// UnmarshalJSON is strict, and says what to write in place of an option of the
// community's rate_limit module.
func (h *Handler) UnmarshalJSON(text []byte) error {
	var options map[string]json.RawMessage
	if err := json.Unmarshal(text, &options); err != nil {
		return err
	}
	for option, value := range options {
		if instead, known := replaced[option]; known && string(value) != "false" && string(value) != "null" {
			return fmt.Errorf("rate_limit: %s: %s", option, instead)
		}
	}
	for option := range replaced {
		delete(options, option) // it was there to say that it is not wanted
	}
	text, err := json.Marshal(options)
	if err != nil {
		return err
	}
	type plain Handler
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*plain)(h))
}

// Provision sets the zones up. It does not dial.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := tollgate.FromContext(ctx)
	if err != nil {
		return err
	}
	if err := h.provisionOptions(app.HasRedis()); err != nil {
		return fmt.Errorf("rate_limit: %w", err)
	}
	if err := h.provisionZones(ctx); err != nil {
		return err
	}
	if h.events, err = newEvents(ctx); err != nil {
		return err
	}
	if h.engine, err = app.Limiter(); err != nil {
		return err
	}
	zonesOf.add(app, h.zones)
	h.app = app
	return tollgate.Register(ctx, decisions, engineCollector{h.engine})
}

func (h *Handler) provisionOptions(redis bool) error {
	if h.Headers == "" {
		h.Headers = headersOn
	}
	if err := checkHeaders(h.Headers); err != nil {
		return err
	}
	if err := checkJitter(h.Jitter); err != nil {
		return err
	}
	h.jitter = defaultJitter
	if h.Jitter != nil {
		h.jitter = *h.Jitter
	}
	return h.checkCommunity(redis)
}

func (h *Handler) provisionZones(ctx caddy.Context) error {
	if len(h.RateLimits) == 0 || len(h.RateLimits) > limit.MaxDebits {
		return fmt.Errorf("rate_limit: %d zones: want 1 to %d", len(h.RateLimits), limit.MaxDebits)
	}
	scope := ""
	if api, ok := tollgate.EnclosingAPI(ctx); ok {
		scope, h.enclosed = api.APIName(), true
	}
	for _, name := range slices.Sorted(maps.Keys(h.RateLimits)) {
		zone := h.RateLimits[name]
		if zone == nil {
			return fmt.Errorf("rate_limit: zone %q is null", name)
		}
		if err := zone.provision(ctx, scope, name); err != nil {
			return fmt.Errorf("rate_limit: zone %q: %w", name, err)
		}
		h.zones = append(h.zones, zone)
	}
	h.policy = policyOf(h.zones)
	return nil
}

// Cleanup takes the zones out of the admin API, also after a failed Provision.
func (h *Handler) Cleanup() error {
	if h.app != nil {
		zonesOf.remove(h.app, h.zones)
	}
	return nil
}

// ServeHTTP lets the request pass or returns the problem that it is refused with.
// Outside an api, the problem goes to the site's handle_errors, if it has one for it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	c := newCall()
	if refusal := h.decide(c, w, r); refusal != nil {
		c.release()
		return h.refuse(w, r, refusal)
	}
	if !c.isOpenEnded() {
		c.release()
		return next.ServeHTTP(w, r)
	}
	defer c.finish(h.engine)
	return next.ServeHTTP(c.watch(w), r)
}

func (h *Handler) decide(c *call, w http.ResponseWriter, r *http.Request) *problem.Problem {
	if refusal := h.collect(c, r); refusal != nil {
		return refusal
	}
	if len(c.debits) == 0 {
		return nil
	}
	decision, err := h.engine.Take(r.Context(), c.debits, c.states)
	if err != nil {
		c.concurrent, c.metered = false, false // nothing was debited
		return c.undecided(w, err)
	}
	c.states = decision.States
	h.announce(c, w.Header())
	if decision.Allowed {
		c.countAllowed()
		return nil
	}
	return c.exceeded(h, w, r, decision)
}

// announce tells the caller where it stands. The common request is in every zone, and
// its policy is known beforehand.
func (h *Handler) announce(c *call, fields http.Header) {
	if h.Headers == headersOff {
		return
	}
	policy := h.policy
	if len(c.zones) != len(h.zones) {
		policy = policyOf(c.zones)
	}
	c.setFields(fields, policy)
	if h.Headers == headersLegacy {
		c.setLegacy(fields)
	}
}

// collect finds the zones that the request is in, whom it counts for in each, and what.
func (h *Handler) collect(c *call, r *http.Request) *problem.Problem {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return problem.New(http.StatusInternalServerError, "internal_error", "").
			WithCause(errors.New("rate_limit: the request has no replacer"))
	}
	for _, zone := range h.zones {
		if len(zone.matchers) > 0 {
			matches, err := zone.matchers.AnyMatchWithError(r)
			if err != nil {
				return problem.New(http.StatusInternalServerError, "internal_error", "").WithCause(err)
			}
			if !matches {
				continue
			}
		}
		if refusal := c.enter(zone, repl); refusal != nil {
			return refusal
		}
	}
	return nil
}

// enter puts the request into a zone that is for it.
func (c *call) enter(z *Zone, repl *caddy.Replacer) *problem.Problem {
	key, full := z.template.fill(repl, z.networks)
	if !full && z.EmptyKey != emptyKeyShare {
		return z.lacks(z.EmptyKey == emptyKeyDeny, keyMissing)
	}
	cost, ok := z.Cost.of(repl)
	if !ok {
		return z.lacks(true, costMissing)
	}
	if cost > z.most() {
		return z.lacks(true, costTooLarge)
	}
	if cost > 0 {
		c.add(z, key, cost)
	}
	return nil
}

// lacks refuses a request that does not say what the zone has to know, or nothing that it
// could ever let pass, if it is to be refused and the zone refuses at all.
func (z *Zone) lacks(refuse bool, p *problem.Problem) *problem.Problem {
	switch {
	case !refuse:
		return nil
	case z.Shadow:
		z.series.shadowed.Inc()
		return nil
	}
	z.series.denied.Inc()
	return p
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ json.Unmarshaler            = (*Handler)(nil)
)
