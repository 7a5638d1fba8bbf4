package payments

import (
	"net/http"

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
	registry.MustRegister(m.payments, m.webhooks, outbox.NewBacklogCollector(db))
	registry.MustRegister(db.Collectors()...)
	return m
}

func (m *metrics) settled(status Status) { m.payments.WithLabelValues(string(status)).Inc() }

func (m *metrics) tried(result string) { m.webhooks.WithLabelValues(result).Inc() }

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
