package limit

import (
	"testing"
	"time"
)

// TestDenialOfAnotherCost: what is remembered of a no is not the wait of a larger cost.
func TestDenialOfAnotherCost(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]*Limit{
		"gcra":    newKind(t, Config{Name: "gcra", Kind: GCRA, Events: 10, Window: 10 * time.Second}),
		"sliding": newKind(t, Config{Name: "sliding", Events: 10, Window: 10 * time.Second}),
	} {
		e, fresh := newHandNode(t, newByHand(), EngineConfig{}), newHandNode(t, newByHand(), EngineConfig{})
		fresh.remote = e.remote
		for range 5 {
			mustTake(t, e, Debit{Limit: l, Key: "k", Cost: 2})
			time.Sleep(time.Millisecond) // so that units are of different times
		}
		mustTake(t, e, Debit{Limit: l, Key: "k", Cost: 1})
		got, want := mustTake(t, e, Debit{Limit: l, Key: "k", Cost: 10}), mustTake(t, fresh, Debit{Limit: l, Key: "k", Cost: 10})
		if got.Allowed || want.Allowed || got.Wait() < want.Wait()-100*time.Millisecond {
			t.Errorf("%s: wait %v, the store says %v", name, got.Wait(), want.Wait())
		}
	}
}

// TestUnheardIsNotTold: a no by memory does not say how much is left of a limit that was not asked.
func TestUnheardIsNotTold(t *testing.T) {
	t.Parallel()
	e := newHandNode(t, newByHand(), EngineConfig{})
	short, other := newKind(t, Config{Name: "short", Events: 1, Window: time.Hour}), newKind(t, Config{Name: "other", Events: 5, Window: time.Hour})
	mustTake(t, e, Debit{Limit: short, Key: "k"})
	mustTake(t, e, Debit{Limit: short, Key: "k"})
	d := mustTake(t, e, Debit{Limit: short, Key: "k"}, Debit{Limit: other, Key: "k"})
	if d.Allowed || !d.States[0].Short || d.States[0].Unheard || !d.States[1].Unheard {
		t.Errorf("%+v", d)
	}
}
