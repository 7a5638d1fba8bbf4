package limit

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a time that only a test moves on.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.micros.Store(1_700_000_000_123_456)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

func newLimit(t testing.TB, name string, events int64, window time.Duration) *Limit {
	t.Helper()
	l, err := New(Config{Scope: "test", Name: name, Events: events, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustTake(t testing.TB, s Store, debits ...Debit) Decision {
	t.Helper()
	decision, err := s.Take(t.Context(), debits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

func TestSeveralLimitsAreOneDecision(t *testing.T) {
	t.Parallel()
	store := NewMemory(MemoryConfig{Now: newClock().now})
	client, user := newLimit(t, "client", 5, time.Minute), newLimit(t, "user", 2, time.Hour)
	both := []Debit{{Limit: client, Key: "shop"}, {Limit: user, Key: "alice"}}
	for i := range int64(2) {
		d := mustTake(t, store, both...)
		if !d.Allowed || d.States[0].Remaining != 4-i || d.States[1].Remaining != 1-i || d.Wait() != 0 {
			t.Fatalf("take %d: %+v", i, d)
		}
	}
	for range 3 {
		d := mustTake(t, store, both...)
		if d.Allowed || d.States[0].Short || !d.States[1].Short {
			t.Fatalf("the user's limit is short, and only it: %+v", d)
		}
		if d.States[0].Remaining != 3 || d.States[1].Remaining != 0 {
			t.Fatalf("a denied request was counted: %+v", d)
		}
		if d.Wait() != d.States[1].Wait || d.Wait() < 59*time.Minute {
			t.Fatalf("wait %v: %+v", d.Wait(), d)
		}
	}
	if d := mustTake(t, store, Debit{Limit: client, Key: "shop"}, Debit{Limit: user, Key: "bob"}); !d.Allowed || d.States[0].Remaining != 2 {
		t.Fatalf("another user: %+v", d)
	}
}

// TestWaitIsExact: a microsecond earlier the debit does not fit, then it does.
func TestWaitIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := newClock()
		store := NewMemory(MemoryConfig{Now: clock.now})
		l, err := New(Config{Name: "zone", Events: rapid.Int64Range(1, 8).Draw(t, "events"), Window: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		take := func() Decision {
			d, err := store.Take(t.Context(), []Debit{{Limit: l, Key: "k"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		for range rapid.IntRange(1, 30).Draw(t, "takes") {
			clock.advance(time.Duration(rapid.Int64Range(0, 20_000_000).Draw(t, "pass")) * time.Microsecond)
			d := take()
			if d.Allowed {
				continue
			}
			clock.advance(d.Wait() - time.Microsecond)
			if take().Allowed {
				t.Fatal("allowed before the wait was over")
			}
			clock.advance(time.Microsecond)
			if !take().Allowed {
				t.Fatal("denied after the wait")
			}
		}
	})
}

// TestChangedEventsKeepTheCount is what a reload does.
func TestChangedEventsKeepTheCount(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := NewMemory(MemoryConfig{Now: clock.now})
	wide := newLimit(t, "zone", 5, time.Minute)
	for range 4 {
		mustTake(t, store, Debit{Limit: wide, Key: "k"})
		clock.advance(2 * time.Second)
	}
	narrow := newLimit(t, "zone", 2, time.Minute)
	d := mustTake(t, store, Debit{Limit: narrow, Key: "k"})
	if d.Allowed || d.States[0].Remaining != 0 {
		t.Fatalf("4 are used, the limit is 2 now: %+v", d)
	}
	clock.advance(d.Wait() - time.Microsecond)
	if mustTake(t, store, Debit{Limit: narrow, Key: "k"}).Allowed {
		t.Error("allowed before three units came back")
	}
	clock.advance(time.Microsecond)
	if !mustTake(t, store, Debit{Limit: narrow, Key: "k"}).Allowed {
		t.Error("denied after the wait")
	}
	if d := mustTake(t, store, Debit{Limit: newLimit(t, "zone", 2, time.Hour), Key: "k"}); d.States[0].Remaining != 1 {
		t.Errorf("a changed window starts anew: %+v", d)
	}
}

func TestConcurrentTakesAreExact(t *testing.T) {
	t.Parallel()
	store := NewMemory(MemoryConfig{Now: newClock().now})
	limits := [...]*Limit{newLimit(t, "a", 100, time.Minute), newLimit(t, "b", 70, time.Minute)}
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				// Both orders: the shards' locks must not wait for each other.
				debits := []Debit{{Limit: limits[0], Key: "x"}, {Limit: limits[1], Key: "y"}, {Limit: limits[1], Key: fmt.Sprint(g, i)}}
				if (g+i)%2 == 0 {
					debits[0], debits[1] = debits[1], debits[0]
				}
				if mustTake(t, store, debits...).Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 70 {
		t.Errorf("%d allowed, want exactly 70", allowed.Load())
	}
	if d := mustTake(t, store, Debit{Limit: limits[0], Key: "x"}); d.States[0].Remaining != 29 {
		t.Errorf("the other limit was debited %d times, want 70 and this one", 100-d.States[0].Remaining)
	}
}

func TestFullStoreForgetsNothing(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := NewMemory(MemoryConfig{Now: clock.now, MaxKeys: 10})
	zone, other := newLimit(t, "zone", 2, time.Minute), newLimit(t, "other", 1, time.Minute)
	for i := range 10 {
		mustTake(t, store, Debit{Limit: zone, Key: fmt.Sprint(i)})
	}
	debits := []Debit{{Limit: zone, Key: "0"}, {Limit: other, Key: "new"}, {Limit: zone, Key: "new"}}
	if _, err := store.Take(t.Context(), debits, nil); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	for i := range 10 {
		if d := mustTake(t, store, Debit{Limit: zone, Key: fmt.Sprint(i)}); !d.Allowed || d.States[0].Remaining != 0 {
			t.Fatalf("key %d: want one unit used before: %+v", i, d)
		}
	}
	clock.advance(62 * time.Second)
	if d := mustTake(t, store, debits...); !d.Allowed {
		t.Fatalf("nothing counts any more: %+v", d)
	}
}

// TestFullLimitRefusesOnlyItsOwn: whoever makes up keys for one limit takes no room
// from another.
func TestFullLimitRefusesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := NewMemory(MemoryConfig{Now: clock.now, MaxKeys: 10})
	address, user := newLimit(t, "address", 2, time.Minute), newLimit(t, "user", 2, time.Minute)
	for i := range 10 {
		mustTake(t, store, Debit{Limit: address, Key: fmt.Sprint(i)})
	}
	_, err := store.Take(t.Context(), []Debit{{Limit: address, Key: "stranger"}}, nil)
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "test:address:") {
		t.Errorf("error %v, want ErrFull of the limit", err)
	}
	for i := range 10 {
		mustTake(t, store, Debit{Limit: user, Key: fmt.Sprint(i)})
	}
	if d := mustTake(t, store, Debit{Limit: address, Key: "3"}, Debit{Limit: user, Key: "3"}); !d.Allowed {
		t.Errorf("who is counted already is refused: %+v", d)
	}
	clock.advance(62 * time.Second)
	mustTake(t, store, Debit{Limit: address, Key: "stranger"})
	mustTake(t, store, Debit{Limit: user, Key: "stranger"})
}

// TestEvictionForgetsNothing compares a store that is always short of room with one
// that never is.
func TestEvictionForgetsNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := newClock()
		small := NewMemory(MemoryConfig{Now: clock.now, MaxKeys: 4})
		large := NewMemory(MemoryConfig{Now: clock.now})
		limits := modelLimits(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			clock.advance(time.Duration(rapid.Int64Range(0, 9000).Draw(t, "pass")) * time.Millisecond)
			debits := drawDebits(t, limits)
			got, err := small.Take(t.Context(), debits, nil)
			if errors.Is(err, ErrFull) {
				continue
			}
			want, wantErr := large.Take(t.Context(), debits, nil)
			if err != nil || wantErr != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("short of room: %+v, %v; with room: %+v, %v", got, err, want, wantErr)
			}
		}
	})
}

func TestOldKeysGiveTheirMemoryBack(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := NewMemory(MemoryConfig{Now: clock.now, MaxKeys: 1000})
	zone := newLimit(t, "zone", 2, time.Second)
	for i := range 10_000 {
		mustTake(t, store, Debit{Limit: zone, Key: fmt.Sprint(i)})
		clock.advance(10 * time.Millisecond)
	}
	// About 102 keys count at a time; each new key looks at two old ones.
	if n := len(store.table.shards[0].items); n > 300 {
		t.Errorf("%d entries are kept", n)
	}
}

func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	store := NewMemory(MemoryConfig{})
	zone := newLimit(t, "zone", 5, time.Minute)
	elsewhere, err := New(Config{Scope: "elsewhere", Name: "zone", Events: 5, Window: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for name, debits := range map[string][]Debit{
		"none":       {},
		"too many":   make([]Debit, MaxDebits+1),
		"twice":      {{Limit: zone, Key: "a"}, {Limit: zone, Key: "b"}, {Limit: zone, Key: "a"}},
		"two scopes": {{Limit: zone, Key: "a"}, {Limit: elsewhere, Key: "a"}},
	} {
		if _, err := store.Take(t.Context(), debits, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if d := mustTake(t, store, Debit{Limit: zone, Key: "a"}); d.States[0].Remaining != 4 {
		t.Errorf("a refused call was counted: %+v", d)
	}
}

func TestLongKeysAreTheirDigest(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	if got := boundKey(long); len(got) <= maxKey || len(got) > 200 || got == boundKey(long+"y") {
		t.Errorf("bounded to %q", got)
	}
	if short := strings.Repeat("x", maxKey); boundKey(short) != short {
		t.Error("a short key is changed")
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, limits := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(limits, "_limits"), func(b *testing.B) {
			store := NewMemory(MemoryConfig{})
			var debits []Debit
			for i := range limits {
				debits = append(debits, Debit{Limit: newLimit(b, fmt.Sprint("zone", i), MaxEvents, time.Minute), Key: fmt.Sprint("key", i)})
			}
			states := make([]State, 0, MaxDebits)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Take(b.Context(), debits, states[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
