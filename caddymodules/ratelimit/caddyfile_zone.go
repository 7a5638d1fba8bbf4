package ratelimit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/limit"
)

func (z *Zone) parseOption(d *caddyfile.Dispenser, name string) error {
	option := d.Val()
	if option == "match" {
		return z.parseMatch(d, name)
	}
	set, known := zoneOptions[option]
	if !known {
		return unknownOption(d)
	}
	values := d.RemainingArgs()
	if len(values) < set.least || set.most > 0 && len(values) > set.most || set.most == 0 && len(values) > 0 && set.least == 0 {
		return d.Errf("rate_limit: zone %q: %s takes %s", name, option, set.takes())
	}
	if err := set.set(z, values); err != nil {
		return d.Errf("rate_limit: zone %q: %w", name, err)
	}
	return nil
}

// zoneOption is how many values an option takes, and where they go. No most is any number.
type zoneOption struct {
	least, most int
	set         func(z *Zone, values []string) error
}

func (o zoneOption) takes() string {
	switch {
	case o.least == 0:
		return "no value"
	case o.most == 3:
		return "a number, a placeholder or `response` and a field"
	default:
		return "one value"
	}
}

var zoneOptions = map[string]zoneOption{
	"key": {1, 0, func(z *Zone, values []string) error {
		z.Key = strings.Join(values, " ")
		return nil
	}},
	"kind": one(func(z *Zone, value string) error {
		z.Kind = limit.Kind(value)
		return checkKind(z.Kind)
	}),
	"events": one(func(z *Zone, value string) (err error) {
		z.MaxEvents, err = parseNumber("events", value)
		return err
	}),
	"window": one(func(z *Zone, value string) (err error) {
		z.Window, err = parseWindow(value)
		return err
	}),
	"period": one(func(z *Zone, value string) error {
		z.Period = limit.Period(value)
		return checkPeriod(z.Period)
	}),
	"burst": one(func(z *Zone, value string) (err error) {
		z.Burst, err = parseNumber("burst", value)
		return err
	}),
	"cost": {1, 3, func(z *Zone, values []string) (err error) {
		z.Cost, err = parseCost(values)
		return err
	}},
	"empty_key": one(func(z *Zone, value string) error {
		z.EmptyKey = value
		return checkEmptyKey(value)
	}),
	"ipv4_prefix": one(func(z *Zone, value string) (err error) {
		z.IPv4Prefix, err = parsePrefix("ipv4_prefix", value, wholeIPv4)
		return err
	}),
	"ipv6_prefix": one(func(z *Zone, value string) (err error) {
		z.IPv6Prefix, err = parsePrefix("ipv6_prefix", value, wholeIPv6)
		return err
	}),
	"on_failure": one(func(z *Zone, value string) error {
		z.OnFailure = limit.OnFailure(value)
		return checkOnFailure(z.OnFailure)
	}),
	"shadow": {0, 0, func(z *Zone, _ []string) error {
		z.Shadow = true
		return nil
	}},
}

func one(set func(z *Zone, value string) error) zoneOption {
	return zoneOption{1, 1, func(z *Zone, values []string) error { return set(z, values[0]) }}
}

// parseMatch adds a set of matchers. A request is the zone's where one of the sets matches.
func (z *Zone) parseMatch(d *caddyfile.Dispenser, name string) error {
	start := d.Token()
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
	if err != nil {
		return tollgate.ErrorAt(start, "rate_limit: zone %q: match: %w", name, err)
	}
	if len(set) == 0 {
		return tollgate.ErrorAt(start, "rate_limit: zone %q: match is empty", name)
	}
	z.MatcherSetsRaw = append(z.MatcherSetsRaw, set)
	return nil
}

func parseNumber(option, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 || n > limit.MaxEvents {
		return 0, fmt.Errorf("%s %q: want a whole number from 1 to %d", option, value, limit.MaxEvents)
	}
	return n, nil
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

// parseCost reads <number>, <placeholder> [<default>] or response <field> [<reserve>].
func parseCost(values []string) (*Cost, error) {
	c := new(Cost)
	if values[0] == "response" {
		if len(values) < 2 {
			return nil, fmt.Errorf("cost response: want the field of the answer that has the number of units")
		}
		c.Response, values = values[1], values[2:]
		if len(values) > 0 {
			c.Value = values[0]
		}
		return c, c.check()
	}
	c.Value = values[0]
	switch len(values) {
	case 1:
	case 2:
		n, err := parseUnits(values[1])
		if err != nil {
			return nil, fmt.Errorf("cost %q: %w", values[1], err)
		}
		c.Default = &n
	default:
		return nil, fmt.Errorf("cost %q: is one value too many", values[2])
	}
	return c, c.check()
}
