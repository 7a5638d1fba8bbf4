package limit

import (
	"fmt"
	"testing"
	"time"
)

// TestGivesGoOnAfterAnOutage: a probe takes nothing along that is given back, so what is given
// back after it goes, and Close comes to an end.
func TestGivesGoOnAfterAnOutage(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	l := newKind(t, Config{Name: "busy", Events: 100_000, Window: 10 * time.Second})
	for range 200 {
		mustTake(t, e, Debit{Limit: l, Key: "k"})
	}
	lose(t, h, e, l)
	c := e.channel(l.scope)
	c.giveBack(subject{series: e.registry.of(l), key: "k"}, l, receipt{how: debitedStore}, 1) // as of a lease that ends meanwhile
	find(t, h, e)
	c.giveBack(subject{series: e.registry.of(l), key: "k"}, l, receipt{how: debitedStore}, 1)
	await(t, "what is given back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.gives) == 0 && !c.giving
	})
	_ = e.Close()
	await(t, "the last flight", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.flights == 0 && c.empty == nil
	})
}

// TestSharesOfSeveralLimits: what a node admits by its share counts in each of the limits, also
// where all of them are new to it.
func TestSharesOfSeveralLimits(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	first, second := newKind(t, Config{Name: "first", Events: 3, Window: time.Hour}), newKind(t, Config{Name: "second", Events: 1000, Window: time.Hour})
	third := newKind(t, Config{Name: "third", Events: 1000, Window: time.Hour})
	lose(t, h, e, first)
	for i := range 50 {
		key, passed := fmt.Sprint("key", i), 0
		for range 8 {
			if mustTake(t, e, Debit{Limit: first, Key: key}, Debit{Limit: second, Key: key}, Debit{Limit: third, Key: key}).Allowed {
				passed++
			}
		}
		if passed != 3 {
			t.Errorf("%s: %d passed of 3", key, passed)
		}
	}
}

// TestResetBesideADecision: a reset of one limit while a decision waits for another.
func TestResetBesideADecision(t *testing.T) {
	t.Parallel()
	h := newByHand()
	e := newHandNode(t, h, EngineConfig{})
	busy := newKind(t, Config{Name: "busy", Events: 100_000, Window: time.Minute})
	strict := newKind(t, Config{Name: "strict", Events: 1, Window: time.Hour})
	for range 50 {
		mustTake(t, e, Debit{Limit: busy, Key: "k"})
	}
	other := newHandNode(t, h, EngineConfig{})
	mustTake(t, other, Debit{Limit: strict, Key: "k"})
	asked, release := h.holdTake()
	decided := make(chan Decision)
	go func() {
		d, err := e.Take(t.Context(), []Debit{{Limit: busy, Key: "k"}, {Limit: strict, Key: "k"}}, nil)
		if err != nil {
			t.Error(err)
		}
		decided <- d
	}()
	<-asked
	if err := e.Reset(t.Context(), busy, "k"); err != nil {
		t.Fatal(err)
	}
	release()
	if d := <-decided; d.Allowed {
		t.Errorf("%+v", d)
	}
}
