package tollgate

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Register makes collectors visible in this configuration's /metrics. Caddy makes a
// new registry for each configuration, so a collector that is to keep its counts over
// a reload is a package variable and is registered at each Provision. To register one
// twice in the same configuration is fine: many handlers share one.
func Register(ctx caddy.Context, collectors ...prometheus.Collector) error {
	for _, collector := range collectors {
		err := ctx.GetMetricsRegistry().Register(collector)
		if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); twice {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
