package ratelimit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/limit"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("rate_limit", parseDirective)
}

// replaced are the options of the community's rate_limit module that are no options
// here, and what to write in their place.
var replaced = map[string]string{
	"distributed":    "not an option here; counts are shared, exactly, through Redis: write `redis <url>` in the global option `tollgate`",
	"storage":        "not an option here; counts are kept in Redis: write `redis <url>` in the global option `tollgate`",
	"jitter":         "not an option here; Retry-After names the moment from which the request fits: remove this line",
	"sweep_interval": "not an option here; what no longer counts makes room by itself: remove this line",
	"log_key":        "not an option here; keys say who somebody is and are never logged: remove this line",
}

func parseDirective(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	rate_limit [<matcher>] {
//		zone <name> {
//			key         <text with placeholders>
//			events      <number>
//			window      <duration>
//			match {
//				<matchers...>
//			}
//			empty_key   deny | share | skip
//			ipv4_prefix <bits>
//			ipv6_prefix <bits>
//		}
//		...
//	}
//
// Each zone allows `events` requests of the same key in any window of the given
// length, never more. Zones are decided together: a request that one of them denies
// counts in none. A request that `match` leaves out is not the zone's.
//
// The key says who is counted: {http.auth.client.id}, {http.auth.user.id},
// {remote_host}, several of them, or a plain word for all callers together. A
// placeholder that has no value would make everybody without one share a count, so
// it is refused with 403; `empty_key share` shares it on purpose, and `empty_key skip`
// does not count the request in this zone.
//
// Where the value of a placeholder is an IPv6 address, it counts with all addresses
// of its /64, which is what one caller has; `ipv6_prefix` sets another length. An
// IPv4 address counts alone, unless `ipv4_prefix` says less than 32.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	directive := d.Token()
	if d.NextArg() {
		return d.Errf("rate_limit takes a matcher and zones, not %q", d.Val())
	}
	h.RateLimits = make(map[string]*Zone)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "zone" {
			return unknownOption(d)
		}
		if err := h.parseZone(d); err != nil {
			return err
		}
	}
	if len(h.RateLimits) == 0 {
		return tollgate.ErrorAt(directive, "rate_limit needs at least one zone")
	}
	return nil
}

func unknownOption(d *caddyfile.Dispenser) error {
	if instead, known := replaced[d.Val()]; known {
		return d.Errf("rate_limit: %s: %s", d.Val(), instead)
	}
	return d.Errf("rate_limit: unknown option %q", d.Val())
}

func (h *Handler) parseZone(d *caddyfile.Dispenser) error {
	var name string
	if !d.AllArgs(&name) {
		return d.Errf("rate_limit: zone takes one name")
	}
	start := d.Token()
	if _, twice := h.RateLimits[name]; twice {
		return d.Errf("rate_limit: zone %q is there twice", name)
	}
	if len(h.RateLimits) == limit.MaxDebits {
		return d.Errf("rate_limit: zone %q is one more than the %d that can be decided together", name, limit.MaxDebits)
	}
	zone := new(Zone)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if seen[d.Val()] {
			return d.Errf("rate_limit: zone %q: %s is there twice", name, d.Val())
		}
		seen[d.Val()] = true
		if err := zone.parseOption(d, name); err != nil {
			return err
		}
	}
	if _, _, err := zone.check("", name); err != nil {
		return tollgate.ErrorAt(start, "rate_limit: zone %q: %w", name, err)
	}
	h.RateLimits[name] = zone
	return nil
}

func (z *Zone) parseOption(d *caddyfile.Dispenser, name string) error {
	option := d.Val()
	switch option {
	case "match":
		return z.parseMatch(d, name)
	case "key", "events", "window", "empty_key", "ipv4_prefix", "ipv6_prefix":
	default:
		return unknownOption(d)
	}
	values := d.RemainingArgs()
	if len(values) == 0 || len(values) > 1 && option != "key" {
		return d.Errf("rate_limit: zone %q: %s takes one value", name, option)
	}
	var err error
	switch option {
	case "key":
		z.Key = strings.Join(values, " ")
	case "events":
		z.MaxEvents, err = parseEvents(values[0])
	case "window":
		z.Window, err = parseWindow(values[0])
	case "empty_key":
		z.EmptyKey, err = values[0], checkEmptyKey(values[0])
	case "ipv4_prefix":
		z.IPv4Prefix, err = parsePrefix(option, values[0], wholeIPv4)
	case "ipv6_prefix":
		z.IPv6Prefix, err = parsePrefix(option, values[0], wholeIPv6)
	}
	if err != nil {
		return d.Errf("rate_limit: zone %q: %w", name, err)
	}
	return nil
}

func (z *Zone) parseMatch(d *caddyfile.Dispenser, name string) error {
	start := d.Token()
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
	if err != nil {
		return tollgate.ErrorAt(start, "rate_limit: zone %q: match: %w", name, err)
	}
	if len(set) == 0 {
		return tollgate.ErrorAt(start, "rate_limit: zone %q: match is empty", name)
	}
	z.MatcherSetsRaw = caddyhttp.RawMatcherSets{set}
	return nil
}

func parseEvents(value string) (int64, error) {
	events, err := strconv.ParseInt(value, 10, 64)
	if err != nil || events < 1 || events > limit.MaxEvents {
		return 0, fmt.Errorf("events %q: want a whole number from 1 to %d", value, limit.MaxEvents)
	}
	return events, nil
}

func parsePrefix(option, value string, most int) (int, error) {
	bits, err := strconv.Atoi(value)
	if err != nil || bits < 1 || bits > most {
		return 0, fmt.Errorf("%s %q: want 1 to %d", option, value, most)
	}
	return bits, nil
}

func parseWindow(value string) (caddy.Duration, error) {
	window, err := caddy.ParseDuration(value)
	if err != nil || window < limit.MinWindow || window > limit.MaxWindow {
		return 0, fmt.Errorf("window %q: want a duration from 10ms to 366d, such as 30s, 1m or 1d", value)
	}
	return caddy.Duration(window), nil
}
