package ratelimit

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

// replaced are the options of the community's rate_limit module that are no options
// here, and what to write in their place.
var replaced = map[string]string{
	"storage": "not an option here; counts are kept in Redis: write `redis <url>` in the global option `tollgate`, and remove this line",
	"log_key": "not an option here; keys say who somebody is and are never logged: remove this line, and find callers by the hash that `tollgate limits show` gives",
}

// Distributed is the community module's way to say that several nodes count together.
// Here they do wherever there is a Redis. It is taken with one, because then more holds
// than it asks for; its intervals mean nothing.
type Distributed struct {
	ReadInterval  caddy.Duration `json:"read_interval,omitempty"`
	WriteInterval caddy.Duration `json:"write_interval,omitempty"`
	PurgeAge      caddy.Duration `json:"purge_age,omitempty"`
}

var errDistributed = errors.New("distributed: needs the Redis that the nodes share: write `redis <url>` in the global option `tollgate`")

// parseCommunity reads an option that blocks written for the community's module may
// have. It gives false for all others.
func (h *Handler) parseCommunity(d *caddyfile.Dispenser) (bool, error) {
	option := d.Val()
	switch option {
	case "distributed":
		return true, h.parseDistributed(d)
	case "sweep_interval":
		var value string
		if !d.AllArgs(&value) {
			return true, d.Errf("rate_limit: %s takes one value", option)
		}
		interval, err := parseInterval(option, value)
		h.SweepInterval = interval
		return true, at(d, err)
	case "disable_metrics":
		if d.NextArg() {
			return true, d.Errf("rate_limit: %s takes no value, not %q", option, d.Val())
		}
		h.DisableMetrics = true
		return true, nil
	default:
		return false, nil
	}
}

func (h *Handler) parseDistributed(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("rate_limit: distributed takes a block, not %q", d.Val())
	}
	h.Distributed = new(Distributed)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		var value string
		if !d.AllArgs(&value) {
			return d.Errf("rate_limit: distributed: %s takes one value", option)
		}
		interval, err := parseInterval(option, value)
		if err != nil {
			return at(d, err)
		}
		switch option {
		case "read_interval":
			h.Distributed.ReadInterval = interval
		case "write_interval":
			h.Distributed.WriteInterval = interval
		case "purge_age":
			h.Distributed.PurgeAge = interval
		default:
			return d.Errf("rate_limit: distributed: unknown option %q", option)
		}
	}
	return nil
}

func parseInterval(option, value string) (caddy.Duration, error) {
	interval, err := caddy.ParseDuration(value)
	if err != nil || interval <= 0 {
		return 0, fmt.Errorf("%s %q is not a duration", option, value)
	}
	return caddy.Duration(interval), nil
}

// parseJitter reads the fraction of the wait that Retry-After may be later.
func (h *Handler) parseJitter(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.Err("rate_limit: jitter takes one value")
	}
	fraction, err := strconv.ParseFloat(value, 64)
	if err != nil || checkJitter(&fraction) != nil {
		return d.Errf("rate_limit: jitter %q: want a fraction from 0 to 1", value)
	}
	h.Jitter = &fraction
	return nil
}

func checkJitter(fraction *float64) error {
	if fraction != nil && !(*fraction >= 0 && *fraction <= 1) { // also not a number
		return fmt.Errorf("jitter %v: want a fraction from 0 to 1", *fraction)
	}
	return nil
}

// checkCommunity refuses to count alone where the configuration speaks of several
// nodes, and says what of it means nothing here.
func (h *Handler) checkCommunity(redis bool) error {
	if h.Distributed != nil && !redis {
		return errDistributed
	}
	for option, there := range map[string]bool{
		"distributed": h.Distributed != nil && *h.Distributed != (Distributed{}), "sweep_interval": h.SweepInterval != 0, "disable_metrics": h.DisableMetrics,
	} {
		if there {
			h.logger.Warn("an option of the community's rate_limit has no meaning here and can be removed", zap.String("option", option))
		}
	}
	return nil
}
