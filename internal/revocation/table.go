package revocation

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// shards is how many locks a table is spread over.
const shards = 32

// minSweep is from how many entries on a shard is worth sweeping.
const minSweep = 64

// name is what a revocation is found by.
type name struct{ issuer, id string }

// entry is what is known of a name. Times are Unix milliseconds.
type entry struct {
	before int64 // tokens issued earlier are withdrawn; 0: all are
	until  int64
}

// merge keeps what withdraws more, for longer.
func (e entry) merge(other entry) entry {
	merged := entry{before: max(e.before, other.before), until: max(e.until, other.until)}
	if e.before == 0 || other.before == 0 {
		merged.before = 0
	}
	return merged
}

// table holds the revocations of one kind. Readers of an empty one take no lock, and
// most tables are empty most of the time.
type table struct {
	seed   maphash.Seed // secret, so that nobody can aim at one shard
	count  atomic.Int64
	shards [shards]shard
}

type shard struct {
	mu      sync.RWMutex
	entries map[name]entry
	sweepAt int
}

func (t *table) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.shards {
		t.shards[i].entries = make(map[name]entry)
	}
}

func (t *table) shard(id string) *shard {
	return &t.shards[maphash.String(t.seed, id)%shards]
}

// covers says whether a token of this name, issued at this time, is withdrawn.
func (t *table) covers(issuer, id string, issued time.Time) bool {
	if id == "" || t.count.Load() == 0 {
		return false
	}
	s := t.shard(id)
	s.mu.RLock()
	e, found := s.entries[name{issuer, id}]
	s.mu.RUnlock()
	return found && (e.before == 0 || issued.UnixMilli() < e.before)
}

// add takes an entry in. It says whether there was room in the shard.
func (t *table) add(n name, e entry, now int64, limit int) bool {
	s := t.shard(n.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, again := s.entries[n]; again {
		s.entries[n] = old.merge(e)
		return true
	}
	if len(s.entries) >= min(max(s.sweepAt, minSweep), limit) {
		t.count.Add(-int64(s.sweep(now)))
	}
	if len(s.entries) >= limit {
		return false
	}
	s.entries[n] = e
	t.count.Add(1)
	return true
}

// sweep forgets what has ended. The next one comes when the shard has doubled, so
// that its cost spreads over the additions.
func (s *shard) sweep(now int64) (forgotten int) {
	for n, e := range s.entries {
		if e.until <= now {
			delete(s.entries, n)
			forgotten++
		}
	}
	s.sweepAt = 2 * len(s.entries)
	return forgotten
}

// each calls f with what has not ended, one shard at a time.
func (t *table) each(now int64, f func(name, entry)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for n, e := range s.entries {
			if e.until > now {
				f(n, e)
			}
		}
		s.mu.RUnlock()
	}
}
