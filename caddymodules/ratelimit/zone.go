package ratelimit

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// What a zone does with a request whose key has an empty placeholder.
const (
	emptyKeyDeny  = "deny"  // refuses it
	emptyKeyShare = "share" // counts all such requests together
	emptyKeySkip  = "skip"  // does not count it
)

// Zone is one limit: by default, at most MaxEvents requests of the same key in any Window.
type Zone struct {
	// MatcherSetsRaw narrow down which requests the zone is for; empty: all.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`
	// Key says who is counted, with placeholders that differ from caller to caller. A
	// key without one counts all requests together.
	Key string `json:"key,omitempty"`
	// Kind is how the zone counts: sliding (the default), calendar, gcra or concurrency.
	Kind limit.Kind `json:"kind,omitempty"`
	// Window is the length of time in which MaxEvents holds: 10ms to 366d. For sliding and gcra.
	Window caddy.Duration `json:"window,omitempty"`
	// Period is the day or month of UTC in which MaxEvents holds. For calendar.
	Period limit.Period `json:"period,omitempty"`
	// MaxEvents is how many units a window or period may hold, or how many may be under
	// way at once: 1 to 1,000,000,000.
	MaxEvents int64 `json:"max_events,omitempty"`
	// Burst is how many units may come at once: MaxEvents when zero. For gcra.
	Burst int64 `json:"burst,omitempty"`
	// Cost is how many units a request takes: one when left out.
	Cost *Cost `json:"cost,omitempty"`
	// EmptyKey says what happens to a request whose key has an empty placeholder: deny
	// (403, the default), share (one counter for all of them) or skip (not counted here).
	EmptyKey string `json:"empty_key,omitempty"`
	// IPv4Prefix and IPv6Prefix say how many bits of an address in the key are counted:
	// 32 and 64 when zero. They hold for the whole value of a placeholder, other than
	// those of http.auth.
	IPv4Prefix int `json:"ipv4_prefix,omitempty"`
	IPv6Prefix int `json:"ipv6_prefix,omitempty"`
	// OnFailure is what holds while Redis is away: each node admits its share of the limit
	// (the default), none (closed) or everything (open).
	OnFailure limit.OnFailure `json:"on_failure,omitempty"`
	// Shadow makes the zone count and report, and refuse nobody.
	Shadow bool `json:"shadow,omitempty"`

	api, name string
	matchers  caddyhttp.MatcherSets
	template  template
	networks  networks
	limit     *limit.Limit
	policy    string // its item of RateLimit-Policy; empty: not announced
	hard      uint32 // refusals within a minute that are worth a line in the log
	series    series
}

// check finds what is wrong with a zone as it is written.
func (z *Zone) check(scope, name string) (*limit.Limit, error) {
	if err := z.checkOptions(); err != nil {
		return nil, err
	}
	key, err := parseTemplate(z.Key)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", z.Key, err)
	}
	if z.networks, err = newNetworks(z.IPv4Prefix, z.IPv6Prefix); err != nil {
		return nil, err
	}
	z.template = key
	return limit.New(limit.Config{
		Scope: scope, Name: name, Kind: z.Kind, Events: z.MaxEvents, Window: time.Duration(z.Window), Period: z.Period,
		Burst: z.Burst, OnFailure: z.OnFailure, Shadow: z.Shadow,
	})
}

func (z *Zone) checkOptions() error {
	if z.Key == "" {
		return errors.New("key is missing; a word without placeholders counts all callers together")
	}
	if z.MaxEvents == 0 {
		return errors.New("events is missing")
	}
	if err := z.checkKindOptions(); err != nil {
		return err
	}
	if err := checkEmptyKey(z.EmptyKey); z.EmptyKey != "" && err != nil {
		return err
	}
	if err := checkOnFailure(z.OnFailure); z.OnFailure != "" && err != nil {
		return err
	}
	return z.checkCost()
}

