package token

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// everyKey holds any key until it is closed.
type everyKey struct{ withdrawn atomic.Bool }

func (k *everyKey) Key(context.Context, string) (*jose.Key, error) { return nil, ErrUnknownKey }
func (k *everyKey) Holds(*jose.Key) bool                           { return !k.withdrawn.Load() }

var start = time.Unix(1800000000, 0)

func newEntry(keys KeySource) *entry {
	return &entry{token: &Token{}, keys: keys, key: &jose.Key{}, end: start.Add(time.Minute)}
}

func (m *memory) count() int {
	n := 0
	for i := range m.shards {
		n += len(m.shards[i].entries)
	}
	return n
}

func TestMemoryForgetsWhatNoLongerStands(t *testing.T) {
	t.Parallel()
	keys := new(everyKey)
	m := newMemory(100)
	m.remember("a", newEntry(keys))
	if m.recall("a", start) == nil || m.recall("b", start) != nil {
		t.Fatal("does not remember what it was told")
	}
	if m.recall("a", start.Add(time.Minute)) != nil || m.count() != 0 {
		t.Error("remembers an expired token")
	}
	m.remember("a", newEntry(keys))
	keys.withdrawn.Store(true)
	if m.recall("a", start) != nil || m.count() != 0 {
		t.Error("remembers a token whose key is gone")
	}
}

// However many tokens come, memory stays within its bound, and those that are in
// use are still there.
func TestMemoryUnderAFlood(t *testing.T) {
	t.Parallel()
	const size, working = 3200, 1000
	keys := new(everyKey)
	m := newMemory(size)
	use := func() (lost int) {
		for i := range working {
			raw := fmt.Sprint("working ", i)
			if m.recall(raw, start) == nil {
				lost++
				m.remember(raw, newEntry(keys))
			}
		}
		return lost
	}
	// Newcomers prove themselves by coming again before the queue has turned over.
	for i := range working {
		raw := fmt.Sprint("working ", i)
		m.remember(raw, newEntry(keys))
		m.recall(raw, start)
	}
	use()
	for round := range 20 {
		for i := range size {
			m.remember(fmt.Sprint("flood ", round, i), newEntry(keys))
		}
		if lost := use(); round > 0 && lost > working/20 {
			t.Errorf("round %d: %d of the working set lost", round, lost)
		}
		if n := m.count(); n > size {
			t.Fatalf("round %d: %d entries, the bound is %d", round, n, size)
		}
	}
}

// A token that is dropped and verified anew takes a second slot; the first one's end
// must not take the new entry along.
func TestMemoryKeepsANewEntryWhenTheOldSlotEnds(t *testing.T) {
	t.Parallel()
	keys := new(everyKey)
	var s shard
	s.init(20) // two newcomers
	old, renewed := newEntry(keys), newEntry(keys)
	s.add("a", old)
	s.drop("a", old)
	s.add("a", renewed)
	s.add("b", newEntry(keys)) // overwrites the old slot of a
	if s.find("a") != renewed {
		t.Error("the new entry went with the old slot")
	}
	s.drop("a", old)
	if s.find("a") != renewed {
		t.Error("the new entry was dropped for the old one")
	}
	s.add("c", newEntry(keys)) // overwrites the new slot of a, which nobody used
	if s.find("a") != nil {
		t.Error("an entry without a slot stays for ever")
	}
}

func TestMemoryHoldsManyGoroutines(t *testing.T) {
	t.Parallel()
	keys := new(everyKey)
	m := newMemory(64)
	done := make(chan struct{})
	for g := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 2000 {
				raw := fmt.Sprint((g + i) % 200)
				if m.recall(raw, start.Add(time.Duration(i%3)*30*time.Second)) == nil {
					m.remember(raw, newEntry(keys))
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
	if n := m.count(); n > 64 {
		t.Errorf("%d entries, the bound is 64", n)
	}
}
