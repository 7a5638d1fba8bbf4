package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// RateLimit is how much.
type RateLimit struct {
	At    string
	API   *API
	Zones []*Zone // by name
}

// Zone is one limit.
type Zone struct {
	Name       string       `json:"-"`
	Key        string       `json:"key"`
	Kind       string       `json:"kind"`
	Window     Duration     `json:"window"`
	Period     string       `json:"period"`
	MaxEvents  int64        `json:"max_events"`
	Burst      int64        `json:"burst"`
	Cost       *Cost        `json:"cost"`
	EmptyKey   string       `json:"empty_key"`
	IPv4Prefix int          `json:"ipv4_prefix"`
	IPv6Prefix int          `json:"ipv6_prefix"`
	OnFailure  string       `json:"on_failure"`
	Shadow     bool         `json:"shadow"`
	Match      []MatcherSet `json:"-"`

	key    keyText
	named  []string // its placeholders
	counts string   // with what it counts together
}

// Cost is how many units a request takes; one where there is none.
type Cost struct {
	Value    string `json:"value"`
	Default  *int64 `json:"default"`
	Response string `json:"response_field"` // the answer's field that tells it afterwards

	text keyText
}

// The kinds of limits, and what a zone does with a request that it cannot count.
const (
	sliding     = "sliding"
	calendar    = "calendar"
	gcra        = "gcra"
	concurrency = "concurrency"

	emptyDeny  = "deny"
	emptyShare = "share"
	emptySkip  = "skip"
)

func (p *parser) rateLimit(at string, raw json.RawMessage) Handler {
	var r struct {
		RateLimits map[string]json.RawMessage `json:"rate_limits"`
	}
	p.fail(at, json.Unmarshal(raw, &r))
	h := &RateLimit{At: at, API: p.api}
	for _, name := range slices.Sorted(maps.Keys(r.RateLimits)) {
		h.Zones = append(h.Zones, p.zone(at, name, r.RateLimits[name]))
	}
	return h
}

func (p *parser) zone(at, name string, raw json.RawMessage) *Zone {
	z := &Zone{Name: name}
	var more struct {
		Match []map[string]json.RawMessage `json:"match"`
	}
	p.fail(at+"/"+name, json.Unmarshal(raw, z))
	p.fail(at+"/"+name, json.Unmarshal(raw, &more))
	for _, set := range more.Match {
		z.Match = append(z.Match, p.matchers(at+"/"+name, set))
	}
	z.Name, z.key = name, newKeyText(z.Key)
	if z.Kind == "" {
		z.Kind = sliding
	}
	if z.EmptyKey == "" {
		z.EmptyKey = emptyDeny
	}
	z.named, z.counts = z.key.placeholders(), z.family(p.api)
	if z.Cost != nil {
		z.Cost.text = newKeyText(z.Cost.Value)
	}
	return z
}

func (h *RateLimit) String() string {
	names := make([]string, len(h.Zones))
	for n, z := range h.Zones {
		names[n] = z.Name
	}
	return "rate_limit " + strings.Join(names, " ")
}

// String is the limit in words.
func (z *Zone) String() string {
	text := fmt.Sprintf("%s: %d in %v by %s", z.Name, z.MaxEvents, z.within(), z.Key)
	if z.Kind == gcra {
		text += fmt.Sprintf(", paced, %d at once", z.most())
	}
	if z.Cost != nil {
		text += ", " + z.Cost.String()
	}
	if z.IPv4Prefix+z.IPv6Prefix > 0 {
		text += fmt.Sprintf(", addresses by /%d and /%d", orElse(z.IPv4Prefix, wholeIPv4), orElse(z.IPv6Prefix, defaultIPv6))
	}
	switch z.EmptyKey {
	case emptyShare:
		text += ", all without a key together"
	case emptySkip:
		text += ", not without a key"
	}
	if z.OnFailure == "closed" || z.OnFailure == "open" {
		text += ", " + z.OnFailure + " while Redis is away"
	}
	if z.Shadow {
		text += ", in shadow: refuses nobody"
	}
	return text
}

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// String is the cost in words.
func (c *Cost) String() string {
	text := "costs " + c.Value
	if c.Value == "" {
		text = "costs 1"
	}
	switch {
	case c.Response != "":
		return text + " until the answer's " + c.Response + " tells it"
	case c.Default != nil:
		return text + fmt.Sprintf(" or %d", *c.Default)
	case len(c.text.placeholders()) > 0:
		return text + ", 400 without"
	}
	return text
}

