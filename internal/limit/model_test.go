package limit

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the exact answer: the time of every unit, for each limit and key.
type model map[Debit][]int64

// counts gives how many units count at least, those of the window, and at most,
// those of a window longer by one bucket.
func (m model) counts(d Debit, now int64) (least, most int64) {
	_, micros, _ := strings.Cut(d.Limit.local, ":")
	window, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		panic(err)
	}
	return since(m[d], now-window), since(m[d], now-latest(trace{Window: window}))
}

// TestTakeAgainstAnExactLog plays requests of several limits and compares every
// answer with logs that forget nothing.
func TestTakeAgainstAnExactLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := newClock()
		store := NewMemory(MemoryConfig{Now: clock.now})
		limits := modelLimits(t)
		m := make(model)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			clock.advance(time.Duration(rapid.Int64Range(0, 4_000_000).Draw(t, "pass")) * time.Microsecond)
			now := clock.micros.Load()
			debits := drawDebits(t, limits)
			d, err := store.Take(t.Context(), debits, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d.Allowed {
				for _, debit := range debits {
					m[debit] = append(m[debit], now)
				}
			}
			m.compare(t, debits, d, now)
		}
	})
}

// compare holds a decision to the logs. That what remains follows from the allowed
// requests alone is what makes a denied one write nothing.
func (m model) compare(t *rapid.T, debits []Debit, d Decision, now int64) {
	short := false
	for i, debit := range debits {
		least, most := m.counts(debit, now)
		events, state := debit.Limit.alone.events, d.States[i]
		short = short || state.Short
		if least > events {
			t.Fatalf("limit %d: %d in a window of %d", i, least, events)
		}
		if state.Remaining > events-least || state.Remaining < max(events-most, 0) {
			t.Fatalf("limit %d: %d remain of %d, the log has %d to %d", i, state.Remaining, events, least, most)
		}
		if state.Short && (d.Allowed || most < events) {
			t.Fatalf("limit %d is short with %d of %d used", i, most, events)
		}
	}
	if short == d.Allowed {
		t.Fatalf("allowed %v, and a limit short %v", d.Allowed, short)
	}
}
