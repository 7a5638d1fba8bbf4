package limit

import (
	"fmt"
	"time"
)

// alone decides without the store about the debits that this node knows nothing of. The
// rest is in spent. The shards are locked.
func (e *Engine) alone(c *channel, t *touch, debits []Debit, know *[MaxDebits]known, spent *[MaxDebits]receipt, into []State) (Decision, error) {
	var short [MaxDebits]bool
	from, refused := len(into), false
	for i, d := range debits {
		if know[i] == knownNothing {
			e.found(c, t, i, d, know, spent)
		}
		var s State
		t.state(i, d, &s)
		if know[i] == knownNothing {
			s.Degraded, s.Unheard = true, false
			err := e.share(t, i, d, &s)
			if err != nil && !d.Limit.shadow {
				e.unspend(c, t, debits, spent)
				for j := range debits {
					t.subjects[j].series.zone.degraded.Add(1)
				}
				return Decision{}, err
			}
			short[i] = err != nil || s.Short
		} else {
			short[i] = know[i] == knownShort
			s.Leased = know[i] == knownHeld
		}
		s.Short = short[i]
		refused = refused || short[i] && !d.Limit.shadow
		into = append(into, s)
	}
	if refused {
		e.unspend(c, t, debits, spent)
		e.count(t, debits, into[from:], false)
		return Decision{States: into, Degraded: true}, nil
	}
	for i, d := range debits {
		if know[i] == knownNothing && !short[i] {
			spent[i] = e.debitOwn(c, t, i, d)
		}
		if d.Limit.shared.kind == Concurrency && spent[i].how != debitedNot && !e.occupy(t, i, d) {
			spent[i] = receipt{}
		}
		into[from+i].receipt = spent[i]
	}
	e.count(t, debits, into[from:], true)
	return Decision{Allowed: true, States: into, Degraded: true}, nil
}

// found spends what has come to this node while the store was waited for.
func (e *Engine) found(c *channel, t *touch, i int, d Debit, know *[MaxDebits]known, spent *[MaxDebits]receipt) {
	it := t.items[i]
	if it == nil || it.value.lease == nil {
		return
	}
	e.expire(c, t.subjects[i], d.Limit, &it.value, t.now)
	if r, ok := it.value.lease.spend(d.cost()); ok {
		it.value.remaining = max(it.value.remaining-d.cost(), 0)
		know[i], spent[i] = knownHeld, r
	}
}

// share finds out whether a debit fits into this node's share of a limit: an nth of
// it, less what this node has in the window already, by whatever way it came to it.
func (e *Engine) share(t *touch, i int, d Debit, s *State) error {
	switch d.Limit.fails {
	case Closed:
		return fmt.Errorf("%w: %s", ErrUnavailable, d.Limit.id)
	case Open:
		return nil
	}
	share, used := d.Limit.shared.events/e.nodes(), int64(0)
	s.Wait = time.Second
	if it := t.items[i]; it != nil {
		used = it.value.used(d.Limit, t.now) + it.value.flying
		if it.value.lease != nil {
			used += it.value.lease.wanted
		}
		if at := it.value.own.frees(d.Limit.shared.grid, max(used+d.cost()-share, 1)); at > t.now {
			s.Wait = time.Duration(at-t.now) * time.Microsecond
		}
	} else if t.subjects[i].series.overflow.Load() > t.now {
		used = share // nobody knows
	} else if e.ensure(t, i) == nil {
		return errFull(d.Limit)
	}
	s.Short = used+d.cost() > share
	s.Remaining = max(share-used, 0)
	if !s.Short {
		s.Remaining -= d.cost()
	}
	return nil
}

// used gives what a node has in the window.
func (v *entry) used(l *Limit, now int64) int64 {
	if l.shared.kind == Concurrency {
		if v.lease != nil {
			return v.slots + v.lent + v.lease.tokens()
		}
		return v.slots + v.lent
	}
	v.own.advance(l.shared.grid, now)
	return v.own.used
}

// debitOwn debits this node's share. The store is told when it is back.
func (e *Engine) debitOwn(c *channel, t *touch, i int, d Debit) receipt {
	r := receipt{sent: t.now, expires: t.now + d.Limit.lease.Microseconds(), how: debitedOwn}
	if d.Limit.fails == Open {
		r.how = debitedOpen
	}
	it := t.items[i]
	if d.Limit.shared.kind == Concurrency {
		it = e.ensure(t, i)
	}
	if it == nil {
		return r
	}
	v := &it.value
	if d.Limit.shared.kind == Concurrency {
		v.unsent.used = 1 // the store does not know how many slots
		c.missed(t.subjects[i], d.Limit)
		return r
	}
	if r.how == debitedOwn {
		r.bucket = v.own.advance(d.Limit.shared.grid, t.now)
		v.own.debit(r.bucket, d.cost())
		v.unsent.advance(d.Limit.shared.grid, t.now)
		v.unsent.debit(r.bucket, d.cost())
		c.missed(t.subjects[i], d.Limit)
	}
	it.until = v.until(d.Limit, t.now)
	return r
}

// errFull says which limit has no room.
func errFull(l *Limit) error { return fmt.Errorf("%w: %s", ErrFull, l.id) }
