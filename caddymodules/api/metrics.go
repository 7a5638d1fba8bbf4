package api

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Package variables, so that a reload does not set them back to zero. No label is
// the caller's to choose.
var (
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tollgate_requests_total",
		Help: "Requests answered, by API, method and status code.",
	}, []string{"api", "method", "code"})

	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tollgate_request_duration_seconds",
		Help:    "Time from the request's arrival at the API to the end of its answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"api"})
)

func methodLabel(method string) string {
	if slices.Contains(knownMethods, method) {
		return method
	}
	return "other"
}
