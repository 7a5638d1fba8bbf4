package limit

import (
	"container/heap"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
)

const (
	defaultMaxKeys = 1 << 18
	maxShards      = 64
	// Below this many keys a shard of its own is not worth it.
	minShardKeys = 1024
	// lookAgain is after how many microseconds to look again at what could not go.
	lookAgain = 1_000_000
	// maxLooks is how many old subjects are looked at to make room for a new one.
	maxLooks = 64
)

// subject is who is counted under which limit.
type subject struct {
	series *series
	key    string
}

// table holds something for each subject, a bounded number for each limit. It is for
// each limit alone, so that strangers who make up subjects for one of them take
// no room from another.
type table[T any] struct {
	seed   maphash.Seed // secret, so that no caller can aim at one shard
	shards []shard[T]   // a power of two
}

// shard holds a part of the subjects under a lock of its own.
type shard[T any] struct {
	sync.Mutex
	capacity int // of each limit
	items    map[subject]*item[T]
	held     map[*series]int // how many of them a limit has
	queue    queue[T]
	letGo    func(*item[T]) bool // hears what is about to be forgotten, and may keep it
	_        [64]byte            // keeps two locks off the same cache line
}

// item is what a subject has.
type item[T any] struct {
	subject
	value T
	until int64 // the time from which it may be forgotten
	due   int64 // when evict looks at it: never later than until, unless it is in use
}

func newTable[T any](maxKeys int, letGo func(*item[T]) bool) *table[T] {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	shards := 1 << (bits.Len(uint(min(max(maxKeys/minShardKeys, 1), maxShards))) - 1)
	t := &table[T]{seed: maphash.MakeSeed(), shards: make([]shard[T], shards)}
	for i := range t.shards {
		t.shards[i].capacity = (maxKeys + shards - 1) / shards
		t.shards[i].items = make(map[subject]*item[T])
		t.shards[i].held = make(map[*series]int)
		t.shards[i].letGo = letGo
	}
	return t
}

func (t *table[T]) shardOf(key string) int {
	return int(maphash.String(t.seed, key) & uint64(len(t.shards)-1))
}

// shardSet is a set of shard numbers.
type shardSet uint64

// lock takes the locks of the shards in ascending order, so that two decisions
// never wait for each other.
func (t *table[T]) lock(set shardSet) {
	for ; set != 0; set &= set - 1 {
		t.shards[bits.TrailingZeros64(uint64(set))].Lock()
	}
}

func (t *table[T]) unlock(set shardSet) {
	for ; set != 0; set &= set - 1 {
		t.shards[bits.TrailingZeros64(uint64(set))].Unlock()
	}
}

// keys counts the subjects of each limit.
func (t *table[T]) keys() map[*series]int {
	total := make(map[*series]int)
	for i := range t.shards {
		t.shards[i].Lock()
		for s, n := range t.shards[i].held {
			total[s] += n
		}
		t.shards[i].Unlock()
	}
	return total
}

// newItem makes what insert adds. On the path of requests it is called without a lock: the
// collector has who allocates work for it, for milliseconds at times, and nobody else should
// wait for that.
func newItem[T any](who subject) *item[T] {
	who.key = strings.Clone(who.key) // it may be a small part of a large request
	return &item[T]{subject: who}
}

// insert adds an item, or gives nil when the limit has all that it may have here and
// no room is found among those that are due: a few looks, so that nobody waits for a
// shard to be gone through. Each new one pays for a look at two old ones, which gives
// memory back before it is short.
func (s *shard[T]) insert(e *item[T], now int64) *item[T] {
	for range 2 {
		s.evict(now)
	}
	for looks := 0; s.held[e.series] >= s.capacity; looks++ {
		if looks == maxLooks || !s.evict(now) {
			return nil
		}
	}
	s.items[e.subject] = e
	s.held[e.series]++
	heap.Push(&s.queue, e)
	return e
}

// evict looks at the item that is due first: it goes when it no longer counts, and is
// due again later when it was used meanwhile, or is in use. It gives false when none is
// due, which means that all of them count.
func (s *shard[T]) evict(now int64) bool {
	if len(s.queue) == 0 || s.queue[0].due > now {
		return false
	}
	first := s.queue[0]
	switch {
	case first.until > now:
		first.due = first.until
	case !s.letGo(first):
		first.due = now + lookAgain
	default:
		first.due = 0
	}
	if first.due > now {
		heap.Fix(&s.queue, 0)
		return true
	}
	heap.Pop(&s.queue)
	s.forget(first.subject)
	return true
}

func (s *shard[T]) forget(who subject) {
	delete(s.items, who)
	if s.held[who.series]--; s.held[who.series] == 0 {
		delete(s.held, who.series) // a reload may have done away with the limit
	}
}

// queue is a heap of items, the first due on top.
type queue[T any] []*item[T]

func (q queue[T]) Len() int           { return len(q) }
func (q queue[T]) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue[T]) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue[T]) Push(e any) { *q = append(*q, e.(*item[T])) }

// Pop implements heap.Interface.
func (q *queue[T]) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
