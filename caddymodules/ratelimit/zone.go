package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// What a zone does with a request whose key has an empty placeholder.
const (
	emptyKeyDeny  = "deny"  // refuses it
	emptyKeyShare = "share" // counts all such requests together
	emptyKeySkip  = "skip"  // does not count it
)

// Zone is one limit: at most MaxEvents requests of the same key in any Window.
type Zone struct {
	// MatcherSetsRaw narrow down which requests the zone is for; empty: all.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`
	// Key says who is counted, with placeholders that differ from caller to caller. A
	// key without one counts all requests together.
	Key string `json:"key,omitempty"`
	// Window is the length of time in which MaxEvents holds: 10ms to 366d.
	Window caddy.Duration `json:"window,omitempty"`
	// MaxEvents is how many requests any window may hold: 1 to 1,000,000,000.
	MaxEvents int64 `json:"max_events,omitempty"`
	// EmptyKey says what happens to a request whose key has an empty placeholder: deny
	// (403, the default), share (one counter for all of them) or skip (not counted here).
	EmptyKey string `json:"empty_key,omitempty"`
	// IPv4Prefix and IPv6Prefix say how many bits of an address in the key are counted:
	// 32 and 64 when zero. They hold for the whole value of a placeholder, other than
	// those of http.auth.
	IPv4Prefix int `json:"ipv4_prefix,omitempty"`
	IPv6Prefix int `json:"ipv6_prefix,omitempty"`

	name     string
	matchers caddyhttp.MatcherSets
	template template
	networks networks
	limit    *limit.Limit
	policy   string // its item of RateLimit-Policy

	allowed, denied, failed prometheus.Counter
}

// check finds what is wrong with a zone as it is written.
func (z *Zone) check(scope, name string) (*limit.Limit, template, error) {
	switch {
	case z.Key == "":
		return nil, nil, errors.New("key is missing; a word without placeholders counts all callers together")
	case z.MaxEvents == 0:
		return nil, nil, errors.New("events is missing")
	case z.Window == 0:
		return nil, nil, errors.New("window is missing")
	}
	if err := checkEmptyKey(z.EmptyKey); z.EmptyKey != "" && err != nil {
		return nil, nil, err
	}
	key, err := parseTemplate(z.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("key %q: %w", z.Key, err)
	}
	l, err := limit.New(limit.Config{Scope: scope, Name: name, Events: z.MaxEvents, Window: time.Duration(z.Window)})
	return l, key, err
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
	l, key, err := z.check(scope, name)
	if err != nil {
		return err
	}
	if z.template, err = key.resolve(caddy.NewReplacer()); err != nil {
		return fmt.Errorf("key %q: %w", z.Key, err)
	}
	if z.networks, err = newNetworks(z.IPv4Prefix, z.IPv6Prefix); err != nil {
		return err
	}
	if z.EmptyKey == "" {
		z.EmptyKey = emptyKeyDeny
	}
	z.name, z.limit = name, l
	z.policy = fmt.Sprintf("%q;q=%d;w=%d", name, z.MaxEvents, seconds(time.Duration(z.Window)))
	z.allowed = decisions.WithLabelValues(name, "allowed")
	z.denied = decisions.WithLabelValues(name, "denied")
	z.failed = decisions.WithLabelValues(name, "error")
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

// appendState adds the zone's item of the RateLimit field.
func (z *Zone) appendState(field []byte, s limit.State) []byte {
	field = append(field, '"')
	field = append(field, z.name...)
	field = append(field, `";r=`...)
	field = strconv.AppendInt(field, s.Remaining, 10)
	field = append(field, ";t="...)
	return strconv.AppendInt(field, seconds(s.Wait), 10)
}

// seconds rounds up, so that nobody who waits that long comes too early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
