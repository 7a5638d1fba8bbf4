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
	"syscall"
	"testing"
	"time"
	"unsafe"

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

// perSecond is how many keys come in a second: more than an edge on two cores has requests,
// and less than uses them up. Where that is so, whoever waits for a lock waits for a turn as
// well, in any program.
const (
	perSecond      = 20_000
	perSecondRedis = 12_000
)

// TestManyKeys fills the limiter with callers, lets them grow old and fills it anew, while
// one busy caller is timed. What that one waits for is the locks, the collector and the
// evictions; what a control waits for, who has none of the limiter's locks, is the machine.
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
		fill(t, store, l, "first", *manyKeys, 2, perSecond)
		after := inUse()
		t.Logf("a key takes %d bytes", (after-before)/uint64(sum(store.table.keys())))
		passed.Add(int64(30 * time.Minute))
		fill(t, store, l, "first", *manyKeys, 2, perSecond) // each counts for longer now
		passed.Add(int64(35 * time.Minute))
		fill(t, store, l, "stranger", *manyKeys/10, 2, perSecond) // who looks for room finds none, in all of a shard
		passed.Add(int64(2 * time.Hour))
		fill(t, store, l, "second", *manyKeys, 2, perSecond) // in the room of others
		if n := sum(store.table.keys()); n > *manyKeys+maxShards {
			t.Errorf("%d keys are kept", n)
		}
	})
	t.Run("redis", func(t *testing.T) {
		server := testenv.NewRedisServer(t)
		e := NewEngine(EngineConfig{Store: newRedisStore(t, server.Addr()), Deadline: 5 * time.Second, MaxKeys: 2 * *manyKeys})
		t.Cleanup(func() { _ = e.Close() })
		l := newLimit(t, "zone", 10, time.Hour)
		fill(t, e, newLimit(t, "warm", 10, time.Hour), "warm", 1000, maxFlights*maxGroups, perSecondRedis)
		before, inRedis := inUse(), usedMemory(t, server.Addr())
		fill(t, e, l, "first", *manyKeys, maxFlights*maxGroups, perSecondRedis)
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
func fill(t *testing.T, s Store, l *Limit, name string, keys, callers, perSecond int) {
	t.Helper()
	stop := make(chan struct{})
	var watch, work sync.WaitGroup
	var times, control pauses
	var dearest atomic.Int64 // decision, in CPU time
	watch.Go(func() { times = watched(t, s, stop) })
	watch.Go(func() { control = controlled(stop) })
	started := time.Now()
	for w := range callers {
		work.Go(func() {
			clock := threadTime
			if callers > 2 { // a thread for each is too many
				clock = func() time.Duration { return 0 }
			} else {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			for i := w; i < keys; i += callers {
				if ahead := time.Duration(i)*time.Second/time.Duration(perSecond) - time.Since(started); ahead > time.Millisecond {
					time.Sleep(ahead) // a pace, not a wait
				}
				used := clock()
				if _, err := s.Take(t.Context(), []Debit{{Limit: l, Key: name + strconv.Itoa(i)}}, nil); err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				if took := int64(clock() - used); took > dearest.Load() {
					dearest.Store(took)
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
	t.Logf("%s: %d keys in %v; a busy caller waits for %v at p99.9 and for %v at most, of %d times; the control for %v and %v; the dearest new key took %v of a CPU", name, keys,
		took.Round(time.Millisecond), times.at(.999), times.at(1), len(times), control.at(.999), control.at(1), time.Duration(dearest.Load()))
	if longest := times.at(1); *manyKeys >= million && longest > longestPause && longest > 2*control.at(1) {
		t.Errorf("%s: a request has waited for %v, want %v at most", name, longest, longestPause)
	}
}

// pauses are how long something took that takes no time.
type pauses []time.Duration

// at gives the pause that a share of them are not longer than.
func (p pauses) at(share float64) time.Duration {
	slices.Sort(p)
	return p[int(float64(len(p)-1)*share)]
}

// threadTime gives how much of a CPU this thread has used: what a program does itself, and
// not how long others keep it from it.
func threadTime() time.Duration {
	const clock = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

const watchEvery = 100 * time.Microsecond

// watched times the decisions of a busy caller that this node makes by itself.
func watched(t *testing.T, s Store, stop chan struct{}) (times pauses) {
	debits := []Debit{{Limit: newLimit(t, "busy", MaxEvents, time.Minute), Key: "busy"}}
	states := make([]State, 0, 1)
	e, remote := s.(*Engine)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return times
		case <-tick.C:
		}
		started := time.Now()
		var d Decision
		var p *pending
		var err error
		if remote {
			d, p, err = e.begin(debits, states[:0])
		} else {
			d, err = s.Take(t.Context(), debits, states[:0])
		}
		took := time.Since(started)
		if p != nil {
			d, err = e.follow(p, states[:0])
		} else {
			times = append(times, took)
		}
		if err != nil || !d.Allowed {
			t.Error(d, err)
		}
	}
}

// controlled does as much as a decision does, and has nothing to do with the limiter: a lock
// that nobody else has, and a little memory.
func controlled(stop chan struct{}) (times pauses) {
	var mu sync.Mutex
	table := make(map[string]*[4]int64)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return append(times, 0)
		case <-tick.C:
		}
		started := time.Now()
		mu.Lock()
		table["busy"] = new([4]int64)
		mu.Unlock()
		times = append(times, time.Since(started))
	}
}
