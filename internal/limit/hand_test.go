package limit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// byHand is a store whose answers a test holds back, loses or refuses.
type byHand struct {
	mu      sync.Mutex
	twin    *twin
	now     func() time.Time
	away    bool
	flights int
	most    int // of flights at once
	// treat says what becomes of a batch after it was done: nil is an answer at once.
	treat func(*batch) (hold <-chan struct{}, lose bool)
}

func newByHand() *byHand { return &byHand{twin: newTwin(), now: time.Now} }

func (h *byHand) Take(context.Context, []Debit, []State) (Decision, error) {
	return Decision{}, errors.New("not for use")
}

func (h *byHand) send(b *batch, done func(*result, error)) {
	h.mu.Lock()
	h.flights++
	h.most = max(h.most, h.flights)
	h.mu.Unlock()
	go func() {
		res, err := h.do(b)
		h.mu.Lock()
		h.flights--
		h.mu.Unlock()
		done(res, err)
	}()
}

func (h *byHand) do(b *batch) (*result, error) {
	h.mu.Lock()
	if h.away {
		h.mu.Unlock()
		return nil, errors.New("refused")
	}
	res, treat := h.twin.run(b, h.now().UnixMicro()), h.treat
	h.mu.Unlock()
	if treat != nil {
		hold, lose := treat(b)
		if hold != nil {
			<-hold
		}
		if lose {
			return nil, errors.New("lost")
		}
	}
	return res, nil
}

func (h *byHand) beat(string, bool, func(int, error)) {}

func (h *byHand) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// used gives what the store counts.
func (h *byHand) used(l *Limit, key string) (used int64) {
	h.set(func() {
		if c := h.twin.cells[l.id+":"+key]; c != nil {
			used = l.shared.at(c, h.now().UnixMicro()).used
		}
	})
	return used
}

// holdTake holds the answer to the next take back until it is released, and tells that it was asked.
func (h *byHand) holdTake() (asked <-chan struct{}, release func()) {
	hold, came := make(chan struct{}), make(chan struct{})
	h.set(func() {
		h.treat = func(b *batch) (<-chan struct{}, bool) {
			if !b.has(opTake) {
				return nil, false
			}
			h.set(func() { h.treat = nil })
			close(came)
			return hold, false
		}
	})
	return came, func() { close(hold) }
}

func (b *batch) has(code opCode) bool {
	for _, o := range b.ops {
		if o.code == code {
			return true
		}
	}
	return false
}

func newHandNode(t *testing.T, h *byHand, c EngineConfig) *Engine {
	t.Helper()
	c.Store = h
	if c.Deadline == 0 {
		c.Deadline = 5 * time.Second
	}
	e := NewEngine(c)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// lose has the store be away until the engine knows.
func lose(t *testing.T, h *byHand, e *Engine, l *Limit) {
	t.Helper()
	h.set(func() { h.away = true })
	await(t, "the loss of the store", func() bool {
		_, _ = e.Take(t.Context(), []Debit{{Limit: l, Key: "nobody"}}, nil)
		return e.Info().Degraded
	})
}

func find(t *testing.T, h *byHand, e *Engine) {
	t.Helper()
	h.set(func() { h.away = false })
	await(t, "the store to be found", func() bool { return !e.Info().Degraded })
}

// TestShadowBesideALease: a strict limit in the shadow that is used up, beside one that is
// on lease: all is known here, and there is nothing to fetch for the shadow.
func TestShadowBesideALease(t *testing.T) {
	t.Parallel()
	e := newHandNode(t, newByHand(), EngineConfig{})
	debits := []Debit{
		{Limit: newKind(t, Config{Name: "shadow", Events: 1, Window: time.Hour, Shadow: true}), Key: "k"},
		{Limit: newKind(t, Config{Name: "busy", Events: 1_000_000, Window: time.Minute}), Key: "k"},
	}
	for i := range 5000 {
		d := mustTake(t, e, debits...)
		if !d.Allowed || d.States[0].Short != (i > 0) || d.States[1].Short {
			t.Fatalf("take %d: %+v", i, d)
		}
	}
	if trips := e.roundTrips.Load(); trips > 1000 {
		t.Errorf("%d round trips: what is on lease was asked for", trips)
	}
}

// TestShadowThatIsFull: where a limit in the shadow has no room for another key, nobody is
// refused for it.
func TestShadowThatIsFull(t *testing.T) {
	t.Parallel()
	store := NewMemory(MemoryConfig{MaxKeys: 1})
	shadow := newKind(t, Config{Name: "shadow", Events: 1, Window: time.Hour, Shadow: true})
	all := newKind(t, Config{Name: "all", Events: 10, Window: time.Hour})
	for i := range 3 {
		d := mustTake(t, store, Debit{Limit: shadow, Key: fmt.Sprint(i)}, Debit{Limit: all, Key: "k"})
		if !d.Allowed || d.States[0].Short != (i > 0) || d.States[1].Remaining != int64(9-i) {
			t.Errorf("take %d: %+v", i, d)
		}
	}
}

// TestChargeIsWaitedFor: while the store is being told of a charge, its word on the key is
// waited for. It is not out of reach, so nobody is refused, and nobody decides without it.
func TestChargeIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, fails := range []OnFailure{Share, Closed} {
		t.Run(string(fails), func(t *testing.T) {
			t.Parallel()
			h := newByHand()
			e, other := newHandNode(t, h, EngineConfig{}), newHandNode(t, h, EngineConfig{})
			l := newKind(t, Config{Name: "cost", Events: 10, Window: time.Hour, OnFailure: fails})
			debits := []Debit{{Limit: l, Key: "k"}}
			d := mustTake(t, e, debits...)
			if o := mustTake(t, other, Debit{Limit: l, Key: "k", Cost: 6}); !o.Allowed {
				t.Fatalf("%+v", o)
			}
			release, told, once := make(chan struct{}), make(chan struct{}), sync.Once{}
			h.set(func() {
				h.treat = func(b *batch) (<-chan struct{}, bool) {
					if b.has(opCharge) {
						once.Do(func() { close(told) })
						return release, false
					}
					return nil, false
				}
			})
			e.Settle(debits, d.States, []int64{3})
			<-told
			answers := make(chan Decision, 3)
			for range cap(answers) {
				go func() {
					d, err := e.Take(t.Context(), debits, nil)
					if err != nil || d.Degraded {
						t.Errorf("%+v, %v", d, err)
					}
					answers <- d
				}()
			}
			select {
			case d := <-answers:
				t.Errorf("decided without the store: %+v", d)
				answers <- d
			case <-time.After(50 * time.Millisecond):
			}
			close(release)
			allowed := 0
			for range cap(answers) {
				if (<-answers).Allowed {
					allowed++
				}
			}
			if allowed != 1 { // of ten, one and six were taken, and two charged
				t.Errorf("%d are let through, want 1", allowed)
			}
		})
	}
}

