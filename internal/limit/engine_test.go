package limit

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// newNodeAt gives an engine above a real Redis, patient enough for a busy machine.
func newNodeAt(t testing.TB, addr string) *Engine {
	t.Helper()
	e := NewEngine(EngineConfig{Store: newRedisStore(t, addr), Deadline: 5 * time.Second})
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func newKind(t testing.TB, c Config) *Limit {
	t.Helper()
	c.Scope = "kinds"
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestTenAMinuteIsExact: two nodes, and each request asks Redis until there is no more.
func TestTenAMinuteIsExact(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	nodes := []*Engine{newNodeAt(t, addr), newNodeAt(t, addr)}
	l := newLimit(t, "zone", 10, time.Minute)
	for i := range 30 {
		d := mustTake(t, nodes[i%2], Debit{Limit: l, Key: "k"})
		if d.Allowed != (i < 10) || d.Degraded {
			t.Errorf("take %d: %+v", i, d)
		}
		if i < 10 && d.States[0].Remaining != int64(9-i) {
			t.Errorf("take %d: %d remain", i, d.States[0].Remaining)
		}
	}
	if trips := nodes[0].Info().Limits[0].RoundTrips; trips > 6 {
		t.Errorf("%d round trips for five requests and many refusals", trips)
	}
}

// TestFourLimitsAreOneCall, also when they are of four kinds.
func TestFourLimitsAreOneCall(t *testing.T) {
	t.Parallel()
	e := newNodeAt(t, testenv.Redis(t))
	debits := []Debit{
		{Limit: newKind(t, Config{Name: "sliding", Events: 5, Window: time.Minute}), Key: "a"},
		{Limit: newKind(t, Config{Name: "day", Kind: Calendar, Period: Day, Events: 5}), Key: "b"},
		{Limit: newKind(t, Config{Name: "pace", Kind: GCRA, Events: 60, Window: time.Hour, Burst: 2}), Key: "c"},
		{Limit: newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 5}), Key: "d"},
	}
	if d := mustTake(t, e, debits...); !d.Allowed || e.roundTrips.Load() != 1 {
		t.Fatalf("%+v after %d round trips", d, e.roundTrips.Load())
	}
	mustTake(t, e, debits...)
	d := mustTake(t, e, debits...)
	if d.Allowed || !d.States[2].Short || d.States[0].Short || d.States[0].Remaining != 3 || d.Wait() < 59*time.Second {
		t.Errorf("the pace is short, and only it: %+v", d)
	}
}

