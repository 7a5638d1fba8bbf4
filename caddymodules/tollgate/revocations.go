package tollgate

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Revocations are followed wherever there is a Redis.
type Revocations struct {
	// Stale is what holds for tokens while nobody knows what has been revoked lately:
	// closed refuses them with 503, open goes by what is known; empty: closed.
	Stale revocation.Policy `json:"stale,omitempty"`
	// MaxAge is how long ago Redis may have been read, from a second to five minutes; a
	// minute when zero.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

func (r Revocations) config(client redis.UniversalClient) revocation.Config {
	return revocation.Config{
		Client: client, MaxAge: time.Duration(r.MaxAge), WhenStale: r.Stale, Logger: sharedLogger("tollgate.revocations"),
	}
}

// check says what is wrong with the settings. The client is never used: nothing starts.
func (r Revocations) check() error {
	unused := redis.NewClient(&redis.Options{})
	defer func() { _ = unused.Close() }()
	_, err := revocation.NewFollower(r.config(unused))
	return err
}

// parseRevocations reads a block of stale and max_age.
func (a *App) parseRevocations(d *caddyfile.Dispenser) error {
	if a.Revocations != nil {
		return d.Err("revocations is there twice")
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	a.Revocations = new(Revocations)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.Revocations.parseOption(d); err != nil {
			return err
		}
		if err := a.Revocations.check(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (r *Revocations) parseOption(d *caddyfile.Dispenser) error {
	option := d.Val()
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	switch option {
	case "stale":
		r.Stale = revocation.Policy(value)
	case "max_age":
		age, err := caddy.ParseDuration(value)
		if err != nil || age <= 0 {
			return d.Errf("revocations: max_age %q is not a duration", value)
		}
		r.MaxAge = caddy.Duration(age)
	default:
		return d.Errf("revocations: unknown option %q", option)
	}
	return nil
}

// followers keep what is revoked over a reload that changes nothing about it.
var followers = caddy.NewUsagePool()

type followed struct {
	redis    string
	settings Revocations
}

// follower is a pooled one. It runs from its first Start to its Destruct.
type follower struct{ *revocation.Follower }

// Destruct stops it.
func (f follower) Destruct() error {
	f.Close()
	return nil
}

// provisionRevocations takes the follower from the pool, if there is a Redis to follow.
func (a *App) provisionRevocations(ctx caddy.Context) error {
	var settings Revocations
	if a.Revocations != nil {
		settings = *a.Revocations
	}
	if err := settings.check(); err != nil || a.redis == nil {
		return err
	}
	key := followed{a.RedisURL, settings}
	pooled, _, err := followers.LoadOrNew(key, func() (caddy.Destructor, error) {
		f, err := revocation.NewFollower(settings.config(a.redis))
		return follower{f}, err
	})
	if err != nil {
		return err
	}
	a.releases = append(a.releases, func() { a.release(followers, key) })
	a.revocations = pooled.(follower).Follower
	return Register(ctx, revocationCollector{a.revocations})
}

// revoked gives what verifiers ask, and the name of it for the memory of verified tokens.
func (a *App) revoked() (by token.Revocations, name string) {
	if a.revocations == nil {
		return nil, "" // a nil of the interface, and not of the follower
	}
	return a.revocations, fmt.Sprintf("%p", a.revocations)
}

var (
	revocationsAge = prometheus.NewDesc("tollgate_revocations_age_seconds",
		"Time since this node last read from Redis what is revoked.", nil, nil)
	revocationsHeld = prometheus.NewDesc("tollgate_revocations",
		"Revocations that this node holds.", nil, nil)
	revocationsUnreadable = prometheus.NewDesc("tollgate_revocations_unreadable_total",
		"Revocations in Redis that this node could not read.", nil, nil)
)

// revocationCollector reads the follower when somebody scrapes.
type revocationCollector struct{ follower *revocation.Follower }

// Describe sends all three metrics.
func (revocationCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- revocationsAge
	descs <- revocationsHeld
	descs <- revocationsUnreadable
}

// Collect sends what holds now.
func (c revocationCollector) Collect(metrics chan<- prometheus.Metric) {
	info := c.follower.Info()
	metrics <- prometheus.MustNewConstMetric(revocationsAge, prometheus.GaugeValue, info.Age.Seconds())
	metrics <- prometheus.MustNewConstMetric(revocationsHeld, prometheus.GaugeValue, float64(info.Entries))
	metrics <- prometheus.MustNewConstMetric(revocationsUnreadable, prometheus.CounterValue, float64(info.Unreadable))
}
