package dpop_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/redis/go-redis/v9"
)

// proofOf gives a proof of its own for each pair.
func proofOf(holder, id byte) dpop.ReplayKey {
	return dpop.ReplayKey{Holder: [32]byte{holder}, Proof: [32]byte{holder, id}}
}

func TestMemoryForgetsAfterTheWindow(t *testing.T) {
	t.Parallel()
	clock := now
	m := dpop.NewMemory(40, func() time.Time { return clock })
	use := func(id byte) bool {
		fresh, err := m.Use(t.Context(), proofOf(0, id), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	if !use(1) || use(1) || !use(2) {
		t.Error("does not tell proofs apart")
	}
	clock = clock.Add(time.Minute - 1)
	if use(1) {
		t.Error("forgets within the window")
	}
	clock = clock.Add(1)
	if !use(1) || use(1) {
		t.Error("remembers for ever")
	}
}

func TestFullMemoryFailsClosed(t *testing.T) {
	t.Parallel()
	clock := now
	m := dpop.NewMemory(2, func() time.Time { return clock })
	for id := range byte(2) {
		if fresh, err := m.Use(t.Context(), proofOf(id, 0), time.Minute); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	if fresh, err := m.Use(t.Context(), proofOf(9, 0), time.Minute); fresh || !errors.Is(err, dpop.ErrFull) {
		t.Errorf("beyond the bound: %v, %v", fresh, err)
	}
	if fresh, err := m.Use(t.Context(), proofOf(1, 0), time.Minute); fresh || err != nil {
		t.Errorf("a replay while it is full: %v, %v", fresh, err)
	}
	clock = clock.Add(time.Minute)
	if fresh, err := m.Use(t.Context(), proofOf(9, 0), time.Minute); !fresh || err != nil {
		t.Errorf("after the window: %v, %v", fresh, err)
	}
}

// TestOneKeyTakesItsShareOnly: a client that sends proofs as fast as it can refuses
// itself, and nobody else.
func TestOneKeyTakesItsShareOnly(t *testing.T) {
	t.Parallel()
	clock := now
	m := dpop.NewMemory(16*3, func() time.Time { return clock })
	use := func(holder, id byte) (bool, error) { return m.Use(t.Context(), proofOf(holder, id), time.Minute) }
	for id := range byte(3) {
		if fresh, err := use(1, id); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	if fresh, err := use(1, 9); fresh || !errors.Is(err, dpop.ErrHolderFull) {
		t.Errorf("beyond the share: %v, %v", fresh, err)
	}
	if fresh, err := use(1, 2); fresh || err != nil {
		t.Errorf("a replay at the bound: %v, %v", fresh, err)
	}
	for id := range byte(3) {
		if fresh, err := use(2, id); !fresh || err != nil {
			t.Errorf("another key: %v, %v", fresh, err)
		}
	}
	clock = clock.Add(time.Minute)
	if fresh, err := use(1, 9); !fresh || err != nil {
		t.Errorf("after the window: %v, %v", fresh, err)
	}
}

// passes uses one proof fifty times at once, over the stores in turn.
func passes(t *testing.T, stores ...dpop.ReplayStore) int32 {
	t.Helper()
	var passed atomic.Int32
	var callers sync.WaitGroup
	for i := range 50 {
		callers.Go(func() {
			fresh, err := stores[i%len(stores)].Use(t.Context(), proofOf(7, 0), time.Minute)
			if err != nil {
				t.Error(err)
			}
			if fresh {
				passed.Add(1)
			}
		})
	}
	callers.Wait()
	return passed.Load()
}

func TestMemoryLetsOneOfFiftyPass(t *testing.T) {
	t.Parallel()
	if n := passes(t, dpop.NewMemory(0, nil)); n != 1 {
		t.Errorf("%d passed", n)
	}
}

// Two nodes share a Redis.
func TestRedis(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	connect := func() *redis.Client {
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	first, second := connect(), connect()
	if n := passes(t, dpop.NewRedis(first), dpop.NewRedis(second)); n != 1 {
		t.Errorf("%d of fifty passed", n)
	}
	if fresh, err := dpop.NewRedis(first).Use(t.Context(), proofOf(8, 0), time.Minute); !fresh || err != nil {
		t.Errorf("another proof: %v, %v", fresh, err)
	}
	names, err := first.Keys(t.Context(), "dpop:*").Result()
	if err != nil || len(names) != 2 {
		t.Fatalf("keys %v, %v", names, err)
	}
	for _, name := range names {
		if ttl := first.PTTL(t.Context(), name).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("%s ends in %v", name, ttl)
		}
	}
	server.Kill()
	if fresh, err := dpop.NewRedis(second).Use(t.Context(), proofOf(9, 0), time.Minute); fresh || err == nil {
		t.Errorf("without Redis: %v, %v", fresh, err)
	}
}
