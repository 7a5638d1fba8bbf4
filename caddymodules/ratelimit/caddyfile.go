package ratelimit

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/limit"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("rate_limit", parseDirective)
}

func parseDirective(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	app, err := tollgate.FromOptions(helper)
	if err != nil {
		return nil, err
	}
	if h.Distributed != nil && !app.HasRedis() {
		return nil, tollgate.ErrorAt(h.distributedAt, "rate_limit: %w", errDistributed)
	}
	return h, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	rate_limit [<matcher>] {
//		zone <name> {
//			key         <text with placeholders>
//			kind        sliding | calendar | gcra | concurrency
//			events      <number>
//			window      <duration>
//			period      day | month
//			burst       <number>
//			cost        <number> | <placeholder> [<default>] | response <field> [<reserve>]
//			match {
//				<matchers...>
//			}
//			empty_key   deny | share | skip
//			ipv4_prefix <bits>
//			ipv6_prefix <bits>
//			on_failure  share | closed | open
//			shadow
//		}
//		...
//		headers on | off | legacy
//		jitter  <fraction>
//	}
//
// Each zone allows `events` requests of the same key in any window of the given
// length, never more. Zones are decided together: a request that one of them denies
// counts in none. A request that `match` leaves out is not the zone's; several of
// them are alternatives.
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
//
// kind is how a zone counts: `sliding`, the default, in any window; `calendar` in a
// `period` of UTC, a quota; `gcra` at a pace of `events` in a `window`, `burst` of them
// at once; `concurrency` counts what is under way at once. A request counts for `cost`
// units, of which the placeholder, or a field of the answer, may tell the number.
//
// on_failure is what holds while Redis is away: each node admits its share of the
// limit, none, or everything. A zone in `shadow` counts and reports, and refuses nobody.
//
// headers are the RateLimit fields of answers: `legacy` adds X-RateLimit-Limit,
// -Remaining and -Reset. jitter makes Retry-After later by up to that part of the wait,
// a tenth of it if left out, so that those who wait do not come back all at once.
//
// Blocks written for the community's module of this name load, too: `distributed` needs
// a Redis, `sweep_interval` and `disable_metrics` do nothing.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	directive := d.Token()
	if d.NextArg() {
		return d.Errf("rate_limit takes a matcher and zones, not %q", d.Val())
	}
	h.RateLimits = make(map[string]*Zone)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] && option != "zone" {
			return d.Errf("rate_limit: %s is there twice", option)
		}
		seen[option] = true
		if err := h.parseOption(d); err != nil {
			return err
		}
	}
	if len(h.RateLimits) == 0 {
		return tollgate.ErrorAt(directive, "rate_limit needs at least one zone")
	}
	return nil
}

func (h *Handler) parseOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "zone":
		return h.parseZone(d)
	case "headers":
		if !d.AllArgs(&h.Headers) {
			return d.Err("rate_limit: headers takes one value")
		}
		return at(d, checkHeaders(h.Headers))
	case "jitter":
		return h.parseJitter(d)
	case "distributed":
		h.distributedAt = d.Token()
	}
	known, err := h.parseCommunity(d)
	if !known {
		return unknownOption(d)
	}
	return err
}

// at gives the error its file and line.
func at(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.Errf("rate_limit: %w", err)
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
		option := d.Val()
		if seen[option] && option != "match" {
			return d.Errf("rate_limit: zone %q: %s is there twice", name, option)
		}
		seen[option] = true
		if err := zone.parseOption(d, name); err != nil {
			return err
		}
	}
	if _, err := zone.check("", name); err != nil {
		return tollgate.ErrorAt(start, "rate_limit: zone %q: %w", name, err)
	}
	h.RateLimits[name] = zone
	return nil
}
