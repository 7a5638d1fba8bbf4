package limits

import (
	"slices"
	"sort"
	"testing"
	"time"
)

// span is what is known of one admitted request: it was sent, and it arrived. The
// decision lies between the two. Both are readings of the same monotonic clock.
type span struct{ sent, arrived time.Duration }

// worst gives the largest number of arrivals in any window: the exact sliding log.
func worst(admitted []span, window time.Duration) (most int) {
	arrivals := make([]time.Duration, 0, len(admitted))
	for _, s := range admitted {
		arrivals = append(arrivals, s.arrived)
	}
	slices.Sort(arrivals)
	first := 0
	for i, now := range arrivals {
		for now-arrivals[first] >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// proven gives the largest number of requests that were decided within one window for
// certain: sent after it began and arrived before it ended. A machine that holds
// requests up on their way bunches arrivals, which is no fault of the limiter; this
// number cannot be raised by that, so it is what a busy machine is judged by.
func proven(admitted []span, window time.Duration) (most int) {
	sorted := slices.Clone(admitted)
	slices.SortFunc(sorted, func(a, b span) int { return int(a.sent - b.sent) })
	for i, from := range sorted {
		count := 0
		for _, s := range sorted[i:] {
			if s.sent-from.sent >= window {
				break
			}
			if s.arrived-from.sent < window {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

// exact gives how many of the requests a perfect limiter would have admitted: one
// place, one clock, one timestamp for each.
func exact(sent []time.Duration, events int, window time.Duration) (admitted int) {
	sorted := slices.Sorted(slices.Values(sent))
	var log []time.Duration
	for _, now := range sorted {
		if gone := sort.Search(len(log), func(i int) bool { return now-log[i] < window }); gone > 0 {
			log = log[gone:]
		}
		if len(log) < events {
			log = append(log, now)
			admitted++
		}
	}
	return admitted
}

// TestJudge: one request too many is seen, and one that is just allowed is not.
func TestJudge(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	at := func(times ...time.Duration) (spans []span) {
		for _, when := range times {
			spans = append(spans, span{when, when + ms})
		}
		return spans
	}
	for _, tt := range []struct {
		name          string
		admitted      []span
		worst, proven int
	}{
		{"nothing", nil, 0, 0},
		{"a window apart", at(0, 1000*ms), 1, 1},
		{"just within", at(0, 998*ms), 2, 2},
		{"across a second's border", at(900*ms, 950*ms, 1050*ms, 1100*ms), 4, 4},
		{"unsorted", at(500*ms, 0, 999*ms, 1999*ms), 3, 2},
		// Held up on its way: the arrivals are close together, the decisions need not be.
		{"held up", []span{{0, 600 * ms}, {1100 * ms, 1101 * ms}}, 2, 1},
	} {
		if got := worst(tt.admitted, time.Second); got != tt.worst {
			t.Errorf("%s: worst window %d, want %d", tt.name, got, tt.worst)
		}
		if got := proven(tt.admitted, time.Second); got != tt.proven {
			t.Errorf("%s: proven %d, want %d", tt.name, got, tt.proven)
		}
	}
	if got := exact([]time.Duration{0, 1 * ms, 2 * ms, 1000 * ms, 1000 * ms, 1001 * ms}, 2, time.Second); got != 4 {
		t.Errorf("an exact log admits %d, want 4", got)
	}
}
