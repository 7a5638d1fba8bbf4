package limit

import (
	"container/heap"
	"time"
)

// sweepEvery is how often to look what has expired, at most.
const sweepEvery = 10 * time.Millisecond

// expiry is when to look whether units on lease have to be given back.
type expiry struct {
	at    int64
	who   subject
	limit *Limit
}

type expiries []expiry

func (x expiries) Len() int { return len(x) }

func (x expiries) Less(i, j int) bool { return x[i].at < x[j].at }

func (x expiries) Swap(i, j int) { x[i], x[j] = x[j], x[i] }

// Push implements heap.Interface.
func (x *expiries) Push(v any) { *x = append(*x, v.(expiry)) }

// Pop implements heap.Interface.
func (x *expiries) Pop() any {
	last := len(*x) - 1
	v := (*x)[last]
	(*x)[last] = expiry{}
	*x = (*x)[:last]
	return v
}

func (e *Engine) expiresAt(at int64, who subject, l *Limit) {
	e.sweepMu.Lock()
	defer e.sweepMu.Unlock()
	heap.Push(&e.expiring, expiry{at, who, l})
	if !e.sweeping {
		e.sweeping = true
		e.after(max(time.Duration(at-e.micros())*time.Microsecond, sweepEvery), e.sweep)
	}
}

// sweep gives back what expired while nobody asked for it.
func (e *Engine) sweep() {
	now := e.micros()
	for {
		e.sweepMu.Lock()
		if len(e.expiring) == 0 || e.closed.Load() {
			e.sweeping = false
			e.sweepMu.Unlock()
			return
		}
		if next := e.expiring[0].at; next >= now {
			e.after(max(time.Duration(next-now+1)*time.Microsecond, sweepEvery), e.sweep)
			e.sweepMu.Unlock()
			return
		}
		due := heap.Pop(&e.expiring).(expiry)
		e.sweepMu.Unlock()
		e.sweepOne(due, now)
	}
}

func (e *Engine) sweepOne(due expiry, now int64) {
	s := e.shard(due.who)
	s.Lock()
	defer s.Unlock()
	if it := s.items[due.who]; it != nil && it.value.lease != nil {
		e.expire(e.channel(due.limit.scope), due.who, due.limit, &it.value, now)
		it.until = it.value.until(due.limit, now)
	}
}
