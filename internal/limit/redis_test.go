package limit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// newRedisClient gives a client that would repeat commands if it were let.
func newRedisClient(t testing.TB, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: 5, PoolSize: 20})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newRedisStore(t testing.TB, addr string) *Redis {
	t.Helper()
	// A long deadline: the machine that tests may be busy.
	return NewRedis(RedisConfig{Client: newRedisClient(t, addr), Deadline: 5 * time.Second})
}

// atTime is a Redis store whose script takes its time from a test.
type atTime struct {
	*Redis
	clock *clock
}

func newAtTime(t testing.TB, addr string, c *clock) *atTime {
	store := newRedisStore(t, addr)
	store.setClock("local now = tonumber(ARGV[#ARGV])\n")
	return &atTime{store, c}
}

func (a *atTime) Take(ctx context.Context, debits []Debit, into []State) (Decision, error) {
	reply, err := a.run(ctx, append(a.arguments(debits), a.clock.micros.Load()))
	if err != nil {
		return Decision{}, err
	}
	return decode(reply, debits, into)
}

func modelLimits(t *rapid.T) []*Limit {
	var limits []*Limit
	for i, window := range []time.Duration{10 * time.Second, time.Minute, 10_000_003 * time.Microsecond} {
		events := rapid.Int64Range(1, 5).Draw(t, "events")
		l, err := New(Config{Scope: "model", Name: fmt.Sprint("zone", i), Events: events, Window: window})
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, l)
	}
	return limits
}

func drawDebits(t *rapid.T, limits []*Limit) []Debit {
	var debits []Debit
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(limits)-1), 1, len(limits), rapid.ID).Draw(t, "limits") {
		debits = append(debits, Debit{Limit: limits[i], Key: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")})
	}
	return debits
}

// TestScriptDecidesAsMemory plays the same requests at the same times against the
// script and against the engine in Go, also with a clock that goes back and with
// limits that a reload has changed.
func TestScriptDecidesAsMemory(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	clock := newClock()
	script := newAtTime(t, addr, clock)
	var runs int
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		script.prefix = fmt.Sprint("run", runs) // an empty Redis for each run
		memory := NewMemory(MemoryConfig{Now: clock.now})
		limits := modelLimits(rt)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			clock.advance(time.Duration(rapid.Int64Range(-500_000, 5_000_000).Draw(rt, "pass")) * time.Microsecond)
			if rapid.IntRange(0, 9).Draw(rt, "reload") == 0 {
				limits = modelLimits(rt)
			}
			debits := drawDebits(rt, limits)
			got, err := script.Take(t.Context(), debits, nil)
			if err != nil {
				rt.Fatal(err)
			}
			want, err := memory.Take(t.Context(), debits, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("the script says %+v, the engine %+v", got, want)
			}
		}
	})
}

func TestRedisDenyWritesNothing(t *testing.T) {
	t.Parallel()
	store := newRedisStore(t, testenv.Redis(t))
	tight, wide := newLimit(t, "tight", 1, time.Hour), newLimit(t, "wide", 9, time.Hour)
	mustTake(t, store, Debit{Limit: tight, Key: "k"})
	before := dump(t, store.client)
	d := mustTake(t, store, Debit{Limit: wide, Key: "k"}, Debit{Limit: tight, Key: "k"})
	if d.Allowed || d.States[0].Short || !d.States[1].Short || d.States[0].Remaining != 9 {
		t.Fatalf("%+v", d)
	}
	if after := dump(t, store.client); after != before {
		t.Errorf("a denied request changed\n%s\nto\n%s", before, after)
	}
}

// dump gives every key and hash, without the time that they have left.
func dump(t *testing.T, client redis.UniversalClient) string {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, key := range keys {
		fmt.Fprintln(&all, key, client.HGetAll(t.Context(), key).Val())
	}
	return all.String()
}

// TestRedisHashIsBounded: old buckets go, bucket numbers are exact, and a key
// outlives its newest bucket, but not by much.
func TestRedisHashIsBounded(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newAtTime(t, testenv.Redis(t), clock)
	zone := newLimit(t, "zone", 1000, time.Minute)
	for range 300 {
		if d := mustTake(t, store, Debit{Limit: zone, Key: "k"}); !d.Allowed {
			t.Fatalf("%+v", d)
		}
		clock.advance(time.Second)
	}
	key := store.key(Debit{Limit: zone, Key: "k"})
	fields, err := store.client.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(fields) != int(zone.grid.span) {
		t.Errorf("%d fields, want %d", len(fields), zone.grid.span)
	}
	newest := strconv.FormatInt(clock.micros.Load()/zone.grid.width-1, 10)
	if fields[newest] != "1" {
		t.Errorf("no bucket %s in %v", newest, fields)
	}
	if left := store.client.PTTL(t.Context(), key).Val(); left < 60*time.Second || left > 63*time.Second {
		t.Errorf("the key lives for another %v", left)
	}
}

