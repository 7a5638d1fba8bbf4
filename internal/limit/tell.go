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
	if !c.telling {
		c.telling = true
		c.engine.after(sweepEvery, c.tellNow)
	}
}

func (c *channel) tellNow() {
	c.mu.Lock()
	c.telling = false
	c.mu.Unlock()
	if !c.away.Load() {
		c.tellMissed()
	}
}

// tellMissed tells the store all that it does not know.
func (c *channel) tellMissed() {
	c.mu.Lock()
	missed := c.unsent
	if len(missed) > 0 {
		c.unsent = make(map[subject]*Limit)
	}
	c.mu.Unlock()
	if len(missed) > 0 {
		c.tell(missed)
	}
}

// tell sends debits that the store does not know, and takes slots anew.
func (c *channel) tell(missed map[subject]*Limit) {
	f := new(flight)
	for who, l := range missed {
		if f.groups = append(f.groups, &pending{engine: c.engine, channel: c, asks: []asked{{who: who, ask: ask{limit: l, key: who.key}}}}); len(f.groups) == maxGroups {
			c.start(f)
			f = new(flight)
		}
	}
	if len(f.groups) > 0 {
		c.start(f)
	}
}

func (c *channel) start(f *flight) {
	c.mu.Lock()
	c.flights++
	c.mu.Unlock()
	c.fly(f)
}

// refreshSlots keeps the slots of requests that take long.
func (c *channel) refreshSlots() {
	c.mu.Lock()
	held := make(map[subject]*Limit, len(c.slots))
	for who, l := range c.slots {
		held[who] = l
	}
	c.mu.Unlock()
	if !c.away.Load() && len(held) > 0 {
		c.tell(held)
	}
}

// loadCharges takes along debits that the store does not know: those made without it,
// and after it has lost its memory all that still count.
// It gives false while another batch that says so is under way: this one could overtake it.
func (c *channel) loadCharges(f *flight, who subject, l *Limit) bool {
	e := c.engine
	s := e.shard(who)
	s.Lock()
	defer s.Unlock()
	it := s.items[who]
	if it == nil || slices.ContainsFunc(f.charged, func(t charged) bool { return t.who == who }) {
		return true
	}
	v, now := &it.value, e.micros()
	if v.telling > 0 {
		return false
	}
	if l.shared.kind == Concurrency {
		c.loadSlots(f, who, l, v)
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

// loadSlots says how many slots the node holds, to a store that may not know.
func (c *channel) loadSlots(f *flight, who subject, l *Limit, v *entry) {
	held := v.slots
	if v.lease != nil {
		held += v.lease.tokens()
	}
	if held > 0 && (v.unsent.used > 0 || v.epoch != 0 && v.epoch != f.batch.epoch) {
		v.epoch, v.unsent = f.batch.epoch, counter{}
		f.batch.ops = append(f.batch.ops, op{code: opHold, asks: []ask{{limit: l, key: who.key, need: held}}})
		f.charged = append(f.charged, charged{who: who, limit: l})
		v.telling++
	}
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
			for _, b := range t.unsent {
				it.value.unsent.debit(b.index, b.count)
			}
		}
		s.Unlock()
		c.mu.Lock()
		c.unsent[t.who] = t.limit
		c.mu.Unlock()
	}
	f.charged = nil
}
