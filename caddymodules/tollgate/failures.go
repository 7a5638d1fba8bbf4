package tollgate

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/internal/access"
)

// Failures limit how many bad tokens and proofs of one client address are looked into.
// They are limited unless the operator says off.
type Failures struct {
	// Off looks into any number.
	Off bool `json:"off,omitempty"`
	// Burst is how many may fail at once: 200 when zero.
	Burst int `json:"burst,omitempty"`
	// Interval is how long it takes until another one may: 50 ms when zero.
	Interval caddy.Duration `json:"interval,omitempty"`
}

// maxBurst and maxInterval bound for how long an address can be shut out.
const (
	maxBurst    = 1_000_000
	maxInterval = time.Minute
)

var (
	errBurst    = errors.New("failures: burst is a number from 1 to 1000000")
	errInterval = errors.New("failures: interval is a duration up to a minute")
	errOff      = errors.New("failures: off, and a limit all the same")
)

func (f Failures) check() error {
	switch {
	case f.Off && (f.Burst != 0 || f.Interval != 0):
		return errOff
	case f.Burst < 0 || f.Burst > maxBurst:
		return errBurst
	case f.Interval < 0 || time.Duration(f.Interval) > maxInterval:
		return errInterval
	default:
		return nil
	}
}

// parseFailures reads: failures off, or a block of burst and interval.
func (a *App) parseFailures(d *caddyfile.Dispenser) error {
	if a.Failures != nil {
		return d.Err("failures is there twice")
	}
	a.Failures = new(Failures)
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.Errf("failures is off or a block, and not %q", d.Val())
		}
		a.Failures.Off = true
		return nil
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.Failures.parseOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (f *Failures) parseOption(d *caddyfile.Dispenser) error {
	option := d.Val()
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	switch option {
	case "burst":
		burst, err := strconv.Atoi(value)
		if err != nil || burst < 1 || burst > maxBurst {
			return d.Errf("%w, here %q", errBurst, value)
		}
		f.Burst = burst
	case "interval":
		interval, err := caddy.ParseDuration(value)
		if err != nil || interval <= 0 || interval > maxInterval {
			return d.Errf("%w, here %q", errInterval, value)
		}
		f.Interval = caddy.Duration(interval)
	default:
		return d.Errf("failures: unknown option %q", option)
	}
	return nil
}

// failureMemories keep who has failed over a reload that changes nothing about it.
var failureMemories = caddy.NewUsagePool()

type failureMemory struct{ *access.Failures }

// Destruct has nothing to close.
func (failureMemory) Destruct() error { return nil }

// provisionFailures takes the memory from the pool, unless there is to be none.
func (a *App) provisionFailures(ctx caddy.Context) error {
	settings := Failures{}
	if a.Failures != nil {
		settings = *a.Failures
	}
	if err := settings.check(); err != nil || settings.Off {
		return err
	}
	key := a.own(settings)
	pooled, _, err := failureMemories.LoadOrNew(key, func() (caddy.Destructor, error) {
		f, err := access.NewFailures(access.FailuresConfig{
			Burst: settings.Burst, Interval: time.Duration(settings.Interval), Address: clientAddress, Now: a.clock(),
		})
		return failureMemory{f}, err
	})
	if err != nil {
		return err
	}
	a.releases = append(a.releases, func() { a.release(failureMemories, key) })
	a.failures = pooled.(failureMemory).Failures
	return Register(ctx, failureCollector{a.failures})
}

// clientAddress is the caller's behind trusted proxies, as Caddy knows it.
func clientAddress(r *http.Request) netip.Addr {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{} // nobody knows whose: all such requests count as one
	}
	return address
}

var (
	failuresTotal = prometheus.NewDesc("tollgate_credential_failures_total",
		"Tokens and proofs that were looked into and refused.", nil, nil)
	failingAddresses = prometheus.NewDesc("tollgate_failing_addresses",
		"Client addresses that are remembered because of refused tokens or proofs.", nil, nil)
)

// failureCollector reads the counts when somebody scrapes.
type failureCollector struct{ failures *access.Failures }

// Describe sends both metrics.
func (failureCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- failuresTotal
	descs <- failingAddresses
}

// Collect sends the counts as they are now.
func (c failureCollector) Collect(metrics chan<- prometheus.Metric) {
	info := c.failures.Info()
	metrics <- prometheus.MustNewConstMetric(failuresTotal, prometheus.CounterValue, float64(info.Noted))
	metrics <- prometheus.MustNewConstMetric(failingAddresses, prometheus.GaugeValue, float64(info.Suspects))
}