func TestShadowRefusesNobody(t *testing.T) {
	t.Parallel()
	shadow := newKind(t, Config{Name: "shadow", Events: 1, Window: time.Hour, Shadow: true})
	real := newKind(t, Config{Name: "real", Events: 3, Window: time.Hour})
	for name, e := range map[string]*Engine{
		"redis": newNodeAt(t, testenv.Redis(t)), "memory": NewEngine(EngineConfig{Store: NewMemory(MemoryConfig{})}),
	} {
		for i := range 5 {
			d := mustTake(t, e, Debit{Limit: shadow, Key: "k"}, Debit{Limit: real, Key: "k"})
			if d.Allowed != (i < 3) || d.States[0].Short != (i > 0) || d.States[1].Short != (i >= 3) {
				t.Errorf("%s: take %d: %+v", name, i, d)
			}
		}
		for _, l := range e.Info().Limits {
			if l.Name == "shadow" && (l.Shadowed != 4 || l.Denied != 0) || l.Name == "real" && (l.Allowed != 3 || l.Denied != 2) {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}

func TestSettleAndRelease(t *testing.T) {
	t.Parallel()
	cost := newKind(t, Config{Name: "cost", Events: 10, Window: time.Hour})
	slots := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 2})
	for name, e := range map[string]*Engine{
		"redis": newNodeAt(t, testenv.Redis(t)), "memory": NewEngine(EngineConfig{Store: NewMemory(MemoryConfig{})}),
	} {
		t.Run(name, func(t *testing.T) {
			debits := []Debit{{Limit: cost, Key: "k", Cost: 8}, {Limit: slots, Key: "k"}}
			d := mustTake(t, e, debits...)
			if refused := mustTake(t, e, debits...); !d.Allowed || refused.Allowed {
				t.Fatalf("%+v, then %+v", d, refused)
			}
			e.Settle(debits, d.States, []int64{3, -1})
			used := func(l *Limit) int64 {
				in, err := e.Inspect(t.Context(), l, "k")
				if err != nil {
					t.Fatal(err)
				}
				return in.Used
			}
			await(t, "the rest to be given back", func() bool { return used(cost) == 3 })
			e.Settle(debits, d.States, []int64{9, -1}) // a second word is a mistake of the caller, and still counts
			await(t, "more to be charged", func() bool { return used(cost) == 4 })
			second := mustTake(t, e, Debit{Limit: slots, Key: "k"})
			if third := mustTake(t, e, Debit{Limit: slots, Key: "k"}); !second.Allowed || third.Allowed || !third.States[0].Short {
				t.Fatalf("%+v, then %+v", second, third)
			}
			e.Release(debits, d.States)
			e.Release([]Debit{{Limit: slots, Key: "k"}}, second.States)
			await(t, "the slots to be free", func() bool { return used(slots) == 0 })
			if err := e.Reset(t.Context(), cost, "k"); err != nil || used(cost) != 0 {
				t.Errorf("%d used after a reset, %v", used(cost), err)
			}
			if _, err := e.Take(t.Context(), []Debit{{Limit: cost, Key: "k", Cost: 11}}, nil); !errors.Is(err, ErrCost) {
				t.Errorf("error %v, want ErrCost", err)
			}
		})
	}
}

func await(t testing.TB, what string, ready func() bool) {
	t.Helper()
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	deadline := time.After(10 * time.Second)
	for !ready() {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestBusyKeySeldomAsks: leases carry the load, and are given back when it ends.
func TestBusyKeySeldomAsks(t *testing.T) {
	t.Parallel()
	e := newNodeAt(t, testenv.Redis(t))
	l := newLimit(t, "busy", 1_000_000, time.Minute)
	const requests = 200_000
	for range requests {
		if !mustTake(t, e, Debit{Limit: l, Key: "k"}).Allowed {
			t.Fatal("denied")
		}
	}
	if trips := e.roundTrips.Load(); trips > requests/50 {
		t.Errorf("%d round trips for %d requests", trips, requests)
	}
	await(t, "the leases to be given back", func() bool {
		in, err := e.Inspect(t.Context(), l, "k")
		return err == nil && in.Used == requests && in.Held == 0
	})
}

func TestKindsRefuse(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"kind":             {Kind: "bucket", Window: time.Minute},
		"burst 3":          {Window: time.Minute, Burst: 3},
		`period "day"`:     {Window: time.Minute, Period: Day},
		`period "year"`:    {Kind: Calendar, Period: "year"},
		"has none":         {Kind: Concurrency, Window: time.Minute},
		"a microsecond":    {Kind: GCRA, Window: 10 * time.Millisecond, Events: 10_001},
		"on_failure":       {Window: time.Minute, OnFailure: "panic"},
		"burst -1":         {Kind: GCRA, Window: time.Minute, Burst: -1},
		"burst 1000000000": {Kind: GCRA, Window: time.Hour, Burst: 1_000_000_000},
	} {
		c.Name, c.Events = "zone", max(c.Events, 10)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", c, err, want)
		}
	}
}

func BenchmarkEngineLeased(b *testing.B) {
	addr := testenv.Redis(b)
	for _, limits := range []int{1, 4} {
		b.Run(fmt.Sprint(limits, "_limits"), func(b *testing.B) {
			e := newNodeAt(b, addr)
			var debits []Debit
			for i := range limits {
				debits = append(debits, Debit{Limit: newLimit(b, fmt.Sprintf("zone%d-%d", limits, i), MaxEvents, time.Minute), Key: fmt.Sprint("key", i)})
			}
			states := make([]State, 0, MaxDebits)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Take(b.Context(), debits, states[:0]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(e.roundTrips.Load())/float64(b.N), "trips/op")
		})
	}
}

func BenchmarkEngineStrict(b *testing.B) {
	e := newNodeAt(b, testenv.Redis(b))
	l := newKind(b, Config{Name: "slots", Events: 3, Window: time.Minute})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := e.Take(b.Context(), []Debit{{Limit: l, Key: strconv.Itoa(n)}}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMillionKeys says what a key costs in the edge and in Redis, and for how long
// a request waits for the memory of the others at most.
func BenchmarkMillionKeys(b *testing.B) {
	for b.Loop() {
		server := testenv.NewRedisServer(b)
		e := NewEngine(EngineConfig{Store: newRedisStore(b, server.Addr()), Deadline: 5 * time.Second, MaxKeys: 2_000_000})
		l, other := newLimit(b, "zone", 10, time.Hour), newLimit(b, "busy", MaxEvents, time.Minute)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		const keys, workers = 1_000_000, 64
		var longest time.Duration
		stop := make(chan struct{})
		var watch, work sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				started := time.Now()
				if d := mustTake(b, e, Debit{Limit: other, Key: "k"}); d.States[0].Leased {
					longest = max(longest, time.Since(started))
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
		for w := range workers {
			work.Go(func() {
				for i := w; i < keys; i += workers {
					mustTake(b, e, Debit{Limit: l, Key: "user-" + strconv.Itoa(i)})
				}
			})
		}
		work.Wait()
		close(stop)
		watch.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/keys, "edge-B/key")
		b.ReportMetric(float64(longest.Microseconds()), "longest-us")
		info := newRedisClient(b, server.Addr()).Info(b.Context(), "memory").Val()
		_, used, _ := strings.Cut(info, "used_memory:")
		used, _, _ = strings.Cut(used, "\r\n")
		bytes, err := strconv.ParseFloat(used, 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(bytes/keys, "redis-B/key")
		_ = e.Close()
	}
}
