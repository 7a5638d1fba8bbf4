package limit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// trace is a history of requests for one limit, in microseconds.
type trace struct {
	Window, Lease int64
	Events        int64
	Steps         []traceStep
}

type traceStep struct {
	Pass  int64 // true time since the step before
	Back  int64 // how far the clock goes back before the request
	Delay int64 // from the debit to the spending, at most the lease
}

// traces draws histories whose pauses fall on the edges of buckets and windows,
// where an error of one would show.
func traces(withLease, withBack bool) *rapid.Generator[trace] {
	return rapid.Custom(func(t *rapid.T) trace {
		tr := trace{
			Window: rapid.SampledFrom([]int64{10_007, 100_000, 1_000_003, 60_000_000}).Draw(t, "window"),
			Events: rapid.Int64Range(1, 5).Draw(t, "events"),
		}
		if withLease {
			tr.Lease = rapid.Int64Range(0, tr.Window/5).Draw(t, "lease")
		}
		width := newGrid(time.Duration(tr.Window)*time.Microsecond, 0).width
		pass := rapid.OneOf(
			rapid.Just(int64(0)),
			rapid.Int64Range(0, 2*width),
			rapid.Int64Range(tr.Window-2*width, tr.Window+2*width),
			rapid.SampledFrom([]int64{1, width - 1, width, tr.Window - 1, tr.Window, tr.Window - width}),
		)
		for range rapid.IntRange(2, 40).Draw(t, "steps") {
			step := traceStep{Pass: pass.Draw(t, "pass"), Delay: rapid.Int64Range(0, tr.Lease).Draw(t, "delay")}
			if withBack {
				step.Back = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 2*tr.Window)).Draw(t, "back")
			}
			tr.Steps = append(tr.Steps, step)
		}
		return tr
	})
}

// rules is what a mutant changes.
type rules struct {
	grid    func(window, lease time.Duration) grid
	advance func(*counter, grid, int64) int64
}

var realRules = rules{grid: newGrid, advance: (*counter).advance}

// violation plays a trace and compares with an exact log: in no window of true time
// more than the limit is spent, and nothing is denied that an exact log of a window
// longer by a bucket and a lease would allow.
func (r rules) violation(tr trace) error {
	window, lease := time.Duration(tr.Window)*time.Microsecond, time.Duration(tr.Lease)*time.Microsecond
	g := r.grid(window, lease)
	var c counter
	var debits, spends []int64
	now, clock := int64(1_700_000_000_123_456), int64(1_700_000_000_123_456)
	for _, step := range tr.Steps {
		now += step.Pass
		clock += step.Pass - step.Back
		current := r.advance(&c, g, clock)
		if c.used < tr.Events {
			c.debit(current, 1)
			debits = append(debits, now)
			spends = append(spends, now+step.Delay)
			continue
		}
		if n := since(debits, now-latest(tr)); n < tr.Events && clock == now {
			return fmt.Errorf("denied at %d with only %d of %d counted", now, n, tr.Events)
		}
	}
	slices.Sort(spends)
	for i := int(tr.Events); i < len(spends); i++ {
		if apart := spends[i] - spends[i-int(tr.Events)]; apart < tr.Window {
			return fmt.Errorf("%d spent within %d us, the window is %d us", tr.Events+1, apart, tr.Window)
		}
	}
	return nil
}

// latest is how long a unit may be held back: the window, a bucket, the lease in whole
// buckets, and the microseconds by which rounding makes the buckets longer.
func latest(tr trace) int64 {
	window, lease := time.Duration(tr.Window)*time.Microsecond, time.Duration(tr.Lease)*time.Microsecond
	width := newGrid(window, lease).width
	late := tr.Window + width + buckets(window, lease) + tr.Lease
	if tr.Lease > 0 {
		late += width
	}
	return late
}

// since counts the times after t.
func since(times []int64, t int64) (n int64) {
	for _, at := range times {
		if at > t {
			n++
		}
	}
	return n
}

func TestNoWindowHoldsMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	for name, traces := range map[string]*rapid.Generator[trace]{
		"steady clock":   traces(false, false),
		"backward clock": traces(false, true),
		"leases":         traces(true, false),
		"both":           traces(true, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				if err := realRules.violation(traces.Draw(t, "trace")); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestMutants breaks the rules one at a time. A test that stays green for one of
// them could not tell a wrong limiter from a right one.
func TestMutants(t *testing.T) {
	t.Parallel()
	for name, mutant := range map[string]struct {
		rules  rules
		traces *rapid.Generator[trace]
	}{
		"sums m buckets instead of m+1": {
			rules{grid: func(window, lease time.Duration) grid {
				g := newGrid(window, lease)
				g.span--
				return g
			}, advance: realRules.advance}, traces(false, false),
		},
		"forgets the lease": {
			rules{grid: func(window, lease time.Duration) grid {
				g := newGrid(window, lease)
				g.span -= leaseBuckets(lease, g.width)
				return g
			}, advance: realRules.advance},
			traces(true, false),
		},
		"rounds the bucket down": {
			rules{grid: func(window, lease time.Duration) grid {
				g := newGrid(window, lease)
				g.width = window.Microseconds() / buckets(window, lease)
				return g
			}, advance: realRules.advance}, traces(false, false),
		},
		"follows a clock that goes back": {
			rules{grid: newGrid, advance: func(c *counter, g grid, now int64) int64 {
				c.buckets = slices.DeleteFunc(c.buckets, func(b bucket) bool { return b.index > now/g.width })
				c.used = 0
				for _, b := range c.buckets {
					c.used += b.count
				}
				return c.advance(g, now)
			}}, traces(false, true),
		},
		"gives units back a window late": {
			rules{grid: func(window, lease time.Duration) grid {
				g := newGrid(window, lease)
				g.span *= 2
				return g
			}, advance: realRules.advance}, traces(false, false),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range 20_000 {
				if mutant.rules.violation(mutant.traces.Example(seed)) != nil {
					return
				}
			}
			t.Error("no trace tells this mutant from the real limiter")
		})
	}
}

func TestGrid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		window time.Duration
		lease  time.Duration
		want   grid
	}{
		{10 * time.Millisecond, 0, grid{width: 1000, span: 11}},
		{time.Second, 0, grid{width: 10_000, span: 101}},
		{time.Second, 20 * time.Millisecond, grid{width: 5_000, span: 205}},
		{time.Second, 21 * time.Millisecond, grid{width: 5_000, span: 206}},
		{3 * time.Second, 60 * time.Millisecond, grid{width: 30_000, span: 103}},
		{time.Minute, 0, grid{width: 600_000, span: 101}},
		{time.Hour, 0, grid{width: 36_000_000, span: 101}},
	} {
		if got := newGrid(tt.window, tt.lease); got != tt.want {
			t.Errorf("newGrid(%v, %v) = %+v, want %+v", tt.window, tt.lease, got, tt.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{Scope: "payments", Name: "client", Events: 10, Window: time.Minute}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no name":        func(c *Config) { c.Name = "" },
		"name of a tag":  func(c *Config) { c.Name = "a}b" },
		"name too long":  func(c *Config) { c.Name = string(make([]byte, 65)) },
		"scope":          func(c *Config) { c.Scope = "a:b" },
		"no events":      func(c *Config) { c.Events = 0 },
		"events":         func(c *Config) { c.Events = MaxEvents + 1 },
		"no window":      func(c *Config) { c.Window = 0 },
		"window too big": func(c *Config) { c.Window = MaxWindow + 1 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
