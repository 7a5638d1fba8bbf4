package tollgate

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	keysetAge = prometheus.NewDesc("tollgate_keyset_age_seconds",
		"Time since the issuer's keys were last fetched; infinite while they never were.", []string{"issuer"}, nil)
	keysetKeys = prometheus.NewDesc("tollgate_keyset_keys",
		"Keys of the issuer that can be used.", []string{"issuer"}, nil)
	keysetFetches = prometheus.NewDesc("tollgate_keyset_fetches_total",
		"Fetches of the issuer's keys, by result.", []string{"issuer", "result"}, nil)
)

// keysetCollector reads the key sets when somebody scrapes. It belongs to one
// configuration: an issuer that is gone is no longer reported.
type keysetCollector struct{ app *App }

// Describe sends the metrics.
func (keysetCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- keysetAge
	descs <- keysetKeys
	descs <- keysetFetches
}

// Collect sends what holds of each issuer's keys.
func (c keysetCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, issuer := range c.app.Issuers {
		if issuer.fetched == nil {
			continue
		}
		age := math.Inf(1)
		info := issuer.fetched.Info()
		if !info.Fetched.IsZero() {
			age = time.Since(info.Fetched).Seconds()
		}
		metrics <- prometheus.MustNewConstMetric(keysetAge, prometheus.GaugeValue, age, issuer.URL)
		metrics <- prometheus.MustNewConstMetric(keysetKeys, prometheus.GaugeValue, float64(info.Keys), issuer.URL)
		metrics <- prometheus.MustNewConstMetric(keysetFetches, prometheus.CounterValue, float64(info.Fetches-info.Failed), issuer.URL, "fetched")
		metrics <- prometheus.MustNewConstMetric(keysetFetches, prometheus.CounterValue, float64(info.Failed), issuer.URL, "failed")
	}
}
