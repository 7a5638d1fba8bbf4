package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's own, at a path that the edge does not route. No label is
// one that a caller can choose.
type metrics struct {
	published  *prometheus.CounterVec
	publishing prometheus.Histogram
	registry   *prometheus.Registry
}

func newMetrics() *metrics {
	m := &metrics{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_revocations_published_total", Help: "Tries to hand a revocation to the edges, by result.",
		}, []string{"result"}),
		publishing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tollgate_revocation_publication_seconds", Help: "Time from a revocation's commit until Redis had it.",
			Buckets: []float64{.005, .01, .05, .1, .5, 1, 5, 30, 120, 600, 3600},
		}),
		registry: prometheus.NewRegistry(),
	}
	m.registry.MustRegister(m.published, m.publishing)
	for _, result := range []string{"published", "failed"} {
		m.published.WithLabelValues(result) // there from the start, at zero
	}
	return m
}

// watch reports the queue when somebody scrapes. Without Redis there is none.
func (m *metrics) watch(backlog func(context.Context) (waiting int64, lag time.Duration)) {
	gauge := func(name, help string, value func(int64, time.Duration) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return value(backlog(ctx))
		}))
	}
	gauge("tollgate_revocations_waiting", "Revocations that the edges have not been told of; -1 when the database does not answer.",
		func(waiting int64, _ time.Duration) float64 { return float64(waiting) })
	gauge("tollgate_revocation_lag_seconds", "Age of the oldest revocation that waits, 0 without any; -1 when the database does not answer.",
		func(waiting int64, lag time.Duration) float64 {
			if waiting < 0 {
				return -1
			}
			return lag.Seconds()
		})
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
