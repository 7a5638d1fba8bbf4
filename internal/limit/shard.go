package limit

import (
	"container/heap"
	"strings"
	"sync"
)

// shard holds a part of the subjects under a lock of its own.
type shard struct {
	sync.Mutex
	capacity int // of each limit
	entries  map[subject]*entry
	held     map[string]int // how many of them a limit has
	queue    queue
	_        [64]byte // keeps two locks off the same cache line
}

// entry is a subject's counter.
type entry struct {
	subject
	counter
	until int64 // the time from which nothing in it counts
	due   int64 // when evict looks at it: never later than until
}

func (e *entry) count(g grid, current int64) {
	e.debit(current)
	e.until = g.leaves(current)
}

func (e *entry) undo() {
	e.counter.undo()
	if e.used == 0 {
		e.until = 0
	}
}

// insert adds an empty entry, or gives nil when the limit has all the entries that it
// may have here and each of them still counts. Each new entry pays for a look at two
// old ones, which gives memory back before it is short.
func (s *shard) insert(who subject, now int64) *entry {
	for range 2 {
		s.evict(now)
	}
	for s.held[who.limit] >= s.capacity {
		if !s.evict(now) {
			return nil
		}
	}
	who.key = strings.Clone(who.key) // it may be a small part of a large request
	e := &entry{subject: who}
	s.entries[who] = e
	s.held[who.limit]++
	heap.Push(&s.queue, e)
	return e
}

// evict looks at the entry that is due first: it goes when it no longer counts,
// and is due again later when it was used meanwhile. It gives false when none is
// due, which means that every entry counts.
func (s *shard) evict(now int64) bool {
	if len(s.queue) == 0 || s.queue[0].due > now {
		return false
	}
	first := s.queue[0]
	if first.until > now {
		first.due = first.until
		heap.Fix(&s.queue, 0)
		return true
	}
	heap.Pop(&s.queue)
	s.drop(first.subject)
	return true
}

func (s *shard) drop(who subject) {
	delete(s.entries, who)
	if s.held[who.limit]--; s.held[who.limit] == 0 {
		delete(s.held, who.limit) // a reload may have done away with the limit
	}
}

// queue is a heap of entries, the first due on top.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(e any) { *q = append(*q, e.(*entry)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
