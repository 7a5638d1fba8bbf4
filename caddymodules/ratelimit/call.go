package ratelimit

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/internal/limit"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// The types that the draft registers.
const (
	quotaExceeded   = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	reducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
)

// retryUnavailable is when to come back after the counters were out of reach.
const retryUnavailable = time.Second

var (
	keyMissing = problem.New(http.StatusForbidden, "rate_limit_key_missing",
		"The request does not say who it has to be counted for.")
	costMissing = problem.New(http.StatusBadRequest, "rate_limit_cost_missing",
		"The request does not say what it costs, as a whole number.")
	costTooLarge = problem.New(http.StatusBadRequest, "rate_limit_cost_too_large",
		"The request costs more than its limits ever hold.")
	storeUnavailable = problem.New(http.StatusServiceUnavailable, "rate_limit_unavailable",
		"Whether the request is within its limits cannot be told at the moment.").WithRetryAfter(retryUnavailable)
)

// call is one decision. Its memory is used again for later ones.
type call struct {
	zones  []*Zone
	debits []limit.Debit
	states []limit.State
	costs  []int64 // as the answer tells them
	field  []byte

	concurrent, metered bool // there are zones that the answer has a part in
}

var calls = sync.Pool{New: func() any { return new(call) }}

func newCall() *call { return calls.Get().(*call) }

func (c *call) release() {
	clear(c.zones)
	clear(c.debits) // the keys belong to the request
	clear(c.states)
	c.zones, c.debits, c.states, c.costs, c.field = c.zones[:0], c.debits[:0], c.states[:0], c.costs[:0], c.field[:0]
	c.concurrent, c.metered = false, false
	calls.Put(c)
}

func (c *call) add(z *Zone, key string, cost int64) {
	c.zones = append(c.zones, z)
	c.debits = append(c.debits, limit.Debit{Limit: z.limit, Key: key, Cost: cost})
	if z.isOpenEnded() {
		c.concurrent = c.concurrent || z.Kind == limit.Concurrency
		c.metered = c.metered || z.Kind != limit.Concurrency
	}
}

// isOpenEnded says whether something is left to do when the answer is there.
func (c *call) isOpenEnded() bool { return c.concurrent || c.metered }

func (c *call) countAllowed() {
	for i, z := range c.zones {
		if c.states[i].Short { // only a zone in shadow can be, and let the request pass
			z.series.shadowed.Inc()
			continue
		}
		z.series.allowed.Inc()
	}
}

// exceeded gives the refusal of a request that is over a limit.
func (c *call) exceeded(h *Handler, w http.ResponseWriter, r *http.Request, d limit.Decision) *problem.Problem {
	var violated []string
	for i, z := range c.zones {
		if c.states[i].Short && !z.Shadow {
			z.series.denied.Inc()
			violated = append(violated, z.name)
			h.noteRefusal(z, c.debits[i].Key)
		}
	}
	first := c.tightest()
	if first >= 0 {
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Set("http.rate_limit.exceeded.name", c.zones[first].name)
		}
	}
	p := problem.New(http.StatusTooManyRequests, "quota_exceeded", "")
	p.Type, p.Title = quotaExceeded, "Request cannot be satisfied as assigned quota has been exceeded"
	if d.Degraded {
		p = problem.New(http.StatusServiceUnavailable, "temporary_reduced_capacity",
			"The counters are out of reach, and this node has used its share of the limit up.")
		p.Type, p.Title = reducedCapacity, "Request cannot be satisfied due to temporary server capacity constraints"
	}
	wait := h.retryAfter(c.wait())
	if first >= 0 && !d.Degraded { // with Redis away it is this node that has no more, not the caller
		h.events.exceeded(c.zones[first], wait, r)
	}
	w.Header().Set(retryAfterField, strconv.FormatInt(max(1, seconds(wait)), 10))
	return p.WithRetryAfter(wait).WithExtra("violated-policies", violated)
}

// wait gives the time after which the request would pass if nobody else asked meanwhile: the
// longest of the zones that refuse it. One in the shadow is not waited for.
func (c *call) wait() (longest time.Duration) {
	for i, s := range c.states {
		if s.Short && !c.zones[i].Shadow {
			longest = max(longest, s.Wait)
		}
	}
	return longest
}

// undecided gives the refusal of a request that could not be decided, or nothing where
// no zone would have refused it.
func (c *call) undecided(w http.ResponseWriter, err error) *problem.Problem {
	binding := false
	for _, z := range c.zones {
		z.series.failed.Inc()
		binding = binding || !z.Shadow
	}
	if !binding {
		return nil
	}
	w.Header().Set(retryAfterField, strconv.FormatInt(seconds(retryUnavailable), 10))
	return storeUnavailable.WithCause(err)
}

// watch gives the writer that the rest of the chain answers through.
func (c *call) watch(w http.ResponseWriter) http.ResponseWriter {
	if !c.metered {
		return w
	}
	for range c.zones {
		c.costs = append(c.costs, -1)
	}
	return &meter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, call: c}
}

// readCosts takes what the answer tells.
func (c *call) readCosts(answer http.Header) {
	for i, z := range c.zones {
		c.costs[i] = z.Cost.told(answer)
	}
}

// finish does what was left to do, also where the answer was broken off.
func (c *call) finish(engine *limit.Engine) {
	if c.metered {
		engine.Settle(c.debits, c.states, c.costs)
	}
	if c.concurrent {
		engine.Release(c.debits, c.states)
	}
	c.release()
}
