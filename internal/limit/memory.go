package limit

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"time"
)

const (
	defaultMaxKeys = 1 << 18
	maxShards      = 64
	// Below this many keys a shard of its own is not worth it.
	minShardKeys = 1024
)

// MemoryConfig sets a Memory up. Its zero value is usable.
type MemoryConfig struct {
	// MaxKeys bounds how many subjects each limit counts at once: 262,144 when zero.
	// It is for each limit alone, so that strangers who make up subjects for one of
	// them refuse nobody in another. They are spread over shards that fill unevenly,
	// by a few percent.
	MaxKeys int
	// Now is the clock: time.Now when nil.
	Now func() time.Time
}

// Memory counts in this process.
type Memory struct {
	now    func() time.Time
	start  time.Time
	seed   maphash.Seed // secret, so that no caller can aim at one shard
	shards []shard      // a power of two
}

// NewMemory makes an empty store.
func NewMemory(c MemoryConfig) *Memory {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxKeys <= 0 {
		c.MaxKeys = defaultMaxKeys
	}
	shards := 1 << (bits.Len(uint(min(max(c.MaxKeys/minShardKeys, 1), maxShards))) - 1)
	m := &Memory{now: c.Now, start: c.Now(), seed: maphash.MakeSeed(), shards: make([]shard, shards)}
	for i := range m.shards {
		m.shards[i].capacity = (c.MaxKeys + shards - 1) / shards
		m.shards[i].entries = make(map[subject]*entry)
		m.shards[i].held = make(map[string]int)
	}
	return m
}

// Take implements Store.
func (m *Memory) Take(_ context.Context, debits []Debit, into []State) (Decision, error) {
	if err := check(debits); err != nil {
		return Decision{}, err
	}
	var t take
	for i, d := range debits {
		t.subjects[i] = subject{limit: d.Limit.id, key: boundKey(d.Key)}
		t.shards[i] = m.shardOf(t.subjects[i].key)
	}
	locked := m.lock(t.shards[:len(debits)])
	defer m.unlock(locked)
	// Under the locks: a time read before them could be old by now, and what is
	// counted in a bucket too old stops counting too soon.
	t.now = m.micros()
	return t.decide(m, debits, into)
}

// micros gives the time on the grid. Between the start and now it follows the
// monotonic clock, which nobody can set back.
func (m *Memory) micros() int64 {
	return m.start.UnixMicro() + m.now().Sub(m.start).Microseconds()
}

func (m *Memory) shardOf(key string) int {
	return int(maphash.String(m.seed, key) & uint64(len(m.shards)-1))
}

// shardSet is a set of shard numbers.
type shardSet uint64

// lock takes the locks of the shards in ascending order, so that two decisions
// never wait for each other.
func (m *Memory) lock(shards []int) shardSet {
	var set shardSet
	for _, s := range shards {
		set |= 1 << s
	}
	for rest := set; rest != 0; rest &= rest - 1 {
		m.shards[bits.TrailingZeros64(uint64(rest))].Lock()
	}
	return set
}

func (m *Memory) unlock(set shardSet) {
	for ; set != 0; set &= set - 1 {
		m.shards[bits.TrailingZeros64(uint64(set))].Unlock()
	}
}

// take is one decision while its shards are locked.
type take struct {
	now      int64
	subjects [MaxDebits]subject
	shards   [MaxDebits]int
	entries  [MaxDebits]*entry // nil where nothing is counted yet
	current  [MaxDebits]int64  // bucket
}

func (t *take) decide(m *Memory, debits []Debit, into []State) (Decision, error) {
	allowed := true
	for i, d := range debits {
		t.entries[i] = m.shards[t.shards[i]].entries[t.subjects[i]]
		if t.entries[i] == nil {
			continue
		}
		t.current[i] = t.entries[i].advance(d.Limit.grid, t.now)
		allowed = allowed && t.entries[i].used < d.Limit.events
	}
	if allowed {
		if err := t.debit(m, debits); err != nil {
			return Decision{}, err
		}
	}
	for i, d := range debits {
		into = append(into, t.state(i, d.Limit, allowed))
	}
	return Decision{Allowed: allowed, States: into}, nil
}

// debit counts in every entry. Those that exist come first: from then on they
// count, so that making room for the others cannot evict them.
func (t *take) debit(m *Memory, debits []Debit) error {
	for i, d := range debits {
		if t.entries[i] != nil {
			t.entries[i].count(d.Limit.grid, t.current[i])
		}
	}
	for i, d := range debits {
		if t.entries[i] != nil {
			continue
		}
		e := m.shards[t.shards[i]].insert(t.subjects[i], t.now)
		if e == nil {
			t.undo(len(debits))
			return fmt.Errorf("%w: %s", ErrFull, d.Limit.id)
		}
		e.count(d.Limit.grid, e.advance(d.Limit.grid, t.now))
		t.entries[i] = e
	}
	return nil
}

// undo takes back what debit has counted: every entry that is there by now.
func (t *take) undo(n int) {
	for _, e := range t.entries[:n] {
		if e != nil {
			e.undo()
		}
	}
}

func (t *take) state(i int, l *Limit, allowed bool) State {
	e := t.entries[i]
	if e == nil {
		return newState(l, 0, 0, allowed)
	}
	return newState(l, e.used, e.wait(l, t.now), allowed)
}

// subject is who is counted under which limit.
type subject struct{ limit, key string }
