package ratelimit

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/internal/limit"
)

// decisions is a package variable, so that a reload does not set it back to zero.
// The names of APIs and zones are the operator's; no label is the caller's to choose.
var decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "tollgate_rate_limit_decisions_total",
	Help: "Decisions of rate-limit zones: allowed, denied, shadowed where only a zone in shadow would have denied, or error when the counters were out of reach.",
}, []string{"api", "zone", "decision"})

// series are those of one zone.
type series struct{ allowed, denied, shadowed, failed prometheus.Counter }

func seriesOf(api, zone string) series {
	return series{
		allowed:  decisions.WithLabelValues(api, zone, "allowed"),
		denied:   decisions.WithLabelValues(api, zone, "denied"),
		shadowed: decisions.WithLabelValues(api, zone, "shadowed"),
		failed:   decisions.WithLabelValues(api, zone, "error"),
	}
}

var zoneLabels = []string{"api", "zone"}

var (
	leasedDesc = prometheus.NewDesc("tollgate_rate_limit_leased_total",
		"Decisions out of this node's own memory, without asking Redis.", zoneLabels, nil)
	roundTripsDesc = prometheus.NewDesc("tollgate_rate_limit_round_trips_total",
		"Questions to Redis about a zone.", zoneLabels, nil)
	degradedDesc = prometheus.NewDesc("tollgate_rate_limit_degraded_total",
		"Decisions without Redis because it was out of reach.", zoneLabels, nil)
	givenBackDesc = prometheus.NewDesc("tollgate_rate_limit_given_back_total",
		"Units that were on lease to this node and were given back unused.", zoneLabels, nil)
	keysDesc = prometheus.NewDesc("tollgate_rate_limit_keys",
		"Keys of a zone in this node's memory.", zoneLabels, nil)
	nodesDesc = prometheus.NewDesc("tollgate_rate_limit_nodes",
		"Edge nodes that share the limits, as this one sees it.", nil, nil)
	awayDesc = prometheus.NewDesc("tollgate_rate_limit_redis_away",
		"1 while limits are kept without Redis because it is out of reach.", nil, nil)
)

// engineCollector reads an engine, which outlives a reload as its counts do.
type engineCollector struct{ engine *limit.Engine }

// Describe implements prometheus.Collector.
func (engineCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{leasedDesc, roundTripsDesc, degradedDesc, givenBackDesc, keysDesc, nodesDesc, awayDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c engineCollector) Collect(ch chan<- prometheus.Metric) {
	info := c.engine.Info()
	counter := func(desc *prometheus.Desc, value uint64, l *limit.LimitInfo) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), l.Scope, l.Name)
	}
	for i := range info.Limits {
		l := &info.Limits[i]
		counter(leasedDesc, l.Leased, l)
		counter(roundTripsDesc, l.RoundTrips, l)
		counter(degradedDesc, l.Degraded, l)
		counter(givenBackDesc, l.GivenBack, l)
		ch <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(l.Keys), l.Scope, l.Name)
	}
	away := 0.0
	if info.Degraded {
		away = 1
	}
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(info.Nodes))
	ch <- prometheus.MustNewConstMetric(awayDesc, prometheus.GaugeValue, away)
}
