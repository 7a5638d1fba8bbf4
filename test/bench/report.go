package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// report prints medians and the median of the per-round ratios of two edges, and gives
// the ratio of requests a second.
func report(out io.Writer, base, other string, results map[string][]sample) float64 {
	before, after := results[base], results[other]
	rows := []struct {
		name  string
		value func(sample) float64
		print func(float64) string
	}{
		{"requests a second", func(s sample) float64 { return s.perSecond }, whole},
		{"p50", func(s sample) float64 { return float64(s.p50) }, duration},
		{"p99", func(s sample) float64 { return float64(s.p99) }, duration},
		{"CPU a request, edge only", func(s sample) float64 { return s.cpuMicros }, func(v float64) string { return fmt.Sprintf("%.1f µs", v) }},
		{"allocations a request", func(s sample) float64 { return s.mallocs }, whole},
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t"+base+"\t"+other+"\t"+other+"/"+base+"\tlowest..highest round\t")
	var throughput float64
	for i, row := range rows {
		var ratios []float64
		for round := range before {
			ratios = append(ratios, row.value(after[round])/row.value(before[round]))
		}
		ratio := median(ratios)
		if i == 0 {
			throughput = ratio
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%.3f..%.3f\t\n", row.name,
			row.print(medianOf(before, row.value)), row.print(medianOf(after, row.value)),
			ratio, slices.Min(ratios), slices.Max(ratios))
	}
	_ = w.Flush() // standard output is gone: nobody to tell
	fmt.Fprintln(out)
	return throughput
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	return median(values)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

func duration(v float64) string { return time.Duration(v).Round(time.Microsecond).String() }
