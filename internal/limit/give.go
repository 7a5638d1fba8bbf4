package limit

import "time"

// give is units on their way back.
type give struct {
	ask   ask
	epoch int64
	zone  *zoneCounters
}

// giveBack queues units for the next batch, or for one of their own when there is none.
func (c *channel) giveBack(who subject, l *Limit, r receipt, n int64) {
	if n == 0 || r.how != debitedStore {
		return
	}
	after := flushAfter
	if l.shared.kind == Concurrency {
		after = slotIdle / 10
	}
	by := c.engine.micros() + after.Microseconds()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.gives) == 0 || by < c.giveBy {
		c.giveBy = by
	}
	c.gives = append(c.gives, give{ask{limit: l, key: who.key, need: n, at: r.bucket}, r.epoch, who.series.zone})
	c.flushLater(after)
}

// flushLater sees to it that units do not wait for a batch for ever. The channel is locked.
func (c *channel) flushLater(after time.Duration) {
	if !c.flushing {
		c.flushing = true
		c.engine.after(after, c.flush)
	}
}

// flush sends what no batch has taken along.
func (c *channel) flush() {
	c.mu.Lock()
	c.flushing = false
	if len(c.gives) == 0 || c.away.Load() {
		c.gives = nil // best effort
		c.mu.Unlock()
		return
	}
	if wait := c.giveBy - c.engine.micros(); wait > 0 { // others have gone, and these came since
		c.flushLater(time.Duration(wait) * time.Microsecond)
		c.mu.Unlock()
		return
	}
	c.flights++
	c.mu.Unlock()
	c.fly(new(flight))
}

// loadGives takes along what is to be given back. Only one batch at a time does: the
// store drops those that come out of order. The channel is locked.
func (c *channel) loadGives(f *flight) {
	if len(c.gives) == 0 || c.giving {
		return
	}
	c.giving = true
	c.given++
	f.batch.gives = c.given
	for _, g := range c.gives {
		if g.epoch == c.epoch { // what an older store knew, this one does not
			f.batch.ops = append(f.batch.ops, op{code: opGive, asks: []ask{g.ask}})
			g.zone.givenBack.Add(uint64(g.ask.need))
		}
	}
	c.gives = nil
}

// drain sends what the store has to hear before the engine is gone, and calls empty when
// nothing is under way any more.
func (c *channel) drain(empty func()) {
	if !c.away.Load() {
		c.tellMissed()
	}
	c.mu.Lock()
	c.empty = empty
	c.mu.Unlock()
	c.drained()
}

// drained goes on with a drain: with what could not fly along until now, or to its end.
func (c *channel) drained() {
	c.mu.Lock()
	if c.empty == nil || c.flights > 0 {
		c.mu.Unlock()
		return
	}
	if len(c.gives) > 0 && !c.giving && !c.away.Load() {
		c.flights++
		c.mu.Unlock()
		c.fly(new(flight))
		return
	}
	empty := c.empty
	c.empty = nil
	c.mu.Unlock()
	empty()
}
