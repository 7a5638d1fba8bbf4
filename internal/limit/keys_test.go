package limit

import (
	"errors"
	"flag"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// manyKeys is how many callers there are in TestManyKeys. `make keys` has a million, on a
// machine of its own, and only then the numbers are held to.
var manyKeys = flag.Int("keys", 20_000, "how many keys the limiter is filled with")

const (
	million = 1_000_000
	// longestPause is what a request may wait for the memory of the others.
	longestPause = 10 * time.Millisecond
)

// TestManyKeys fills the limiter with callers, lets them grow old and fills it anew, while
// one busy caller is timed. What that one waits for is the collector and the evictions.
func TestManyKeys(t *testing.T) {
	if *manyKeys < million {
		t.Parallel()
	}
	t.Run("memory", func(t *testing.T) {
		var passed atomic.Int64
		store := NewMemory(MemoryConfig{MaxKeys: *manyKeys, Now: func() time.Time {
			return time.Now().Add(time.Duration(passed.Load()))
		}})
		l := newLimit(t, "zone", 10, time.Hour)
		before := inUse()
		fill(t, store, l, "first", *manyKeys, 2)
		after := inUse()
		t.Logf("a key takes %d bytes", (after-before)/uint64(sum(store.table.keys())))
		passed.Add(int64(30 * time.Minute))
		fill(t, store, l, "first", *manyKeys, 2) // each counts for longer now
		passed.Add(int64(35 * time.Minute))
		fill(t, store, l, "stranger", *manyKeys/10, 2) // who looks for room finds none, in all of a shard
		passed.Add(int64(2 * time.Hour))
		fill(t, store, l, "second", *manyKeys, 2) // in the room of others
		if n := sum(store.table.keys()); n > *manyKeys+maxShards {
			t.Errorf("%d keys are kept", n)
		}
	})
	t.Run("redis", func(t *testing.T) {
		server := testenv.NewRedisServer(t)
		e := NewEngine(EngineConfig{Store: newRedisStore(t, server.Addr()), Deadline: 5 * time.Second, MaxKeys: 2 * *manyKeys})
		t.Cleanup(func() { _ = e.Close() })
		l := newLimit(t, "zone", 10, time.Hour)
		fill(t, e, newLimit(t, "warm", 10, time.Hour), "warm", 1000, maxFlights*maxGroups)
		before, inRedis := inUse(), usedMemory(t, server.Addr())
		fill(t, e, l, "first", *manyKeys, maxFlights*maxGroups)
		after := inUse()
		t.Logf("a key takes %d bytes in the edge, and %d in Redis", (after-before)/uint64(*manyKeys),
			(usedMemory(t, server.Addr())-inRedis)/uint64(*manyKeys))
	})
}

func sum(keys map[*series]int) (n int) {
	for _, k := range keys {
		n += k
	}
	return n
}

// inUse gives how much memory is.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what the first has found dead is swept by the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func usedMemory(t *testing.T, addr string) uint64 {
	t.Helper()
	info, err := newRedisClient(t, addr).Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, used, _ := strings.Cut(info, "used_memory:")
	used, _, _ = strings.Cut(used, "\r\n")
	n, err := strconv.ParseUint(used, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill asks for one unit of each key, by so many callers at once, and times a busy one beside them.
func fill(t *testing.T, s Store, l *Limit, name string, keys, callers int) {
	t.Helper()
	busy := newLimit(t, "busy", MaxEvents, time.Minute)
	stop := make(chan struct{})
	var watch, work sync.WaitGroup
	var times []time.Duration
	watch.Go(func() {
		states := make([]State, 0, 1)
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			started := time.Now()
			d, err := s.Take(t.Context(), []Debit{{Limit: busy, Key: "busy"}}, states[:0])
			if took := time.Since(started); err != nil || !d.Allowed {
				t.Error(d, err)
			} else if _, remote := s.(*Engine); !remote || d.States[0].Leased {
				times = append(times, took)
			}
		}
	})
	started := time.Now()
	for w := range callers {
		work.Go(func() {
			for i := w; i < keys; i += callers {
				if _, err := s.Take(t.Context(), []Debit{{Limit: l, Key: name + strconv.Itoa(i)}}, nil); err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	took := time.Since(started)
	close(stop)
	watch.Wait()
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	longest := times[len(times)-1]
	t.Logf("%s: %d keys in %v; a busy caller waits for %v at p99.9 and for %v at most, of %d times", name, keys, took.Round(time.Millisecond),
		times[len(times)*999/1000], longest, len(times))
	if *manyKeys >= million && longest > longestPause {
		t.Errorf("%s: a request has waited for %v, want %v at most", name, longest, longestPause)
	}
}
