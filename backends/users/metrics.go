package users

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// metrics are the service's own. No label is one that a caller can choose.
type metrics struct {
	passwords *prometheus.CounterVec
	closings  *prometheus.CounterVec
	handler   http.Handler
}

func newMetrics(db *database.DB) *metrics {
	registry := prometheus.NewRegistry()
	m := &metrics{
		passwords: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_password_checks_total", Help: "Passwords checked at sign-in, by result.",
		}, []string{"result"}),
		closings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tollgate_account_closings_total", Help: "Accounts that users wanted closed, by what became of it.",
		}, []string{"result"}),
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	registry.MustRegister(m.passwords, m.closings)
	registry.MustRegister(db.Collectors()...)
	return m
}

func (m *metrics) checked(result string) { m.passwords.WithLabelValues(result).Inc() }

func (m *metrics) closed(result string) { m.closings.WithLabelValues(result).Inc() }

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
