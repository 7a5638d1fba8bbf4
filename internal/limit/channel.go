package limit

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxFlights is how many batches of a scope are under way at once. What comes
	// meanwhile waits for the next, and shares it.
	maxFlights = 4
	// maxGroups bounds a batch, and with it how long Redis is busy with it.
	maxGroups = 64
	// flushAfter is how long units wait for a batch that takes them back.
	flushAfter = 100 * time.Millisecond
	// tripAfter is how many failures in a row are not chance.
	tripAfter = 3
	// probeEvery is how often to look whether the store is back.
	probeEvery = 100 * time.Millisecond
	firstTrip  = time.Millisecond // taken for a round trip before one is measured
)

var (
	errAway    = errors.New("the store does not answer")
	errTelling = errors.New("the store is being told what it does not know")
)

// channel is an engine's way to the store for one scope: it batches what concurrent
// decisions ask, and stops asking a store that does not answer.
type channel struct {
	engine *Engine
	scope  string
	away   atomic.Bool  // the circuit breaker is open
	trip   atomic.Int64 // moving average of a round trip, in microseconds

	mu       sync.Mutex
	epoch    int64 // of the store
	flights  int
	queue    []*pending
	gives    []give
	giving   bool // a batch with gives is under way
	given    int64
	flushing bool
	telling  bool
	failures int
	unsent   map[subject]*Limit // debits that the store does not know of
	slots    map[subject]*Limit // concurrency: what this node holds
}

// give is units on their way back.
type give struct {
	ask   ask
	epoch int64
	zone  *zoneCounters
}

// flight is a batch under way.
type flight struct {
	groups  []*pending
	batch   batch
	charged []charged
	sent    int64
	redone  bool
	probe   bool
}

// charged is what a flight tells the store of debits that it did not know.
type charged struct {
	who    subject
	limit  *Limit
	unsent []bucket // to be told again if the flight fails; nil: all of them
}

func newChannel(e *Engine, scope string) *channel {
	c := &channel{engine: e, scope: scope, unsent: make(map[subject]*Limit), slots: make(map[subject]*Limit)}
	c.trip.Store(firstTrip.Microseconds())
	return c
}

// submit sends a group, at once or with the next batch.
func (c *channel) submit(p *pending) {
	c.mu.Lock()
	if c.away.Load() {
		c.mu.Unlock()
		p.land(landing{err: errAway})
		return
	}
	c.queue = append(c.queue, p)
	if c.flights >= maxFlights {
		c.mu.Unlock()
		return
	}
	f := c.next()
	c.mu.Unlock()
	c.fly(f)
}

