package token

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// shards is how many locks the memory is spread over.
const shards = 32

// entry is a token that has been verified, and what that rests on.
type entry struct {
	token *Token
	keys  KeySource
	key   *jose.Key
	end   time.Time
	// used says that the token came again since the hand last passed.
	used atomic.Bool
}

// stands says whether the token would be verified again now.
func (e *entry) stands(now time.Time) bool {
	return now.Before(e.end) && e.keys.Holds(e.key)
}

// memory remembers verified tokens by their whole text: equality is exact, and
// neither a hash collision nor a re-encoded signature finds another's entry.
// Refused tokens are not remembered, so nobody can fill it with forgeries.
type memory struct {
	seed   maphash.Seed
	shards [shards]shard
}

func newMemory(size int) *memory {
	m := &memory{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].init(max(2, size/shards))
	}
	return m
}

func (m *memory) shard(raw string) *shard {
	return &m.shards[maphash.String(m.seed, raw)%shards]
}

// recall gives the remembered token, nil when there is none that stands.
func (m *memory) recall(raw string, now time.Time) *Token {
	s := m.shard(raw)
	e := s.find(raw)
	if e == nil {
		return nil
	}
	if !e.stands(now) {
		s.drop(raw, e)
		return nil
	}
	if !e.used.Load() { // a store would take the cache line from the other cores
		e.used.Store(true)
	}
	return e.token
}

func (m *memory) remember(raw string, e *entry) {
	m.shard(raw).add(strings.Clone(raw), e) // raw may be a piece of something larger
}

// shard is one part of the memory: a small queue for newcomers and a large ring
// for those that came twice. Tokens that are used once pass through the queue
// and leave the ring alone, however many there are.
type shard struct {
	mu      sync.RWMutex
	entries map[string]*entry
	newcome ring
	proven  ring
}

func (s *shard) init(size int) {
	s.entries = make(map[string]*entry)
	s.newcome.size = max(1, size/10)
	s.proven.size = size - s.newcome.size
}

func (s *shard) find(raw string) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[raw]
}

// drop forgets the token, unless it has been verified anew meanwhile. Its place
// in a ring stays taken until the hand comes by.
func (s *shard) drop(raw string, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[raw] == e {
		delete(s.entries, raw)
	}
}

func (s *shard) add(raw string, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[raw] != nil {
		return // somebody else verified it at the same time
	}
	s.entries[raw] = e
	leaver, full := s.newcome.push(slot{raw, e})
	if !full {
		return
	}
	if s.entries[leaver.raw] != leaver.entry {
		return // dropped already
	}
	if !leaver.entry.used.Swap(false) {
		delete(s.entries, leaver.raw)
		return
	}
	s.promote(leaver)
}

// promote moves a token to the ring, in the place of one that nobody used lately.
func (s *shard) promote(c slot) {
	for s.proven.full() {
		if old := s.proven.next(); s.entries[old.raw] != old.entry || !old.entry.used.Swap(false) {
			break
		}
		s.proven.skip()
	}
	old, full := s.proven.push(c)
	if full && s.entries[old.raw] == old.entry {
		delete(s.entries, old.raw)
	}
}

// slot is a place in a ring.
type slot struct {
	raw   string
	entry *entry
}

// ring is a queue of a fixed size that overwrites its oldest slot.
type ring struct {
	size  int
	hand  int
	slots []slot
}

func (r *ring) full() bool { return len(r.slots) == r.size }

// next is the slot that the next push overwrites.
func (r *ring) next() slot { return r.slots[r.hand] }

// skip spares that slot.
func (r *ring) skip() { r.hand = (r.hand + 1) % r.size }

// push puts a slot in, and gives the one that it overwrote.
func (r *ring) push(c slot) (old slot, overwrote bool) {
	if !r.full() {
		r.slots = append(r.slots, c)
		return slot{}, false
	}
	old = r.next()
	r.slots[r.hand] = c
	r.skip()
	return old, true
}
