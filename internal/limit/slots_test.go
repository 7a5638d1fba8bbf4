package limit

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSlotsLeaveNothing(t *testing.T) {
	t.Parallel()
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 2})
	clock := newClock()
	for name, e := range map[string]*Engine{
		"memory": NewEngine(EngineConfig{Store: NewMemory(MemoryConfig{MaxKeys: 64, Now: clock.now})}),
		"redis":  newHandNode(t, newByHand(), EngineConfig{MaxKeys: 64, Clock: handClock{clock}}),
	} {
		long := Debit{Limit: l, Key: "long"}
		held := mustTake(t, e, long)
		var before []Debit
		var states []State
		for i := range 200 {
			debits := []Debit{{Limit: l, Key: fmt.Sprint(i)}}
			d, err := e.Take(t.Context(), debits, nil)
			if err != nil || !d.Allowed {
				t.Fatalf("%s: caller %d: %+v, %v", name, i, d, err)
			}
			e.Release(before, states)
			before, states = debits, d.States
			clock.advance(100 * time.Millisecond)
			if e.memory == nil && i%16 == 15 { // what has come back is told in real time
				e.sweep()
				c := e.channel(l.scope)
				await(t, "the store to hear of free slots", func() bool {
					c.mu.Lock()
					defer c.mu.Unlock()
					return len(c.unsent) == 0 && c.flights == 0
				})
			}
		}
		if d := mustTake(t, e, long); !d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
		if d := mustTake(t, e, long); d.Allowed {
			t.Errorf("%s: what is under way for long was forgotten: %+v", name, d)
		}
		e.Release([]Debit{long}, held.States)
	}
}

func TestSlotsAfterAnOutage(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 3})
	debits := []Debit{{Limit: l, Key: "k"}}
	lose(t, h, e, l)
	d := mustTake(t, e, debits...)
	if !d.Allowed || !d.Degraded {
		t.Fatalf("%+v", d)
	}
	e.Release(debits, d.States)
	find(t, h, e)
	for i := range 10 {
		d := mustTake(t, e, debits...)
		if !d.Allowed {
			t.Fatalf("request %d of one at a time: %+v", i, d)
		}
		e.Release(debits, d.States)
	}
	await(t, "the slots to be free", func() bool { return h.used(l, "k") == 0 })
}

func TestSlotOfALostReply(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 3, OnFailure: Closed})
	debits := []Debit{{Limit: l, Key: "k"}}
	first := mustTake(t, e, debits...)
	h.set(func() { h.treat = func(b *batch) (<-chan struct{}, bool) { return nil, b.has(opTake) } })
	if d, err := e.Take(t.Context(), debits, nil); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("%+v, %v", d, err)
	}
	h.set(func() { h.treat = nil })
	second := mustTake(t, e, debits...)
	if !second.Allowed {
		t.Fatalf("%+v", second)
	}
	await(t, "the slot to be free", func() bool { return h.used(l, "k") == 2 })
	e.Release(debits, first.States)
	e.Release(debits, second.States)
	await(t, "the slots to be free", func() bool { return h.used(l, "k") == 0 })
}

func TestSlotOfALateReply(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{Deadline: 50 * time.Millisecond})
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 2})
	debits := []Debit{{Limit: l, Key: "k"}}
	for range 2 { // the first one may be late by chance, on a busy machine
		d, err := e.Take(t.Context(), []Debit{{Limit: l, Key: "warm"}}, nil)
		if err == nil {
			e.Release([]Debit{{Limit: l, Key: "warm"}}, d.States)
		}
	}
	if d := mustTake(t, e, debits...); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	release, once := make(chan struct{}), sync.Once{}
	h.set(func() {
		h.treat = func(b *batch) (hold <-chan struct{}, lose bool) {
			if b.has(opTake) {
				once.Do(func() { hold = release })
			}
			return hold, false
		}
	})
	if d := mustTake(t, e, debits...); !d.Allowed || !d.Degraded { // of its share
		t.Fatalf("%+v", d)
	}
	await(t, "the store to be found", func() bool { return !e.Info().Degraded && h.used(l, "k") >= 2 })
	close(release)
	for range 20 { // until what is late has settled
		time.Sleep(5 * time.Millisecond)
		if n := h.used(l, "k"); n < 2 {
			t.Fatalf("the store counts %d of 2 under way", n)
		}
	}
	await(t, "the store to be right", func() bool { return h.used(l, "k") == 2 })
}

func TestSlotsAreToldAgain(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 2})
	if d := mustTake(t, e, Debit{Limit: l, Key: "k"}); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	h.set(func() { clear(h.twin.cells) })
	e.channel("kinds").refreshSlots()
	await(t, "the slot to be told", func() bool { return h.used(l, "k") == 1 })
}

