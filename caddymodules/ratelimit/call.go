package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/limit"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// The fields of draft-ietf-httpapi-ratelimit-headers-10, as net/http writes them.
const (
	policyField     = "Ratelimit-Policy"
	stateField      = "Ratelimit"
	retryAfterField = "Retry-After"
)

// quotaExceeded is the type that the draft registers.
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// retryUnavailable is when to come back after the counters were out of reach.
const retryUnavailable = time.Second

var (
	keyMissing = problem.New(http.StatusForbidden, "rate_limit_key_missing",
		"The request does not say who it has to be counted for.")
	storeUnavailable = problem.New(http.StatusServiceUnavailable, "rate_limit_unavailable",
		"Whether the request is within its limits cannot be told at the moment.").WithRetryAfter(retryUnavailable)
)

// call is one decision. Its memory is used again for later ones.
type call struct {
	zones  []*Zone
	debits []limit.Debit
	states []limit.State
	field  []byte
}

var calls = sync.Pool{New: func() any { return new(call) }}

func newCall() *call { return calls.Get().(*call) }

func (c *call) release() {
	clear(c.zones)
	clear(c.debits) // the keys belong to the request
	c.zones, c.debits, c.states, c.field = c.zones[:0], c.debits[:0], c.states[:0], c.field[:0]
	calls.Put(c)
}

func (c *call) add(z *Zone, key string) {
	c.zones = append(c.zones, z)
	c.debits = append(c.debits, limit.Debit{Limit: z.limit, Key: key})
}

func (c *call) countAllowed() {
	for _, z := range c.zones {
		z.allowed.Inc()
	}
}

// setFields adds the RateLimit fields. They are lists, so another rate_limit before
// this one keeps its own. The tightest zone comes first: clients that read one item
// only should read that one.
func (c *call) setFields(h http.Header, policy string) {
	h[policyField] = append(h[policyField], policy)
	first := c.tightest()
	c.field = c.zones[first].appendState(c.field[:0], c.states[first])
	for i, z := range c.zones {
		if i != first {
			c.field = append(c.field, ", "...)
			c.field = z.appendState(c.field, c.states[i])
		}
	}
	h[stateField] = append(h[stateField], string(c.field))
}

// policyOf gives the RateLimit-Policy of zones.
func policyOf(zones []*Zone) string {
	items := make([]string, 0, len(zones))
	for _, z := range zones {
		items = append(items, z.policy)
	}
	return strings.Join(items, ", ")
}

// tightest gives the zone that a caller has to wait for the longest, or else the one
// with the least left.
func (c *call) tightest() (first int) {
	for i, s := range c.states {
		best := c.states[first]
		switch {
		case s.Short != best.Short:
			if s.Short {
				first = i
			}
		case s.Short && s.Wait > best.Wait, !s.Short && s.Remaining < best.Remaining:
			first = i
		}
	}
	return first
}

// exceeded gives the refusal of a request that is over a limit.
func (c *call) exceeded(w http.ResponseWriter, r *http.Request, wait time.Duration) *problem.Problem {
	var violated []string
	for i, z := range c.zones {
		if c.states[i].Short {
			z.denied.Inc()
			violated = append(violated, z.name)
		}
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.rate_limit.exceeded.name", c.zones[c.tightest()].name)
	}
	w.Header().Set(retryAfterField, strconv.FormatInt(seconds(wait), 10))
	p := problem.New(http.StatusTooManyRequests, "quota_exceeded", "").
		WithRetryAfter(wait).WithExtra("violated-policies", violated)
	p.Type = quotaExceeded
	p.Title = "Request cannot be satisfied as assigned quota has been exceeded"
	return p
}

// unavailable gives the refusal of a request that could not be decided.
func (c *call) unavailable(w http.ResponseWriter, err error) *problem.Problem {
	for _, z := range c.zones {
		z.failed.Inc()
	}
	w.Header().Set(retryAfterField, strconv.FormatInt(seconds(retryUnavailable), 10))
	return storeUnavailable.WithCause(err)
}
