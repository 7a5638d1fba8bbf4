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
	steps    prometheus.Counter
	handler  http.Handler
}

func newMetrics(registry *prometheus.Registry, db *database.DB, now func() time.Time) *metrics {
	m := &metrics{
		payments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_payments_total", Help: "Payments that came to a state, by this state, and why it ended without money.",
		}, []string{"status", "reason"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_webhook_attempts_total", Help: "Tries to deliver a webhook, by result.",
		}, []string{"result"}),
		steps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tollgate_payments_step_ups_total", Help: "Confirmations that were refused until the user authenticates again.",
		}),
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	registry.MustRegister(m.payments, m.webhooks, m.steps, outbox.NewBacklogCollector(db))
	registry.MustRegister(db.Collectors()...)
	ask := func(name, help string, of func(context.Context, *database.DB) (float64, error)) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help + "; -1 when the database does not answer."},
			func() float64 {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				value, err := of(ctx, db)
				if err != nil {
					return -1
				}
				return value
			}))
	}
	ask("tollgate_payments_queue_depth", "Payments that wait for a worker", func(ctx context.Context, db *database.DB) (float64, error) {
		waiting, _, err := backlog(ctx, db, now())
		return float64(waiting), err
	})
	ask("tollgate_payments_queue_age_seconds", "How long the oldest of these has waited", func(ctx context.Context, db *database.DB) (float64, error) {
		_, age, err := backlog(ctx, db, now())
		return age.Seconds(), err
	})
	return m
}

func (m *metrics) settled(p payment) {
	m.payments.WithLabelValues(string(p.Status), p.ReasonCode).Inc()
}

func (m *metrics) tried(result string) { m.webhooks.WithLabelValues(result).Inc() }

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
