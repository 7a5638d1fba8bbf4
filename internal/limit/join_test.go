package limit

import (
	"context"
	"errors"
	"testing"
	"time"
)

// held is a store that answers when it is told to, and a clock that stands still.
type held struct {
	twin    *twin
	now     time.Time
	batches []func()
	timers  []func()
}

func (h *held) Now() time.Time { return h.now }

func (h *held) AfterFunc(_ time.Duration, f func()) func() bool {
	h.timers = append(h.timers, f)
	return func() bool { return true }
}

// Take makes it a Store; engines do not call it.
func (h *held) Take(context.Context, []Debit, []State) (Decision, error) {
	return Decision{}, errors.New("not for use")
}

func (h *held) send(b *batch, done func(*result, error)) {
	h.batches = append(h.batches, func() { done(h.twin.run(b, h.now.UnixMicro()), nil) })
}

func (h *held) beat(string, bool, func(int, error)) {}

// answer has the store answer what it was asked until now.
func (h *held) answer() (batches int) {
	asked := h.batches
	h.batches = nil
	for _, b := range asked {
		b()
	}
	return len(asked)
}

// ask begins a decision, and gives what says whether it has ended, and how.
func (h *held) ask(e *Engine, l *Limit) func() (done bool, d Decision) {
	done, last := false, Decision{}
	var follow func(d Decision, p *pending, err error)
	follow = func(d Decision, p *pending, err error) {
		if p == nil {
			done, last = err == nil, d
			return
		}
		p.notify = func() { h.timers = append(h.timers, func() { follow(e.finish(p, nil)) }) }
		e.await(p)
	}
	follow(e.begin([]Debit{{Limit: l, Key: "busy"}}, nil))
	return func() (bool, Decision) { return done, last }
}

// run does what has been put off, but for what is a matter of time: the first timers are
// those of patience, and of beats.
func (h *held) run(from int) {
	timers := h.timers[from:]
	h.timers = h.timers[:from]
	for _, f := range timers {
		f()
	}
}

func newHeld(t *testing.T) (*held, *Engine, *Limit) {
	t.Helper()
	h := &held{twin: newTwin(), now: time.UnixMicro(1_700_000_000_123_456)}
	e := NewEngine(EngineConfig{Store: h, Clock: h, MaxKeys: minShardKeys})
	l, err := New(Config{Scope: "join", Name: "zone", Events: 1000, Window: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return h, e, l
}

// warm makes the key a busy one, of which the units have run out.
func (h *held) warm(e *Engine, l *Limit) {
	h.ask(e, l)
	h.answer()
	s := e.shard(subject{series: e.registry.of(l), key: "busy"})
	for _, it := range s.items {
		it.value.lease.rate = 0.001 // a thousand a second
	}
}

// TestRequestsShareAFetch: of many requests of a key whose units have run out one asks, and
// the others wait for what it has asked for.
func TestRequestsShareAFetch(t *testing.T) {
	t.Parallel()
	h, e, l := newHeld(t)
	h.warm(e, l)
	first := h.ask(e, l)
	var others []func() (bool, Decision)
	for range 20 {
		others = append(others, h.ask(e, l))
	}
	from := len(h.timers)
	if n := h.answer(); n != 1 {
		t.Errorf("the store was asked %d times, want once for all", n)
	}
	h.run(from)
	if done, d := first(); !done || !d.Allowed {
		t.Errorf("the first: %v %+v", done, d)
	}
	for i, other := range others {
		if done, d := other(); !done || !d.Allowed || !d.States[0].Leased {
			t.Errorf("%d: %v %+v", i, done, d)
		}
	}
}

// TestANoHoldsForThoseWhoWait for the same fetch.
func TestANoHoldsForThoseWhoWait(t *testing.T) {
	t.Parallel()
	h, e, l := newHeld(t)
	h.warm(e, l)
	h.ask(e, l)
	other := h.ask(e, l)
	h.twin.stingy = true // says no to the first
	h.twin.cell(ask{limit: l, key: "busy"}).debit(l.shared.grid.index(h.now.UnixMicro()), l.shared.events-2)
	from := len(h.timers)
	h.answer()
	h.run(from)
	if done, d := other(); !done || d.Allowed || !d.States[0].Leased {
		t.Errorf("what the store said to one holds for the other: %v %+v", done, d)
	}
}

// TestAFetchThatIsNotSent: who has waited in the queue for too long is not sent, and what it
// wanted is not waited for either.
func TestAFetchThatIsNotSent(t *testing.T) {
	t.Parallel()
	h, e, l := newHeld(t)
	h.warm(e, l)
	c := e.channel("join")
	c.flights = maxFlights // others have all of them
	p := func() *pending {
		_, p, _ := e.begin([]Debit{{Limit: l, Key: "busy"}}, nil)
		return p
	}()
	e.await(p)
	if _, _, err := e.finish(p, nil); err != nil || len(h.batches) != 0 {
		t.Fatal(err, len(h.batches))
	}
	c.flights--
	c.submit(&pending{engine: e, channel: c, asks: []asked{{who: p.asks[0].who, ask: ask{limit: l, key: "busy"}}}})
	h.answer()
	for _, it := range e.shard(p.asks[0].who).items {
		if it.value.lease.wanted != 0 {
			t.Errorf("%d are wanted for ever", it.value.lease.wanted)
		}
	}
}
