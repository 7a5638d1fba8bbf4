package tollgate

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// RateLimits says how the edge nodes share their limits.
type RateLimits struct {
	// Nodes is the least number of edge nodes that are taken to share the limits; more
	// count as they show up in Redis. While Redis is away, each admits its part.
	Nodes int `json:"nodes,omitempty"`
	// Namespace begins every key in Redis: "tollgate" when empty. Edges of the same
	// namespace and Redis count together.
	Namespace string `json:"namespace,omitempty"`
	// Deadline is how long a decision may wait for Redis: 100ms when zero.
	Deadline caddy.Duration `json:"deadline,omitempty"`
}

const (
	maxNodes    = 1000
	minDeadline = time.Millisecond
	maxDeadline = 10 * time.Second
)

// namespaces are names that may be in braces, which are the hash tag of a cluster.
var namespaces = regexp.MustCompile(`^[A-Za-z0-9_.\-]{1,64}$`)

// settings checks what is configured.
func (l *RateLimits) settings() (RateLimits, error) {
	if l == nil {
		return RateLimits{}, nil
	}
	switch {
	case l.Nodes < 0 || l.Nodes > maxNodes:
		return *l, fmt.Errorf("rate_limits: nodes %d: want 1 to %d", l.Nodes, maxNodes)
	case l.Namespace != "" && !namespaces.MatchString(l.Namespace):
		return *l, fmt.Errorf("rate_limits: namespace %q: want up to 64 letters, digits, '_', '.' or '-'", l.Namespace)
	case l.Deadline != 0 && (time.Duration(l.Deadline) < minDeadline || time.Duration(l.Deadline) > maxDeadline):
		return *l, fmt.Errorf("rate_limits: deadline %v: want %v to %v", time.Duration(l.Deadline), minDeadline, maxDeadline)
	}
	return *l, nil
}

// parseRateLimits reads the block rate_limits { nodes, namespace, deadline }.
func (a *App) parseRateLimits(d *caddyfile.Dispenser) error {
	if a.RateLimits != nil {
		return d.Err("rate_limits is there twice")
	}
	if d.NextArg() {
		return d.Errf("rate_limits takes a block, not %q", d.Val())
	}
	a.RateLimits = new(RateLimits)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("rate_limits: %s is there twice", option)
		}
		seen[option] = true
		var value string
		if !d.AllArgs(&value) {
			return d.Errf("rate_limits: %s takes one value", option)
		}
		if err := a.RateLimits.set(option, value); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (l *RateLimits) set(option, value string) error {
	switch option {
	case "nodes":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("rate_limits: nodes %q: want 1 to %d", value, maxNodes)
		}
		l.Nodes = n
	case "namespace":
		l.Namespace = value
	case "deadline":
		deadline, err := caddy.ParseDuration(value)
		if err != nil || deadline <= 0 {
			return fmt.Errorf("rate_limits: deadline %q is not a duration", value)
		}
		l.Deadline = caddy.Duration(deadline)
	default:
		return fmt.Errorf("rate_limits: unknown option %q", option)
	}
	_, err := l.settings()
	return err
}

// engines keeps counts and leases over a reload: the new configuration takes the
// engine before the old one lets it go.
var engines = caddy.NewUsagePool()

// engineKey says whose counts an engine has. The deadline is no part of whose they are,
// but an engine keeps the one it was made with; what is counted in Redis goes on with
// another. In memory there is one, whatever it is.
type engineKey struct {
	redis     string // URL; empty: memory
	namespace string
	deadline  caddy.Duration
}

// engine is the pooled limiter.
type engine struct{ *limit.Engine }

// Destruct gives back what the engine has on lease.
func (e engine) Destruct() error { return e.Close() }

// Limiter gives what decides about limits, for as long as this configuration is there.
// It does not dial.
func (a *App) Limiter() (*limit.Engine, error) {
	if a.limiter != nil {
		return a.limiter, nil
	}
	settings, err := a.RateLimits.settings()
	if err != nil {
		return nil, err
	}
	key := a.own(engineKey{})
	if a.redis != nil {
		key = engineKey{a.RedisURL, settings.Namespace, settings.Deadline}
	}
	pooled, _, err := engines.LoadOrNew(key, func() (caddy.Destructor, error) {
		return engine{limit.NewEngine(a.engineConfig(settings))}, nil
	})
	if err != nil {
		return nil, err
	}
	a.limiter = pooled.(engine).Engine
	a.releases = append(a.releases, func() { a.release(engines, key) })
	return a.limiter, nil
}

// startLimits has the engine follow this configuration, now that it runs: one that fails
// to load changes nothing.
func (a *App) startLimits() error {
	if a.limiter == nil {
		return nil
	}
	settings, err := a.RateLimits.settings()
	if err == nil {
		a.limiter.SetNodes(settings.Nodes)
	}
	return err
}

func (a *App) engineConfig(settings RateLimits) limit.EngineConfig {
	c := limit.EngineConfig{Nodes: settings.Nodes, Deadline: time.Duration(settings.Deadline), OnChange: logChange}
	if a.redis == nil {
		c.Store = limit.NewMemory(limit.MemoryConfig{Now: a.clock()})
		return c
	}
	// Longer than anybody waits: what comes late is given back.
	c.Store = limit.NewRedis(limit.RedisConfig{Client: a.redis, Prefix: settings.Namespace, Timeout: max(limit.DefaultTimeout, 2*c.Deadline)})
	return c
}

// logChange says that limits go without Redis, and that they no longer do: once each.
func logChange(c limit.Change) {
	logger := caddy.Log().Named("rate_limit").With(zap.String("api", c.Scope))
	if c.Degraded {
		logger.Error("limits are kept without redis", zap.Error(c.Cause))
		return
	}
	logger.Info("limits are kept in redis again")
}
