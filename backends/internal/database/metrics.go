package database

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// times measures transactions, the wait for SQLite's one writer included.
type times struct{ seconds *prometheus.HistogramVec }

func newTimes() times {
	return times{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tollgate_database_transaction_seconds", Help: "How long transactions took, by whether they committed.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // to 8 s
	}, []string{"committed"})}
}

func (t times) observe(start time.Time, err error) {
	committed := "yes"
	if err != nil {
		committed = "no"
	}
	t.seconds.WithLabelValues(committed).Observe(time.Since(start).Seconds())
}

// Collectors are the metrics of this database: the times of transactions, and what
// the pool of connections counts (go_sql_...).
func (db *DB) Collectors() []prometheus.Collector {
	return []prometheus.Collector{db.times.seconds, collectors.NewDBStatsCollector(db.DB, string(db.Dialect))}
}