func (z *Zone) within() string {
	switch z.Kind {
	case calendar:
		return z.Period
	case concurrency:
		return "progress"
	default:
		return time.Duration(z.Window).String()
	}
}

// most is how many units one moment can take.
func (z *Zone) most() int64 {
	if z.Kind == gcra && z.Burst != 0 {
		return z.Burst
	}
	return z.MaxEvents
}

func (h *RateLimit) serve(w *walk, next next) end {
	w.meet(h.At, h)
	var counters []Counter
	for _, z := range h.Zones {
		if !anySet(z.Match, w) {
			continue
		}
		w.out.zones = append(w.out.zones, z)
		w.countedBy(z)
		c, refused := w.counter(h, z)
		switch {
		case refused != nil && !z.Shadow:
			return h.refuse(w, refused.status, refused.reason, z.Name)
		case refused == nil && c.Cost > 0:
			counters = append(counters, c)
		}
	}
	if len(counters) == 0 {
		return next()
	}
	if slices.ContainsFunc(counters, func(c Counter) bool { return !c.Shadow }) {
		if status, fails := w.fails(limitFails, h.At); fails {
			return h.refuse(w, status, "quota_exceeded", "")
		}
	}
	zone, over := w.out.Counts.take(counters)
	w.out.Counters = append(w.out.Counters, counters...)
	if over {
		return h.refuse(w, http.StatusTooManyRequests, "quota_exceeded", zone)
	}
	return next()
}

// refuse leaves the answer to the api around, or to the site's error routes, and gives it
// where neither is there.
func (h *RateLimit) refuse(w *walk, status int, reason, zone string) end {
	rule := Step{h.At, strings.TrimSpace("rate_limit " + zone)}
	if h.API == nil && !w.hasErrorRoute(status) {
		w.refuse(status, reason, rule)
		return answered
	}
	return w.fail(status, reason, rule)
}

// counter gives whom a request counts for in a zone and with how much, or why nobody can
// tell. A cost of nothing is not counted, and one of more than there ever is neither.
func (w *walk) counter(h *RateLimit, z *Zone) (Counter, *refusal) {
	key := z.key.fill(w, z)
	if !key.full && z.EmptyKey == emptyDeny {
		return Counter{}, &refusal{status: http.StatusForbidden, reason: "rate_limit_key_missing"}
	}
	if !key.full && z.EmptyKey == emptySkip {
		return Counter{}, nil
	}
	cost, ok := w.cost(z)
	if !ok {
		return Counter{}, &refusal{status: http.StatusBadRequest, reason: "rate_limit_cost_missing"}
	}
	if cost > z.most() {
		return Counter{}, &refusal{status: http.StatusBadRequest, reason: "rate_limit_cost_too_large"}
	}
	c := Counter{Zone: z.Name, Key: key.text, Events: z.MaxEvents, Within: z.within(), Shadow: z.Shadow, Cost: cost, zone: z}
	if h.API != nil {
		c.API = h.API.Name
	}
	c.id = strings.Join([]string{c.API, z.Name, z.Kind, z.within(), key.id}, "\x00")
	return c, nil
}

// cost gives the units of a request, and false where it does not say them.
func (w *walk) cost(z *Zone) (n int64, ok bool) {
	c := z.Cost
	if c == nil || c.Value == "" {
		return 1, true
	}
	var text string
	for _, p := range c.text {
		value := p.literal
		if p.placeholder != "" {
			var known bool
			if value, known = w.countable(p.placeholder); !known || w.symbolic(value) {
				w.open("cost " + c.Value + " of zone " + z.Name)
				return 1, true
			}
		}
		text += value
	}
	if n, ok := units(text); ok {
		return n, true
	}
	if c.Default != nil {
		return *c.Default, true
	}
	return 0, false
}

// symbolic says whether a value stands for what only a token tells, while all tokens pass.
func (w *walk) symbolic(value string) bool {
	return w.judge == nil && strings.HasPrefix(value, "{http.auth.")
}
