package limit

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// These tests break real Redis processes under two busy engines and hold what was let
// through to the stated bounds.

// recoverIn is how soon an engine asks Redis again when it is back.
const recoverIn = time.Second

// rig is two nodes under load that log what they let through.
type rig struct {
	t       *testing.T
	engines []*Engine
	limit   *Limit
	mu      sync.Mutex
	log     []spend
	changes []Change
	errs    []error
	stop    chan struct{}
	done    sync.WaitGroup
}

const (
	rigWindow = 5 * time.Second
	rigEvents = 400
)

func newRig(t *testing.T, clients ...redis.UniversalClient) *rig {
	t.Helper()
	r := &rig{t: t, stop: make(chan struct{})}
	var err error
	if r.limit, err = New(Config{Scope: "rig", Name: "zone", Events: rigEvents, Window: rigWindow}); err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		e := NewEngine(EngineConfig{Store: NewRedis(RedisConfig{Client: client}), Nodes: len(clients), OnChange: func(c Change) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, c)
		}})
		t.Cleanup(func() { _ = e.Close() })
		r.engines = append(r.engines, e)
	}
	return r
}

// run starts the load: on each node 500 requests a second.
func (r *rig) run() {
	start := time.Now()
	for node, e := range r.engines {
		r.done.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-r.stop:
					return
				case <-tick.C:
				}
				d, err := e.Take(r.t.Context(), []Debit{{Limit: r.limit, Key: "k"}}, nil)
				r.mu.Lock()
				if err != nil {
					r.errs = append(r.errs, err)
				} else if d.Allowed {
					r.log = append(r.log, spend{at: time.Since(start).Microseconds(), cost: 1, node: node, degraded: d.Degraded})
				}
				r.mu.Unlock()
			}
		})
	}
}

