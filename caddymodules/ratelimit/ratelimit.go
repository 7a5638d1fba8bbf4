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
// allowed answers have too. Where the counters are out of reach the answer is 503:
// a limit that cannot be checked is not passed.
type Handler struct {
	// RateLimits are the zones by name. Zones of the same name, API and window share
	// their counts. A name is up to 64 letters, digits, '_', '.', '-' and '/'.
	RateLimits map[string]*Zone `json:"rate_limits,omitempty"`

	zones  []*Zone // by name
	policy string  // of all of them
	store  limit.Store
	shared bool // the store is the one of memoryPool
	logger *zap.Logger

	enclosed bool // in an api, which answers what is refused
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
	for option := range options {
		if instead, known := replaced[option]; known {
			return fmt.Errorf("rate_limit: %s: %s", option, instead)
		}
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
	if err := h.provisionZones(ctx); err != nil {
		return err
	}
	if err := tollgate.Register(ctx, decisions); err != nil {
		return err
	}
	if client := app.Redis(); client != nil {
		h.store = limit.NewRedis(limit.RedisConfig{Client: client}) // it holds nothing of its own
		return nil
	}
	h.store, h.shared = takeMemory(), true
	return nil
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

// Cleanup lets the counts go that no other configuration wants, also after a
// failed Provision.
func (h *Handler) Cleanup() error {
	if !h.shared {
		return nil
	}
	h.shared = false
	return releaseMemory()
}

// ServeHTTP lets the request pass or returns the problem that it is refused with.
// Outside an api, the problem goes to the site's handle_errors, if it has one for it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if refusal := h.decide(w, r); refusal != nil {
		return h.refuse(w, r, refusal)
	}
	return next.ServeHTTP(w, r)
}

func (h *Handler) decide(w http.ResponseWriter, r *http.Request) *problem.Problem {
	c := newCall()
	defer c.release()
	if refusal := h.collect(c, r); refusal != nil {
		return refusal
	}
	if len(c.debits) == 0 {
		return nil
	}
	decision, err := h.store.Take(r.Context(), c.debits, c.states)
	if err != nil {
		return c.unavailable(w, err)
	}
	c.states = decision.States
	c.setFields(w.Header(), h.policyFor(c.zones))
	if decision.Allowed {
		c.countAllowed()
		return nil
	}
	return c.exceeded(w, r, decision.Wait())
}

// policyFor spares the common request, which is in every zone, the text.
func (h *Handler) policyFor(zones []*Zone) string {
	if len(zones) == len(h.zones) {
		return h.policy
	}
	return policyOf(zones)
}

// collect finds the zones that the request is in, and whom it counts for in each.
func (h *Handler) collect(c *call, r *http.Request) *problem.Problem {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return problem.New(http.StatusInternalServerError, "internal_error", "").
			WithCause(errors.New("rate_limit: the request has no replacer"))
	}
	for _, zone := range h.zones {
		matches, err := zone.matchers.AnyMatchWithError(r)
		if err != nil {
			return problem.New(http.StatusInternalServerError, "internal_error", "").WithCause(err)
		}
		if !matches {
			continue
		}
		key, full := zone.template.fill(repl, zone.networks)
		if !full && zone.EmptyKey == emptyKeySkip {
			continue
		}
		if !full && zone.EmptyKey == emptyKeyDeny {
			zone.denied.Inc()
			return keyMissing
		}
		c.add(zone, key)
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ json.Unmarshaler            = (*Handler)(nil)
)