func TestRedisConcurrentTakesAreExact(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	limits := [...]*Limit{newLimit(t, "a", 100, time.Hour), newLimit(t, "b", 70, time.Hour)}
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for node := range 4 {
		store := newRedisStore(t, addr) // a node of its own
		for range 2 {
			wg.Go(func() {
				for i := range 40 {
					debits := []Debit{{Limit: limits[0], Key: "x"}, {Limit: limits[1], Key: "y"}}
					if (node+i)%2 == 0 {
						debits[0], debits[1] = debits[1], debits[0]
					}
					if mustTake(t, store, debits...).Allowed {
						allowed.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if allowed.Load() != 70 {
		t.Errorf("%d allowed, want exactly 70", allowed.Load())
	}
}

func TestRedisLosesItsScripts(t *testing.T) {
	t.Parallel()
	store := newRedisStore(t, testenv.Redis(t))
	zone := newLimit(t, "zone", 10, time.Hour)
	for i := range int64(4) {
		if d := mustTake(t, store, Debit{Limit: zone, Key: "k"}); d.States[0].Remaining != 9-i {
			t.Fatalf("take %d: %+v", i, d)
		}
		if err := store.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRedisOutOfReach(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	store := newRedisStore(t, server.Addr())
	zone := newLimit(t, "zone", 10, time.Hour)
	mustTake(t, store, Debit{Limit: zone, Key: "k"})
	server.Kill()
	for range 3 {
		if _, err := store.Take(t.Context(), []Debit{{Limit: zone, Key: "k"}}, nil); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("error %v, want ErrUnavailable", err)
		}
	}
	server.Restart()
	if d := mustTake(t, store, Debit{Limit: zone, Key: "k"}); !d.Allowed {
		t.Fatalf("after the restart: %+v", d)
	}
}

// TestSlowRedis: a decision has a deadline, and a debit whose reply was lost is
// never sent again.
func TestSlowRedis(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	store := newRedisStore(t, server.Addr())
	zone := newLimit(t, "zone", 10, time.Hour)
	mustTake(t, store, Debit{Limit: zone, Key: "k"})
	server.Pause()
	hasty := NewRedis(RedisConfig{Client: store.client, Deadline: 50 * time.Millisecond})
	started := time.Now()
	if _, err := hasty.Take(t.Context(), []Debit{{Limit: zone, Key: "k"}}, nil); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("error %v, want ErrUnavailable", err)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("a decision took %v with a deadline of 50ms", took)
	}
	server.Resume()
	if d := mustTake(t, store, Debit{Limit: zone, Key: "k"}); d.States[0].Remaining != 7 {
		t.Errorf("%d left of 10 after three debits, the second without a reply", d.States[0].Remaining)
	}
}

func TestCallerWhoHangsUp(t *testing.T) {
	t.Parallel()
	store := newRedisStore(t, testenv.Redis(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Take(ctx, []Debit{{Limit: newLimit(t, "zone", 10, time.Hour), Key: "k"}}, nil); err != nil {
		t.Errorf("the decision was given up, and its connection with it: %v", err)
	}
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	addr := testenv.NewRedisServer(t, "--cluster-enabled", "yes").Addr()
	if err := newRedisClient(t, addr).ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	awaitCluster(t, client)
	store := NewRedis(RedisConfig{Client: client, Deadline: 5 * time.Second})
	tight, wide := newLimit(t, "tight", 1, time.Hour), newLimit(t, "wide", math.MaxInt32/4, time.Hour)
	debits := []Debit{{Limit: tight, Key: "someone"}, {Limit: wide, Key: "somebody else"}}
	if d := mustTake(t, store, debits...); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	if d := mustTake(t, store, debits...); d.Allowed || !d.States[0].Short {
		t.Fatalf("%+v", d)
	}
}

func awaitCluster(t *testing.T, client *redis.ClusterClient) {
	t.Helper()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	deadline := time.After(10 * time.Second)
	for !strings.Contains(client.ClusterInfo(t.Context()).Val(), "cluster_state:ok") {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatal("the cluster does not come up")
		}
	}
}

// TestReplyOfTheWrongShape stands for a proxy or a Redis that answers nonsense.
func TestReplyOfTheWrongShape(t *testing.T) {
	t.Parallel()
	debits := []Debit{{Limit: newLimit(t, "zone", 1, time.Hour), Key: "k"}}
	for _, reply := range [][]int64{nil, {1}, {1, 2}, {1, 2, 3, 4}} {
		if d, err := decode(reply, debits, nil); !errors.Is(err, ErrUnavailable) || d.Allowed {
			t.Errorf("%v: %+v, %v", reply, d, err)
		}
	}
}

func BenchmarkRedis(b *testing.B) {
	addr := testenv.Redis(b)
	for _, used := range []int{1, 61} {
		b.Run(fmt.Sprint(used, "_buckets"), func(b *testing.B) {
			clock := newClock()
			store := newAtTime(b, addr, clock)
			zone := newLimit(b, "zone", MaxEvents, time.Minute)
			key := fmt.Sprint("key", used)
			for range used {
				clock.advance(time.Second)
				mustTake(b, store, Debit{Limit: zone, Key: key})
			}
			states := make([]State, 0, MaxDebits)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Take(b.Context(), []Debit{{Limit: zone, Key: key}}, states[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
