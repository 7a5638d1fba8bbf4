package limit

import "slices"

// charged is what a flight tells the store of debits that it did not know.
type charged struct {
	who    subject
	limit  *Limit
	unsent []bucket // to be told again if the flight fails; nil: all of them
}

// missed notes that the store does not know all that a subject has spent.
func (c *channel) missed(who subject, l *Limit) {
	c.mu.Lock()
	c.unsent[who] = l
	c.mu.Unlock()
}

// tellSoon tells the store of charges, together with those of the next moment.
func (c *channel) tellSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.tellTimer {
		c.tellTimer = true
		c.engine.after(sweepEvery, c.tellNow)
	}
}

func (c *channel) tellNow() {
	c.mu.Lock()
	c.tellTimer = false
	c.mu.Unlock()
	if !c.away.Load() {
		c.tellMissed()
	}
}

// tellMissed tells the store what it does not know, one flight after the other: there may
// be as many callers as a node remembers, and those that ask meanwhile go first.
func (c *channel) tellMissed() {
	f := &flight{tells: true}
	c.mu.Lock()
	if c.telling || len(c.unsent) == 0 {
		c.mu.Unlock()
		return
	}
	for who, l := range c.unsent {
		if len(f.groups) == maxGroups {
			break
		}
		delete(c.unsent, who)
		f.groups = append(f.groups, &pending{engine: c.engine, channel: c, asks: []asked{{who: who, ask: ask{limit: l, key: who.key}}}})
	}
	c.telling = true
	c.flights++
	c.mu.Unlock()
	c.fly(f)
}

// tellsNoMore ends a flight of tellMissed. There may be more to tell.
func (c *channel) tellsNoMore() {
	c.mu.Lock()
	c.telling = false
	more := len(c.unsent) > 0
	c.mu.Unlock()
	if more {
		c.tellSoon()
	}
}

// forget drops what is to be told of a subject that has not been used since a while, unless
// the store still takes its slots for taken. Its shard is locked.
func (c *channel) forget(who subject, since int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.unsent[who]; l != nil && l.shared.kind == Concurrency && c.engine.micros() < since+l.shared.life {
		return false
	}
	delete(c.unsent, who)
	return true
}

// loadCharges takes along debits that the store does not know: those made without it,
// and after it has lost its memory all that still count.
// It gives false while another batch that says so is under way: this one could overtake it.
func (c *channel) loadCharges(f *flight, a *asked) bool {
	e, who, l := c.engine, a.who, a.ask.limit
	s := e.shard(who)
	s.Lock()
	defer s.Unlock()
	it := s.items[who]
	if it == nil {
		return true
	}
	v, now := &it.value, e.micros()
	loaded := slices.ContainsFunc(f.charged, func(t charged) bool { return t.who == who })
	if v.telling > 0 && !loaded {
		return false
	}
	if l.shared.kind == Concurrency {
		if !loaded {
			c.loadSlots(f, who, l, v)
		}
		a.boards(v, now)
		return true
	}
	if loaded {
		return true
	}
	v.own.advance(l.shared.grid, now)
	v.unsent.advance(l.shared.grid, now)
	lost := f.batch.epoch != 0 && v.epoch != 0 && v.epoch != f.batch.epoch
	tell := charged{who: who, limit: l}
	buckets := v.unsent.buckets
	if lost {
		buckets = v.own.buckets
	} else {
		tell.unsent = slices.Clone(buckets)
	}
	for _, b := range buckets {
		age := max(now-(b.index+1)*l.shared.grid.width, 0)
		if l.shared.kind == Calendar {
			age = 0 // of this period, or it would not count any more
		}
		f.batch.ops = append(f.batch.ops, op{code: opCharge, asks: []ask{{limit: l, key: who.key, need: b.count, at: age}}})
	}
	if lost {
		v.epoch = f.batch.epoch
	}
	if len(buckets) > 0 {
		f.charged = append(f.charged, tell)
		v.unsent = counter{}
		v.telling++
	}
	return true
}

// told notes that the store knows what a flight has said.
func (c *channel) told(f *flight) {
	for _, t := range f.charged {
		s := c.engine.shard(t.who)
		s.Lock()
		more := false
		if it := s.items[t.who]; it != nil {
			it.value.telling--
			more = it.value.unsent.used > 0
		}
		s.Unlock()
		if more {
			c.missed(t.who, t.limit)
		}
	}
	f.charged = nil
}

// restore keeps what a failed flight should have told the store. Whether it did is not
// known: to tell it twice counts too much, never too little.
func (c *channel) restore(f *flight) {
	for _, t := range f.charged {
		s := c.engine.shard(t.who)
		s.Lock()
		if it := s.items[t.who]; it != nil {
			it.value.telling--
			if t.unsent == nil {
				it.value.epoch = -1 // of no store: all of it is told again
			}
			if t.limit.shared.kind == Concurrency {
				it.value.unsent.used = 1
			}
			for _, b := range t.unsent {
				it.value.unsent.debit(b.index, b.count)
			}
		}
		s.Unlock()
		c.mu.Lock()
		c.unsent[t.who] = t.limit
		c.mu.Unlock()
		c.tellSoon()
	}
	f.charged = nil
}
