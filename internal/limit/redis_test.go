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
	return NewRedis(RedisConfig{Client: newRedisClient(t, addr), Timeout: 5 * time.Second})
}

// atTime is a Redis store whose scripts take their time from a test.
type atTime struct {
	*Redis
	clock *clock
}

// testClock sets `now` from a key. The real clock goes on beside it, so a key whose period is
// over in a second must not be gone when a slow test comes back to it.
const testClock = `
local server = redis
local redis = {call = function(name, ...)
	if name ~= 'PEXPIRE' then return server.call(name, ...) end
	local key, left = ...
	return server.call(name, key, math.max(left, 60000))
end}
local now = tonumber(redis.call('GET', 'now'))
`

func newAtTime(t testing.TB, addr string, c *clock) *atTime {
	store := newRedisStore(t, addr)
	store.setClock(testClock)
	return &atTime{store, c}
}

func (a *atTime) Take(ctx context.Context, debits []Debit, into []State) (Decision, error) {
	if err := a.client.Set(ctx, "now", a.clock.micros.Load(), 0).Err(); err != nil {
		return Decision{}, err
	}
	return a.Redis.Take(ctx, debits, into)
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
		clock.advance(600 * time.Millisecond)
	}
	key := "{tollgate:test}:zone:60000000:k"
	fields, err := store.client.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(fields) != int(zone.shared.grid.span) {
		t.Errorf("%d fields, want %d", len(fields), zone.shared.grid.span)
	}
	newest := strconv.FormatInt(clock.micros.Load()/zone.shared.grid.width-1, 10)
	if fields[newest] != "1" {
		t.Errorf("no bucket %s in %v", newest, fields)
	}
	if left := store.client.PTTL(t.Context(), key).Val(); left < 60*time.Second || left > 64*time.Second {
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
	hasty := NewRedis(RedisConfig{Client: store.client, Timeout: 50 * time.Millisecond})
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
	store := NewRedis(RedisConfig{Client: client, Timeout: 5 * time.Second})
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
	b := &batch{ops: []op{{code: opTake, asks: []ask{{limit: debits[0].Limit, key: "k", need: 1}}}}}
	for _, reply := range [][]int64{nil, {1}, {1, 2}, {1, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 1, 0, 0, 1, 5}} {
		if _, err := decode(b, reply); err == nil {
			t.Errorf("%v is taken for an answer", reply)
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