func TestSlotsInTrouble(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*scenario)
		bound  func(*sim, *simKey) int64
	}{
		"late, lost and closed": {func(s *scenario) { s.Fails, s.Cuts, s.Away = Closed, true, true }, (*sim).limitOf},
		"nodes cut off":         {func(s *scenario) { s.Cuts = true }, (*sim).cutOff},
		"all cut off":           {func(s *scenario) { s.Away = true }, (*sim).cutOff},
		"restarts":              {func(s *scenario) { s.Restarts = true }, (*sim).restarted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				s := newSim(scenarios(func(t *rapid.T, s *scenario) {
					s.Kind, s.Fails, s.Costs = Concurrency, Share, false
					s.Events = rapid.SampledFrom([]int64{1, 3, 10}).Draw(t, "slots")
					tt.change(s)
				}).Draw(rt, "scenario"))
				s.run()
				if len(s.faults) > 0 {
					rt.Fatal(s.faults[0])
				}
				for _, who := range s.keys[:2] {
					if most := s.flying(who); most > tt.bound(s, who) {
						rt.Fatalf("%d in flight of %d, the bound is %d", most, s.Events, tt.bound(s, who))
					}
				}
				s.settled(rt)
			})
		})
	}
}

func (s *sim) flying(who *simKey) (most int64) {
	for _, x := range s.spends[who] {
		flying := int64(0)
		for _, y := range s.spends[who] {
			if y.at <= x.at && x.at < y.at+y.cost {
				flying++
			}
		}
		most = max(most, flying)
	}
	return most
}

func (s *sim) settled(t *rapid.T) {
	wait := int64(10_000_000)
	if s.Doubled > 0 {
		wait += slotLife.Microseconds()
	}
	s.away, s.Lost, s.Late = false, 0, 0
	for _, n := range s.nodes {
		n.cut = false
	}
	s.until(s.now + wait)
	for _, who := range s.keys[:2] {
		c := s.twin.cells[s.nodes[0].limit.id+":"+who.name]
		if c == nil {
			continue
		}
		for node, slot := range c.slots {
			if slot.until > s.redisNow() && slot.taken != 0 {
				t.Fatalf("node %s has %d slots of %s, and no request", node, slot.taken, who.name)
			}
		}
	}
}

// TestSlotWaitsForAnotherLimit: a slot that a decision has taken while it asks for another
// limit is in use, whatever the store is told meanwhile.
func TestSlotWaitsForAnotherLimit(t *testing.T) {
	t.Parallel()
	h := newByHand()
	a, b := newHandNode(t, h, EngineConfig{}), newHandNode(t, h, EngineConfig{})
	slots := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 2})
	strict := newKind(t, Config{Name: "strict", Events: 2, Window: time.Hour})
	warm := []Debit{{Limit: slots, Key: "k"}}
	d := mustTake(t, a, warm...)
	a.Release(warm, d.States) // the node keeps the slot for a moment

	both := []Debit{{Limit: slots, Key: "k"}, {Limit: strict, Key: "k"}}
	asked, release := h.holdTake()
	decided := make(chan Decision)
	go func() {
		d, err := a.Take(t.Context(), both, nil)
		if err != nil {
			t.Error(err)
		}
		decided <- d
	}()
	<-asked
	c := a.channel(slots.scope)
	c.occupied(subject{series: a.registry.of(slots), key: "k"}, slots, true)
	c.refreshSlots() // as it does every few seconds
	await(t, "the store to be told", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.unsent) == 0 && c.flights == 1
	})
	flying := 0
	for range 2 {
		if mustTake(t, b, warm...).Allowed {
			flying++
		}
	}
	release()
	if (<-decided).Allowed {
		flying++
	}
	if flying > 2 {
		t.Errorf("%d in flight of 2", flying)
	}
}

// TestResetKeepsSlots: a reset lets nobody in beside those who are there.
func TestResetKeepsSlots(t *testing.T) {
	t.Parallel()
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 1})
	for name, e := range map[string]*Engine{
		"memory": NewEngine(EngineConfig{Store: NewMemory(MemoryConfig{})}),
		"redis":  newHandNode(t, newByHand(), EngineConfig{}),
	} {
		debits := []Debit{{Limit: l, Key: "k"}}
		held := mustTake(t, e, debits...)
		if err := e.Reset(t.Context(), l, "k"); err != nil {
			t.Fatal(err)
		}
		if e.memory == nil {
			await(t, "the store to hear of it", func() bool {
				c := e.channel(l.scope)
				c.mu.Lock()
				defer c.mu.Unlock()
				return len(c.unsent) == 0 && c.flights == 0
			})
		}
		if d := mustTake(t, e, debits...); d.Allowed {
			t.Errorf("%s: two are under way of one: %+v", name, d)
		}
		e.Release(debits, held.States)
		next := mustTake(t, e, debits...)
		if !next.Allowed || mustTake(t, e, debits...).Allowed {
			t.Errorf("%s: after the end of the first: %+v", name, next)
		}
	}
}

// TestSlotsNeedRoom: a slot that a node has no room to remember is not given.
func TestSlotsNeedRoom(t *testing.T) {
	t.Parallel()
	e := newHandNode(t, newByHand(), EngineConfig{MaxKeys: 8})
	l := newKind(t, Config{Name: "slots", Kind: Concurrency, Events: 2})
	passed := 0
	for i := range 50 {
		d, err := e.Take(t.Context(), []Debit{{Limit: l, Key: fmt.Sprint(i)}}, nil)
		if err == nil && d.Allowed {
			passed++
		} else if !errors.Is(err, ErrFull) {
			t.Fatalf("caller %d: %+v, %v", i, d, err)
		}
	}
	if kept := sum(e.table.keys()); passed != kept {
		t.Errorf("%d are in flight, and %d are remembered", passed, kept)
	}
}
