package e2e

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"testing"
)

// parseMetrics reads Prometheus's text format.
func parseMetrics(t *testing.T, r io.Reader) map[string]float64 {
	t.Helper()
	series := make(map[string]float64)
	for s := bufio.NewScanner(r); s.Scan(); {
		line := s.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		series[line[:i]] = value
	}
	return series
}

// sum adds up all series whose name starts with prefix and that hold each of the parts.
func sum(series map[string]float64, prefix string, parts ...string) (total float64) {
next:
	for name, value := range series {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		for _, part := range parts {
			if !strings.Contains(name, part) {
				continue next
			}
		}
		total += value
	}
	return total
}
