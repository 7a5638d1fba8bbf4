package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// The fields of draft-ietf-httpapi-ratelimit-headers-10, as net/http writes them.
const (
	policyField     = "Ratelimit-Policy"
	stateField      = "Ratelimit"
	retryAfterField = "Retry-After"
)

// The fields that came before them. There is one of each, so they tell the tightest zone.
const (
	legacyLimit     = "X-Ratelimit-Limit"
	legacyRemaining = "X-Ratelimit-Remaining"
	legacyReset     = "X-Ratelimit-Reset" // seconds from now
)

// Which fields answers have.
const (
	headersOn     = "on"
	headersOff    = "off"
	headersLegacy = "legacy" // both kinds
)

func checkHeaders(choice string) error {
	switch choice {
	case headersOn, headersOff, headersLegacy:
		return nil
	default:
		return fmt.Errorf("headers %q: want on, off or legacy", choice)
	}
}

// policyItem gives the zone's item of RateLimit-Policy.
func (z *Zone) policyItem() string {
	item := fmt.Sprintf("%q;q=%d", z.name, z.MaxEvents)
	switch z.kind() {
	case limit.Concurrency:
		return item + `;qu="concurrent-requests"`
	case limit.Calendar: // a month has no length
		if z.Period == limit.Day {
			return item + ";w=86400"
		}
		return item
	default:
		return item + ";w=" + strconv.FormatInt(seconds(time.Duration(z.Window)), 10)
	}
}

// policyOf gives the RateLimit-Policy of zones.
func policyOf(zones []*Zone) string {
	items := make([]string, 0, len(zones))
	for _, z := range zones {
		if z.policy != "" {
			items = append(items, z.policy)
		}
	}
	return strings.Join(items, ", ")
}

// appendState adds the zone's item of the RateLimit field.
func (z *Zone) appendState(field []byte, s limit.State) []byte {
	field = append(field, '"')
	field = append(field, z.name...)
	field = append(field, `";r=`...)
	field = strconv.AppendInt(field, s.Remaining, 10)
	if z.Kind == limit.Concurrency { // nobody knows when what is under way will end
		return field
	}
	field = append(field, ";t="...)
	return strconv.AppendInt(field, seconds(s.Wait), 10)
}

// setFields adds the RateLimit fields. They are lists, so another rate_limit before
// this one keeps its own. The tightest zone comes first: clients that read one item
// only should read that one.
func (c *call) setFields(h http.Header, policy string) {
	first := c.tightest()
	if first < 0 {
		return
	}
	c.field = c.zones[first].appendState(c.field[:0], c.states[first])
	for i, z := range c.zones {
		if i != first && !z.Shadow && !c.states[i].Unheard {
			c.field = append(c.field, ", "...)
			c.field = z.appendState(c.field, c.states[i])
		}
	}
	if len(h[policyField])+len(h[stateField]) > 0 {
		h[policyField] = append(h[policyField], policy)
		h[stateField] = append(h[stateField], string(c.field))
		return
	}
	both := &[2]string{policy, string(c.field)} // one allocation for the two of them
	h[policyField], h[stateField] = both[0:1:1], both[1:2:2]
}

// setLegacy sets the fields of old, unless another rate_limit before this one had less left.
func (c *call) setLegacy(h http.Header) {
	first := c.tightest()
	if first < 0 {
		return
	}
	z, s := c.zones[first], c.states[first]
	if before, err := strconv.ParseInt(h.Get(legacyRemaining), 10, 64); err == nil && before < s.Remaining {
		return
	}
	h[legacyLimit] = []string{strconv.FormatInt(z.MaxEvents, 10)}
	h[legacyRemaining] = []string{strconv.FormatInt(s.Remaining, 10)}
	h[legacyReset] = []string{strconv.FormatInt(seconds(s.Wait), 10)}
}

// tightest gives the zone that a caller has to wait for the longest, or else the one
// with the least left; -1 where all are in shadow.
func (c *call) tightest() int {
	first := -1
	for i, s := range c.states {
		if c.zones[i].Shadow || s.Unheard {
			continue
		}
		if first < 0 {
			first = i
			continue
		}
		best := &c.states[first]
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

// Retry-After is later than the limit needs, by up to a part of the wait, so that those
// who were refused together do not come back together.
const (
	defaultJitter = 0.1
	longestJitter = time.Minute
)

// retryAfter gives when to come back: never before the wait is over.
func (h *Handler) retryAfter(wait time.Duration) time.Duration {
	late := min(time.Duration(float64(wait)*h.jitter), longestJitter)
	if late > 0 {
		wait += rand.N(late)
	}
	return wait
}

// seconds rounds up, so that nobody who waits that long comes too early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
