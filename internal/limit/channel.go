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
	errLate    = errors.New("nobody waits for the answer any more")
	errTelling = errors.New("the store is being told what it does not know")
)

// channel is an engine's way to the store for one scope: it batches what concurrent
// decisions ask, and stops asking a store that does not answer.
type channel struct {
	engine *Engine
	scope  string
	away   atomic.Bool  // the circuit breaker is open
	trip   atomic.Int64 // moving average of a round trip, in microseconds
	holds  atomic.Int64 // numbers what is told of slots, for the store to follow the newest

	mu        sync.Mutex
	epoch     int64 // of the store
	flights   int
	queue     []*pending
	gives     []give
	giveBy    int64 // when they go, if no batch takes them along before
	giving    bool  // a batch with gives is under way
	given     int64
	flushing  bool
	tellTimer bool // what is not known is told in a moment
	telling   bool // a flight that only tells is under way
	failures  int
	probing   bool               // a probe is due
	empty     func()             // is told when nothing is under way, while the engine is closed
	unsent    map[subject]*Limit // debits that the store does not know of
	slots     map[subject]*Limit // concurrency: what this node holds
}

// flight is a batch under way.
type flight struct {
	groups  []*pending
	dropped []*pending // nobody waits for them any more, and they were not sent
	batch   batch
	charged []charged
	sent    int64
	redone  bool
	probe   bool
	tells   bool // and nothing else: more is told when it has landed
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
		if p := c.queue[0]; p.concluded.Load() {
			f.dropped = append(f.dropped, p)
		} else {
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
	for _, p := range f.dropped {
		p.land(landing{err: errLate})
	}
	f.sent = e.micros()
	c.mu.Lock()
	f.batch = batch{scope: c.scope, node: e.node, nodes: e.nodes(), epoch: c.epoch}
	if f.probe {
		c.given++ // makes the store write, which a full one refuses
		f.batch.gives = c.given
	} else {
		c.loadGives(f)
	}
	c.mu.Unlock()
	var stays []*pending
	f.groups = slices.DeleteFunc(f.groups, func(p *pending) bool {
		if p.board(f) {
			return false
		}
		stays = append(stays, p)
		return true
	})
	for _, p := range f.groups {
		p.flown.Store(f.sent)
		f.batch.ops = append(f.batch.ops, p.op())
	}
	if len(stays) > 0 && !c.wait(f, stays) {
		return
	}
	e.roundTrips.Add(1)
	e.remote.send(&f.batch, func(res *result, err error) { c.landed(f, res, err) })
}

// wait has those that cannot fly yet wait for the next flight. Where nothing is left to
// send it gives false: what they wait for is under way, and its landing sends them.
func (c *channel) wait(f *flight, stays []*pending) (sends bool) {
	sends = len(f.batch.ops) > 0 || f.batch.gives != 0
	var following *flight
	c.mu.Lock()
	away := c.away.Load()
	if !away && !f.tells { // those of one that tells are told again by who tells now
		c.queue = append(stays, c.queue...)
		stays = nil
	}
	if !sends {
		if c.flights--; c.flights == 0 && len(c.queue) > 0 { // it has landed meanwhile
			following = c.next()
		}
	}
	c.mu.Unlock()
	for _, p := range stays {
		p.land(landing{err: errTelling})
	}
	if following != nil {
		c.fly(following)
	}
	if !sends {
		if f.tells {
			c.tellsNoMore()
		}
		c.drained()
	}
	return sends
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
			for _, p := range f.groups {
				p.disembark()
			}
			c.fly(&flight{groups: f.groups, redone: true, probe: f.probe, tells: f.tells})
			return
		}
		err = errAway
	}
	if f.tells {
		c.tellsNoMore()
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
	c.drained()
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
	waiting, probing := c.queue, c.probing
	c.queue, c.probing = nil, true
	c.mu.Unlock()
	c.engine.changed(Change{Scope: c.scope, Degraded: true, Cause: cause})
	if !probing {
		c.engine.after(probeEvery, c.probe)
	}
	for _, p := range waiting {
		p.land(landing{err: errAway})
	}
}

// probe looks whether the store is back, until it is.
func (c *channel) probe() {
	c.mu.Lock()
	if c.engine.closed.Load() || !c.away.Load() {
		c.probing = false
		c.mu.Unlock()
		return
	}
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