// TestOutageIsBounded: while the store is away, what a node has to tell it is of those whom
// it still remembers, and it is told in few flights at once.
func TestOutageIsBounded(t *testing.T) {
	t.Parallel()
	h, clock := newByHand(), newClock()
	h.now = clock.now
	e := newHandNode(t, h, EngineConfig{MaxKeys: minShardKeys, Clock: handClock{clock}})
	l := newKind(t, Config{Name: "address", Events: 10, Window: time.Second})
	lose(t, h, e, l)
	c := e.channel("kinds")
	untold := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.unsent)
	}
	for i := range 20_000 {
		_, _ = e.Take(t.Context(), []Debit{{Limit: l, Key: fmt.Sprint(i)}}, nil)
		if i%256 == 0 {
			clock.advance(2 * time.Second)
		}
	}
	if n := untold(); n > 2*minShardKeys {
		t.Errorf("%d callers are remembered for the store, of %d that count", n, minShardKeys)
	}
	clock.advance(2 * time.Second)
	const last = 1000
	for i := range last {
		if d := mustTake(t, e, Debit{Limit: l, Key: fmt.Sprint("last", i)}); !d.Allowed {
			t.Fatalf("%+v", d)
		}
	}
	h.set(func() { h.most = 0 })
	find(t, h, e)
	await(t, "all to be told", func() bool {
		told := 0
		for i := range last {
			told += int(h.used(l, fmt.Sprint("last", i)))
		}
		return told == last
	})
	h.set(func() {
		if h.most > maxFlights+2 {
			t.Errorf("%d flights at once", h.most)
		}
	})
}

// handClock has a time of its own, and waits in ours.
type handClock struct{ *clock }

func (c handClock) Now() time.Time { return c.now() }

func (c handClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// TestSlotsLeaveNothing: callers who come and go while others are under way take no room
// for ever.
// TestSlotsAfterAnOutage: what was under way without the store, and ended, takes no slot
// for good.
// TestSlotOfALostReply: the store has given a slot, and its answer was lost. The node's next
// word sets it right, or the slot would be gone for as long as the key is busy.
// TestSlotOfALateReply: a slot whose answer came too late is given back, and not one of
// those that the node has told of meanwhile.
// TestSlotsAreToldAgain: a node that the store has not heard of for long has lost its slots
// there, and still has them.
// TestChargeIsBounded: whatever an answer says that it has cost, a pace comes back.
func TestChargeIsBounded(t *testing.T) {
	t.Parallel()
	l := newKind(t, Config{Name: "pace", Kind: GCRA, Events: 1, Window: 24 * time.Hour})
	h := newByHand()
	for name, e := range map[string]*Engine{
		"memory": NewEngine(EngineConfig{Store: NewMemory(MemoryConfig{})}), "redis": newHandNode(t, h, EngineConfig{}),
	} {
		debits := []Debit{{Limit: l, Key: "k"}}
		d := mustTake(t, e, debits...)
		e.Settle(debits, d.States, []int64{MaxEvents})
		await(t, "the charge to be told", func() bool {
			in, err := e.Inspect(t.Context(), l, "k")
			if name == "memory" && in.Used == 1 {
				t.Fatal("nothing was charged")
			}
			return err == nil && in.Used > 1
		})
		in, err := e.Inspect(t.Context(), l, "k")
		if err != nil || in.Wait <= 0 || in.Wait > MaxWindow+24*time.Hour {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
		if d := mustTake(t, e, debits...); d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestResetUnderWay: a key is reset while a lease of it is on its way.
func TestResetUnderWay(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	l := newKind(t, Config{Name: "busy", Events: 100, Window: time.Minute})
	who := subject{series: e.registry.of(l), key: "k"}
	p := &pending{engine: e, channel: e.channel("kinds"), asks: []asked{{who: who, ask: ask{limit: l, key: "k", want: 9}}}}
	e.alive.Store(100) // a limit of so many nodes is not leased
	p.land(landing{sent: e.micros(), epoch: 1, allowed: true, answers: []answer{{extra: 9, used: 9}}})
}

// TestSlotsInTrouble: the bounds of shares hold for what is under way at once, too, and when
// the trouble is over, the store knows what each node has.
// flying gives the most requests that are in flight at once.
// settled: when no request is in flight any more and the store answers, it counts none. What
// a batch took that came twice, it counts until it takes the node for gone.
