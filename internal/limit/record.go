package limit

import "time"

// longestDenial is how long the store's no is believed, so that who resets a key or
// raises a limit does not have to tell all nodes.
const longestDenial = time.Second

// record keeps what the store says of a subject.
func (e *Engine) record(p *pending, a *asked, word answer, l landing) {
	s := e.shard(a.who)
	s.Lock()
	defer s.Unlock()
	it := s.items[a.who]
	if it != nil && a.aloft && (l.err != nil || p.concluded.Load()) {
		if p.channel.arrives(a, &it.value); l.err != nil { // the store may have given them, or not
			p.channel.holdsOther(a.who, a.ask.limit, &it.value)
		}
	}
	if l.err != nil {
		if it != nil && it.value.lease != nil && a.ask.want > 0 {
			it.value.lease.landed()
		}
		return
	}
	now, limit := e.micros(), a.ask.limit
	if it == nil {
		if it = s.insert(newEntry(a.who), now); it == nil {
			a.who.series.overflows(limit.shared.grid, now)
			if l.allowed && !word.short {
				p.channel.giveBack(a.who, limit, newReceipt(limit, word, l), word.extra)
			}
			return
		}
	}
	v := &it.value
	if v.epoch == 0 {
		v.epoch = l.epoch
	}
	if v.lease == nil && (word.extra > 0 || limit.leasable(e.nodes())) {
		v.lease = &lease{since: now}
	}
	if l.allowed && !word.short && a.ask.need+word.extra > 0 {
		e.recordDebit(p.channel, *a, word, l, v, now)
	}
	if word.short || word.used >= limit.shared.events && limit.shared.kind != Concurrency {
		e.recordDenial(*a, word, l, v, now)
	} else if a.ask.need > 0 {
		v.denied = denial{}
	}
	v.heard, v.remaining, v.frees = true, max(limit.shared.events-word.used, 0), l.sent+word.wait
	if v.lease != nil {
		v.remaining += v.lease.tokens()
		if a.ask.want > 0 {
			v.lease.landed()
			if word.extra == 0 && (l.allowed || word.short) { // or it was another limit that had none
				v.lease.pause = now + limit.lease.Microseconds()/4
			}
		}
	}
	it.until = v.until(limit, now)
	if limit.shared.kind == Concurrency {
		e.expiresAt(now+limit.lease.Microseconds(), a.who, limit)
	}
}

func (e *Engine) recordDebit(c *channel, a asked, word answer, l landing, v *entry, now int64) {
	limit := a.ask.limit
	if limit.shared.kind != Concurrency {
		v.own.advance(limit.shared.grid, now)
		index := limit.shared.grid.index(l.sent)
		v.own.debit(index, a.ask.need+word.extra)
		if c.knows() != l.epoch { // the store that said it is gone
			v.unsent.debit(index, a.ask.need+word.extra)
			c.missed(a.who, limit)
		}
	}
	if word.extra == 0 {
		return
	}
	g := grant{word.extra, newReceipt(limit, word, l)}
	v.lease.granted = word.extra
	if g.receipt.expired(now) || !v.lease.add(g) {
		e.returns(c, a.who, limit, v, g.receipt, g.tokens)
		return
	}
	e.expiresAt(g.receipt.expires, a.who, limit)
}

// recordDenial remembers that the limit is used up until units are back. Of a limit that gives many
// back in a while it is remembered for a quarter of a lease's life at least: then there is
// something to fetch. For longer, a node that has most of the load would leave lying what came back.
func (e *Engine) recordDenial(a asked, word answer, l landing, v *entry, now int64) {
	limit := a.ask.limit
	wait := l.sent + word.wait
	until := min(wait, now+longestDenial.Microseconds())
	if limit.shared.slice/e.nodes() >= 2 {
		until = max(until, l.sent+limit.lease.Microseconds()/4)
	}
	if limit.shared.kind == Concurrency {
		until = now + slotIdle.Microseconds()
	}
	cost := int64(1) // there is nothing left
	if word.short {
		cost = max(a.ask.need, 1)
	}
	v.denied = denial{cost: cost, events: limit.shared.events, until: until, wait: max(wait, until)}
}

// overflows notes that something was debited and there is no room to remember it.
func (s *series) overflows(g grid, now int64) {
	if g.width > 0 {
		s.overflow.Store(g.leaves(g.index(now)))
	}
}
