package tollgate

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var keysetAge = prometheus.NewDesc("tollgate_keyset_age_seconds",
	"Time since the issuer's keys were last fetched; infinite while they never were.", []string{"issuer"}, nil)

// keysetCollector reads the ages when somebody scrapes. It belongs to one
// configuration: an issuer that is gone is no longer reported.
type keysetCollector struct{ app *App }

// Describe sends the one metric there is.
func (keysetCollector) Describe(descs chan<- *prometheus.Desc) { descs <- keysetAge }

// Collect sends the age of each issuer's keys.
func (c keysetCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, issuer := range c.app.Issuers {
		if issuer.fetched == nil {
			continue
		}
		age := math.Inf(1)
		if fetched := issuer.fetched.Info().Fetched; !fetched.IsZero() {
			age = time.Since(fetched).Seconds()
		}
		metrics <- prometheus.MustNewConstMetric(keysetAge, prometheus.GaugeValue, age, issuer.URL)
	}
}