// next makes a flight of what waits. The channel is locked.
func (c *channel) next() *flight {
	c.flights++
	f := new(flight)
	for len(f.groups) < maxGroups && len(c.queue) > 0 {
		if p := c.queue[0]; !p.concluded.Load() { // nobody waits for it, and it is not debited
			f.groups = append(f.groups, p)
		}
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
	return f
}

// fly fills the batch of a flight and sends it.
func (c *channel) fly(f *flight) {
	e := c.engine
	f.sent = e.micros()
	c.mu.Lock()
	f.batch = batch{scope: c.scope, node: e.node, nodes: e.nodes(), epoch: c.epoch}
	if f.probe {
		c.given++ // makes the store write, which a full one refuses
		f.batch.gives = c.given
	}
	c.loadGives(f)
	c.mu.Unlock()
	f.groups = slices.DeleteFunc(f.groups, func(p *pending) bool {
		for _, a := range p.asks {
			if !c.loadCharges(f, a.who, a.ask.limit) {
				p.land(landing{err: errTelling})
				return true
			}
		}
		return false
	})
	for _, p := range f.groups {
		p.flown.Store(f.sent)
		f.batch.ops = append(f.batch.ops, p.op())
	}
	e.roundTrips.Add(1)
	e.remote.send(&f.batch, func(res *result, err error) { c.landed(f, res, err) })
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

// landed hears what became of a flight.
func (c *channel) landed(f *flight, res *result, err error) {
	e := c.engine
	if err != nil {
		e.failures.Add(1)
		c.restore(f)
	} else if f.batch.epoch == 0 || f.batch.epoch == res.epoch {
		c.told(f)
	}
	c.mu.Lock()
	hadGives := f.batch.gives != 0 && !f.probe
	if hadGives {
		c.giving = false
	}
	unknown := err == nil && res.epoch != f.batch.epoch
	if unknown {
		c.epoch = res.epoch
	}
	if hadGives && len(c.gives) > 0 {
		c.flushLater(flushAfter)
	}
	c.mu.Unlock()
	if unknown && f.batch.epoch != 0 { // the store has lost its memory, and did nothing
		c.restore(f)
		if !f.redone {
			c.fly(&flight{groups: f.groups, redone: true, probe: f.probe})
			return
		}
		err = errAway
	}
	c.judge(f, err)
	sent, answers := f.sent, 0
	if e.lifeFromReply {
		sent = e.micros()
	}
	for i, p := range f.groups {
		if err != nil {
			p.land(landing{sent: sent, err: err})
			continue
		}
		p.land(landing{sent: sent, epoch: res.epoch, allowed: res.allowed[i], answers: res.answers[answers : answers+len(p.asks)]})
		answers += len(p.asks)
	}
	c.mu.Lock()
	c.flights--
	var following *flight
	if len(c.queue) > 0 && !c.away.Load() && c.flights < maxFlights {
		following = c.next()
	}
	c.mu.Unlock()
	if following != nil {
		c.fly(following)
	}
}

// judge moves the circuit breaker.
func (c *channel) judge(f *flight, err error) {
	if err == nil {
		took := max(c.engine.micros()-f.sent, 1)
		c.trip.Store((7*c.trip.Load() + took) / 8)
		c.recovered()
		return
	}
	c.mu.Lock()
	c.failures++
	trip := c.failures >= tripAfter || f.probe
	c.mu.Unlock()
	if trip {
		c.lost(err)
	}
}

// knows gives the epoch of the store, as far as it is known.
func (c *channel) knows() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// late is told of a caller who could not wait for an answer any longer.
func (c *channel) late(since int64) {
	if c.engine.micros()-since >= c.engine.deadline.Microseconds() {
		c.lost(errAway)
	}
}

// lost opens the circuit breaker: nobody waits for the store until it answers a probe.
func (c *channel) lost(cause error) {
	c.mu.Lock()
	if c.away.Swap(true) {
		c.mu.Unlock()
		return
	}
	waiting := c.queue
	c.queue = nil
	c.mu.Unlock()
	c.engine.changed(Change{Scope: c.scope, Degraded: true, Cause: cause})
	c.engine.after(probeEvery, c.probe)
	for _, p := range waiting {
		p.land(landing{err: errAway})
	}
}

// probe looks whether the store is back, until it is.
func (c *channel) probe() {
	if c.engine.closed.Load() || !c.away.Load() {
		return
	}
	c.mu.Lock()
	c.flights++
	c.mu.Unlock()
	c.fly(&flight{probe: true})
	c.engine.after(probeEvery, c.probe)
}

// recovered closes the circuit breaker, and tells the store what it has missed.
func (c *channel) recovered() {
	c.mu.Lock()
	c.failures = 0
	back := c.away.Swap(false)
	c.mu.Unlock()
	if back {
		c.engine.changed(Change{Scope: c.scope})
	}
	c.tellMissed()
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

// missed notes that the store does not know all that a subject has spent.
func (c *channel) missed(who subject, l *Limit) {
	c.mu.Lock()
	c.unsent[who] = l
	c.mu.Unlock()
}

// giveBack queues units for the next batch, or for one of their own when there is none.
func (c *channel) giveBack(who subject, l *Limit, r receipt, n int64) {
	if n == 0 || r.how != debitedStore {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gives = append(c.gives, give{ask{limit: l, key: who.key, need: n, at: r.bucket}, r.epoch, who.series.zone})
	if l.shared.kind == Concurrency {
		c.flushLater(slotIdle / 10)
	} else {
		c.flushLater(flushAfter)
	}
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
	c.flights++
	c.mu.Unlock()
	c.fly(new(flight))
}