// await waits until the nodes have let something through.
func (r *rig) await(what string, ready func() bool) {
	r.t.Helper()
	deadline := time.After(15 * time.Second)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for !ready() {
		select {
		case <-retry.C:
		case <-deadline:
			r.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (r *rig) admitted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.log)
}

func (r *rig) degraded() bool {
	return slices.ContainsFunc(r.engines, func(e *Engine) bool { return e.Info().Degraded })
}

// recovered waits until all nodes ask Redis again. By how much its own ticks come too late,
// the machine is too busy: that is not the engine's time.
func (r *rig) recovered() {
	r.t.Helper()
	const every = 5 * time.Millisecond
	back, late := time.Now(), time.Duration(0)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := back; r.degraded(); {
		if time.Since(back) > 15*time.Second {
			r.t.Fatal("waited in vain: recovery")
		}
		<-tick.C
		late += max(time.Since(last)-every, 0)
		last = time.Now()
	}
	took := time.Since(back)
	if r.t.Logf("recovered after %v, %v of it the machine's", took, late); took-late > recoverIn {
		r.t.Errorf("recovered after %v, want %v at most", took-late, recoverIn)
	}
}

// judge ends the load and holds the log to a bound; to the limit itself when nothing
// was decided without Redis.
func (r *rig) judge(bound float64) {
	r.t.Helper()
	close(r.stop)
	r.done.Wait()
	if len(r.errs) > 0 {
		r.t.Errorf("%d errors, the first: %v", len(r.errs), r.errs[0])
	}
	slices.SortFunc(r.log, func(a, b spend) int { return cmp.Compare(a.at, b.at) })
	most, first, alone := 0, 0, 0
	for i, x := range r.log {
		for r.log[first].at <= x.at-rigWindow.Microseconds() {
			first++
		}
		most = max(most, i-first+1)
		if x.degraded {
			alone++
		}
	}
	r.t.Logf("%d let through, %d of them without Redis, %d in the fullest window", len(r.log), alone, most)
	if alone == 0 {
		bound = 1
	}
	if most > int(bound*rigEvents) {
		r.t.Errorf("%d in a window, the bound is %v of %d", most, bound, rigEvents)
	}
}

func client(t testing.TB, addr, password string) redis.UniversalClient {
	c := redis.NewClient(&redis.Options{Addr: addr, Password: password, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// allCutOff is the bound for two nodes that lose Redis: 2 - 1/N of the limit.
const allCutOff = 1.5

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bound   float64
		args    []string
		wrong   bool // the password at the start
		inflict func(t *testing.T, r *rig, server *testenv.RedisServer, admin redis.UniversalClient)
	}{
		"kill -9, restart empty": {bound: allCutOff + 1, inflict: func(t *testing.T, r *rig, server *testenv.RedisServer, _ redis.UniversalClient) {
			server.Kill()
			r.await("degraded", r.degraded)
			server.Restart()
		}},
		"hangs for 500 ms": {bound: allCutOff, inflict: func(t *testing.T, r *rig, server *testenv.RedisServer, _ redis.UniversalClient) {
			server.Pause()
			<-time.After(500 * time.Millisecond)
			server.Resume()
		}},
		"script flush": {bound: allCutOff, inflict: func(t *testing.T, _ *rig, _ *testenv.RedisServer, admin redis.UniversalClient) {
			if err := admin.(*redis.Client).ScriptFlush(t.Context()).Err(); err != nil {
				t.Error(err)
			}
		}},
		"client kill": {bound: allCutOff, inflict: func(t *testing.T, _ *rig, _ *testenv.RedisServer, admin redis.UniversalClient) {
			if err := admin.(*redis.Client).ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
				t.Error(err)
			}
		}},
		"full memory": {bound: allCutOff, args: []string{"--maxmemory-policy", "noeviction"}, inflict: func(t *testing.T, r *rig, _ *testenv.RedisServer, admin redis.UniversalClient) {
			set := func(bytes string) {
				if err := admin.(*redis.Client).ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
					t.Error(err)
				}
			}
			set("1")
			r.await("degraded", r.degraded)
			set("0")
		}},
		"wrong password at the start": {bound: allCutOff, wrong: true, inflict: func(t *testing.T, r *rig, _ *testenv.RedisServer, admin redis.UniversalClient) {
			r.await("degraded", r.degraded)
			if err := admin.(*redis.Client).ConfigSet(t.Context(), "requirepass", "wrong").Err(); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedisServer(t, tt.args...)
			password, right := "", ""
			if tt.wrong {
				password, right = "wrong", "right"
				if err := client(t, server.Addr(), "").(*redis.Client).ConfigSet(t.Context(), "requirepass", right).Err(); err != nil {
					t.Fatal(err)
				}
			}
			r := newRig(t, client(t, server.Addr(), password), client(t, server.Addr(), password))
			admin := client(t, server.Addr(), right)
			r.run()
			r.await("half of the limit", func() bool { return r.admitted() >= rigEvents/4 })
			tt.inflict(t, r, server, admin)
			r.recovered()
			before := r.engines[0].Info().RoundTrips
			r.await("round trips", func() bool { return r.engines[0].Info().RoundTrips > before+5 })
			r.judge(tt.bound)
			r.toldOnce()
		})
	}
}

// toldOnce: losses and recoveries come in turn, never twice the same.
func (r *rig) toldOnce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.changes) > 40 {
		r.t.Errorf("%d changes were told", len(r.changes))
	}
	for _, c := range r.changes {
		if c.Degraded && c.Cause == nil {
			r.t.Error("a loss without a cause")
		}
	}
}

