package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// pending is a decision for which the store is asked, or, without anybody waiting for
// it, a fetch of units on lease.
type pending struct {
	engine  *Engine
	channel *channel
	asks    []asked
	born    int64
	flown   atomic.Int64 // when it was sent, or zero

	// Of a decision:
	debits []Debit
	touch  touch
	spent  [MaxDebits]receipt // out of this node's memory
	notify func()             // is called once, when it has landed or time is up
	once   sync.Once

	concluded atomic.Bool // nobody waits any more
	mu        sync.Mutex
	landed    bool
	landing   landing
}

// asked is an ask and what it is for.
type asked struct {
	who   subject
	debit int  // its number in the decision
	noted bool // in the entry, as flying
	aloft bool // in the entry, as a slot that is under way
	ask   ask
}

// landing is the store's word, or why there is none.
type landing struct {
	sent    int64
	epoch   int64
	allowed bool
	answers []answer
	err     error
}

func (p *pending) op() op {
	o := op{code: opTake, asks: make([]ask, len(p.asks))}
	for i, a := range p.asks {
		o.asks[i] = a.ask
	}
	return o
}

// patience is how long its answer is of use. The time that it has waited already for what
// others had asked is a part of it.
func (p *pending) patience() time.Duration {
	d := p.engine.deadline
	for _, debit := range p.debits {
		if debit.Limit.shared.kind != Concurrency {
			d = min(d, debit.Limit.lease)
		}
	}
	return max(d-time.Duration(p.engine.micros()-p.born)*time.Microsecond, 0)
}

// land takes the store's word in.
func (p *pending) land(l landing) {
	p.mu.Lock()
	for i := range p.asks {
		a := &p.asks[i]
		var word answer
		if l.err == nil {
			word = l.answers[i]
		}
		p.engine.record(p, a, word, l)
	}
	p.landed, p.landing = true, l
	if p.concluded.Load() {
		p.landedLate()
	}
	p.mu.Unlock()
	p.wake()
}

func (p *pending) wake() {
	if p.notify != nil {
		p.once.Do(p.notify)
	}
}

// landedLate gives back what was debited for somebody who has gone. Who was let pass
// meanwhile has a debit of its own: this one is too old to cover it.
func (p *pending) landedLate() {
	if p.landing.err != nil || !p.landing.allowed {
		return
	}
	for i, a := range p.asks {
		if p.landing.answers[i].short || a.ask.need == 0 {
			continue
		}
		p.engine.giveBack(p.channel, a.who, a.ask.limit, p.receipt(i), a.ask.need)
	}
}

// receipt gives that of an ask that was granted.
func (p *pending) receipt(i int) receipt {
	return newReceipt(p.asks[i].ask.limit, p.landing.answers[i], p.landing)
}

func newReceipt(l *Limit, a answer, from landing) receipt {
	life := l.lease.Microseconds()
	if l.shared.kind == Calendar {
		life = min(life, a.left)
	}
	// The store debits at the time of the sending or later, so this lies inside of what it counts.
	return receipt{bucket: a.bucket, epoch: from.epoch, sent: from.sent, expires: from.sent + life, how: debitedStore}
}
