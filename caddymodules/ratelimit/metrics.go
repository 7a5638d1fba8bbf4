package ratelimit

import "github.com/prometheus/client_golang/prometheus"

// decisions is a package variable, so that a reload does not set it back to zero.
// Zone names are the operator's; no label is the caller's to choose.
var decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "tollgate_rate_limit_decisions_total",
	Help: "Decisions of rate-limit zones: allowed, denied, or error when the counters were out of reach.",
}, []string{"zone", "decision"})