// TestSentinelFailover: what the replica did not have yet is lost, and no more.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := testenv.NewRedisServer(t)
	host, port, _ := net.SplitHostPort(master.Addr())
	replica := testenv.NewRedisServer(t, "--replicaof", host, port)
	sentinel := testenv.NewSentinel(t, master)
	info := client(t, replica.Addr(), "").(*redis.Client)
	watch := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
	t.Cleanup(func() { _ = watch.Close() })
	failover := func() redis.UniversalClient {
		c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testenv.SentinelMaster, SentinelAddrs: []string{sentinel},
			ContextTimeoutEnabled: true, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	r := newRig(t, failover(), failover())
	r.await("the replica", func() bool {
		known, err := watch.Replicas(t.Context(), testenv.SentinelMaster).Result()
		return err == nil && len(known) == 1 && strings.Contains(info.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	r.run()
	r.await("a part of the limit", func() bool { return r.admitted() >= rigEvents/4 })
	master.Kill()
	r.await("a new master", func() bool { return strings.Contains(info.Info(t.Context(), "replication").Val(), "role:master") })
	r.recovered()
	r.judge(allCutOff + 1)
}

// TestClusterResharding moves the slot of the counts from one node of a cluster to the
// other while they are in use.
func TestClusterResharding(t *testing.T) {
	t.Parallel()
	one, two := testenv.NewRedisServer(t, "--cluster-enabled", "yes"), testenv.NewRedisServer(t, "--cluster-enabled", "yes")
	from, to := client(t, one.Addr(), "").(*redis.Client), client(t, two.Addr(), "").(*redis.Client)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(from.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	host, port, _ := net.SplitHostPort(two.Addr())
	must(from.ClusterMeet(t.Context(), host, port).Err())
	cluster := func() redis.UniversalClient {
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{one.Addr(), two.Addr()}, ContextTimeoutEnabled: true, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	r := newRig(t, cluster(), cluster())
	r.await("the cluster", func() bool {
		return strings.Contains(from.ClusterInfo(t.Context()).Val(), "cluster_state:ok") &&
			strings.Contains(to.ClusterInfo(t.Context()).Val(), "cluster_state:ok") &&
			strings.Contains(to.ClusterInfo(t.Context()).Val(), "cluster_known_nodes:2")
	})
	r.run()
	r.await("a part of the limit", func() bool { return r.admitted() >= rigEvents/4 })
	slot := from.ClusterKeySlot(t.Context(), "{tollgate:rig}:epoch").Val()
	fromID, toID := from.ClusterMyID(t.Context()).Val(), to.ClusterMyID(t.Context()).Val()
	must(to.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
	must(from.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	for {
		keys := from.ClusterGetKeysInSlot(t.Context(), int(slot), 1).Val()
		if len(keys) == 0 {
			break
		}
		must(from.Do(t.Context(), "MIGRATE", host, port, keys[0], 0, 5000).Err())
	}
	must(to.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	must(from.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	r.recovered()
	before := r.engines[0].Info().RoundTrips
	r.await("round trips", func() bool { return r.engines[0].Info().RoundTrips > before+5 })
	r.judge(allCutOff)
	if n := to.HLen(t.Context(), "{tollgate:rig}:zone:5000000:k").Val(); n == 0 {
		t.Error("nothing is counted on the new node")
	}
}

// TestOnFailure: what each choice does while Redis is away.
func TestOnFailure(t *testing.T) {
	t.Parallel()
	for choice, want := range map[OnFailure]int{Share: 5, Closed: 0, Open: 20} {
		t.Run(string(choice), func(t *testing.T) {
			t.Parallel()
			e := NewEngine(EngineConfig{Store: NewRedis(RedisConfig{Client: client(t, "127.0.0.1:1", "")}), Nodes: 2})
			t.Cleanup(func() { _ = e.Close() })
			l, err := New(Config{Scope: "away", Name: "zone", Events: 10, Window: time.Hour, OnFailure: choice})
			if err != nil {
				t.Fatal(err)
			}
			allowed := 0
			for i := range 20 {
				d, err := e.Take(t.Context(), []Debit{{Limit: l, Key: "k"}}, nil)
				switch {
				case choice == Closed && !errors.Is(err, ErrUnavailable):
					t.Errorf("take %d: %+v, %v", i, d, err)
				case choice != Closed && (err != nil || !d.Degraded || !d.States[0].Degraded || d.Allowed == d.States[0].Short):
					t.Errorf("take %d: %+v, %v", i, d, err)
				case d.Allowed:
					allowed++
				}
			}
			if allowed != want {
				t.Errorf("%d allowed, want %d", allowed, want)
			}
			if info := e.Info(); !info.Degraded || len(info.Limits) != 1 || info.Limits[0].Degraded != 20 || fmt.Sprint(info.DegradedScopes) != "[away]" {
				t.Errorf("%+v", info)
			}
		})
	}
}
