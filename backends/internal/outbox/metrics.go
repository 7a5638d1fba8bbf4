package outbox

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// askedFor is how long a scrape may wait for the database.
const askedFor = 2 * time.Second

var (
	depthMetric = prometheus.NewDesc("tollgate_webhook_queue_depth",
		"Deliveries of webhooks that are waiting; -1 when the database does not answer.", nil, nil)
	ageMetric = prometheus.NewDesc("tollgate_webhook_queue_age_seconds",
		"How long the delivery has been waiting that has waited longest; -1 when the database does not answer.", nil, nil)
)

// NewBacklogCollector makes the metrics of what is waiting, read at each scrape.
func NewBacklogCollector(db *database.DB) prometheus.Collector { return backlogCollector{db} }

type backlogCollector struct{ db *database.DB }

func (backlogCollector) Describe(all chan<- *prometheus.Desc) {
	all <- depthMetric
	all <- ageMetric
}

func (c backlogCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askedFor)
	defer cancel()
	depth, age := -1.0, -1.0
	if b, err := ReadBacklog(ctx, c.db, time.Now()); err == nil {
		depth, age = float64(b.Waiting), b.Oldest.Seconds()
	}
	metrics <- prometheus.MustNewConstMetric(depthMetric, prometheus.GaugeValue, depth)
	metrics <- prometheus.MustNewConstMetric(ageMetric, prometheus.GaugeValue, age)
}