// checkKindOptions holds each kind to the options that mean something to it.
func (z *Zone) checkKindOptions() error {
	kind := z.kind()
	if err := checkKind(kind); err != nil {
		return err
	}
	windowed := kind == limit.Sliding || kind == limit.GCRA
	switch {
	case windowed && z.Window == 0:
		return errors.New("window is missing")
	case !windowed && z.Window != 0:
		return fmt.Errorf("window %v: a zone of kind %s has none", time.Duration(z.Window), kind)
	case kind == limit.Calendar && z.Period == "":
		return errors.New("period is missing")
	case kind != limit.Calendar && z.Period != "":
		return fmt.Errorf("period %q: is for kind calendar", z.Period)
	case kind != limit.GCRA && z.Burst != 0:
		return fmt.Errorf("burst %d: is for kind gcra", z.Burst)
	case kind == limit.Calendar:
		return checkPeriod(z.Period)
	}
	return nil
}

func (z *Zone) checkCost() error {
	if z.Cost == nil {
		return nil
	}
	if err := z.Cost.check(); err != nil {
		return err
	}
	if z.kind() == limit.Concurrency && z.Cost.field != "" {
		return errors.New("cost response: what is under way is counted before its answer")
	}
	if most := z.most(); z.Cost.template == nil && z.Cost.fixed > most {
		return fmt.Errorf("cost %d: is more than the zone ever holds, %d", z.Cost.fixed, most)
	}
	return nil
}

func (z *Zone) kind() limit.Kind {
	if z.Kind == "" {
		return limit.Sliding
	}
	return z.Kind
}

// most is how many units one request can take.
func (z *Zone) most() int64 {
	if z.Kind == limit.GCRA && z.Burst != 0 {
		return z.Burst
	}
	return z.MaxEvents
}

func checkKind(kind limit.Kind) error {
	switch kind {
	case limit.Sliding, limit.Calendar, limit.GCRA, limit.Concurrency:
		return nil
	default:
		return fmt.Errorf("kind %q: want sliding, calendar, gcra or concurrency", kind)
	}
}

func checkPeriod(period limit.Period) error {
	if period != limit.Day && period != limit.Month {
		return fmt.Errorf("period %q: want day or month", period)
	}
	return nil
}

func checkOnFailure(choice limit.OnFailure) error {
	switch choice {
	case limit.Share, limit.Closed, limit.Open:
		return nil
	default:
		return fmt.Errorf("on_failure %q: want share, closed or open", choice)
	}
}

func checkEmptyKey(choice string) error {
	switch choice {
	case emptyKeyDeny, emptyKeyShare, emptyKeySkip:
		return nil
	default:
		return fmt.Errorf("empty_key %q: want deny, share or skip", choice)
	}
}

func (z *Zone) provision(ctx caddy.Context, scope, name string) error {
	l, err := z.check(scope, name)
	if err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	if z.template, err = z.template.resolve(repl); err != nil {
		return fmt.Errorf("key %q: %w", z.Key, err)
	}
	if z.EmptyKey == "" {
		z.EmptyKey = emptyKeyDeny
	}
	z.api, z.name, z.limit = scope, name, l
	z.hard = uint32(min(max(z.MaxEvents, leastHard), mostHard))
	if !z.Shadow { // of what refuses nobody, nobody needs to know
		z.policy = z.policyItem()
	}
	z.series = seriesOf(scope, name)
	return z.provisionMatchers(ctx)
}

func (z *Zone) provisionMatchers(ctx caddy.Context) error {
	if len(z.MatcherSetsRaw) == 0 {
		return nil
	}
	sets, err := ctx.LoadModule(z, "MatcherSetsRaw")
	if err != nil {
		return err
	}
	return z.matchers.FromInterface(sets)
}

// isOpenEnded says whether the answer has a part in what a request counts for.
func (z *Zone) isOpenEnded() bool {
	return z.Kind == limit.Concurrency || z.Cost != nil && z.Cost.field != ""
}
