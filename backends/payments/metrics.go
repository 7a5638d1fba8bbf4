package payments

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
)

// metrics are the service's own. No label is one that a caller can choose.
type metrics struct {
	payments *prometheus.CounterVec
	webhooks *prometheus.CounterVec
	handler  http.Handler
}

func newMetrics(registry *prometheus.Registry, db *database.DB) *metrics {
	m := &metrics{
		payments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_payments_total", Help: "Payments that came to a state, by this state.",
		}, []string{"status"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_webhook_attempts_total", Help: "Tries to deliver a webhook, by result.",
		}, []string{"result"}),
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	registry.MustRegister(m.payments, m.webhooks, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tollgate_webhook_queue_depth", Help: "Deliveries of webhooks that are waiting; -1 when the database does not answer.",
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		waiting, err := outbox.Depth(ctx, db)
		if err != nil {
			return -1
		}
		return float64(waiting)
	}))
	return m
}

func (m *metrics) settled(status Status) { m.payments.WithLabelValues(string(status)).Inc() }

func (m *metrics) tried(result string) { m.webhooks.WithLabelValues(result).Inc() }

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
