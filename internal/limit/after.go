package limit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Settle says what the debits of an allowed decision really cost: less is given back,
// more is charged, and may pass the limit. A negative cost leaves a debit as it is.
func (e *Engine) Settle(debits []Debit, states []State, costs []int64) {
	for i, d := range debits {
		if i >= len(states) || i >= len(costs) || costs[i] < 0 || d.Limit.rule().kind == Concurrency {
			continue
		}
		n, r := d.cost()-min(costs[i], d.Limit.rule().most()), states[i].receipt
		switch {
		case n == 0 || r.how == debitedNot || r.how == debitedOpen:
		case e.memory != nil:
			e.memory.adjust(d, r, n)
		case n > 0:
			e.credit(d, r, n)
		default:
			e.charge(d, -n)
		}
	}
}

func (l *Limit) rule() *rule { return &l.shared }

// most is the highest cost that is ever counted: of gcra, what takes MaxWindow to come back.
// Whatever an answer says, no sum overflows, and nobody is kept out for longer.
func (r *rule) most() int64 {
	if r.kind == GCRA {
		return MaxWindow.Microseconds() / r.interval
	}
	return MaxEvents
}

// credit takes back units that a request turned out not to need: into the lease that
// they are from, or to the store.
func (e *Engine) credit(d Debit, r receipt, n int64) {
	c, who := e.channel(d.Limit.scope), subject{series: e.registry.of(d.Limit), key: boundKey(d.Key)}
	s := e.shard(who)
	s.Lock()
	defer s.Unlock()
	it := s.items[who]
	if r.how == debitedOwn {
		// The store may have been told by now. Then it stays counted until it is old.
		if it != nil {
			held := it.value.unsent.used
			it.value.unsent.credit(r.bucket, n)
			it.value.own.credit(r.bucket, held-it.value.unsent.used)
		}
		return
	}
	if it == nil {
		c.giveBack(who, d.Limit, r, n)
		return
	}
	v := &it.value
	if v.lease != nil && !r.expired(e.micros()) && v.lease.put(r, n) {
		return
	}
	e.returns(c, who, d.Limit, v, r, n)
}

// charge counts units that were spent without having been asked for.
func (e *Engine) charge(d Debit, n int64) {
	c, who := e.channel(d.Limit.scope), subject{series: e.registry.of(d.Limit), key: boundKey(d.Key)}
	s := e.shard(who)
	s.Lock()
	now, g := e.micros(), d.Limit.shared.grid
	it := s.items[who]
	if it == nil {
		if it = s.insert(newEntry(who), now); it == nil {
			who.series.overflows(g, now)
			s.Unlock()
			return
		}
	}
	v := &it.value
	index := v.own.advance(g, now)
	v.own.debit(index, n)
	v.unsent.advance(g, now)
	v.unsent.debit(index, n)
	it.until = v.until(d.Limit, now)
	s.Unlock()
	c.missed(who, d.Limit)
	c.tellSoon()
}

// occupy counts a request in flight, if there is room to remember it. The shard is locked.
func (e *Engine) occupy(t *touch, i int, d Debit) bool {
	it := e.ensure(t, i)
	if it == nil {
		return false
	}
	if it.value.slots == 0 {
		e.channelOf(t.subjects[i].series).occupied(t.subjects[i], d.Limit, true)
	}
	it.value.slots += d.cost()
	it.until = it.value.until(d.Limit, t.now)
	return true
}

// occupied notes whether this node has slots of a subject, which it has to keep alive.
func (c *channel) occupied(who subject, l *Limit, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if yes {
		c.slots[who] = l
	} else {
		delete(c.slots, who)
	}
}

// Release ends what an allowed decision holds of its concurrency limits.
func (e *Engine) Release(debits []Debit, states []State) {
	for i, d := range debits {
		if i >= len(states) || d.Limit.rule().kind != Concurrency || states[i].receipt.how == debitedNot {
			continue
		}
		if e.memory != nil {
			e.memory.adjust(d, states[i].receipt, d.cost())
		} else {
			e.release(d, states[i].receipt)
		}
	}
}

// release keeps the slot for the next request of this node, for a moment.
func (e *Engine) release(d Debit, r receipt) {
	c, who := e.channel(d.Limit.scope), subject{series: e.registry.of(d.Limit), key: boundKey(d.Key)}
	s := e.shard(who)
	s.Lock()
	defer s.Unlock()
	it := s.items[who]
	if it == nil {
		c.giveBack(who, d.Limit, r, d.cost())
		return
	}
	v, now := &it.value, e.micros()
	if v.slots -= d.cost(); v.slots <= 0 {
		v.slots = 0
		c.occupied(who, d.Limit, false)
	}
	if v.unsent.used > 0 {
		return // the store hears the whole number when it is back
	}
	if v.lease == nil {
		v.lease = &lease{since: now}
	}
	g := &v.lease.grants[0]
	g.tokens += d.cost()
	g.receipt = receipt{epoch: r.epoch, sent: now, expires: now + slotIdle.Microseconds(), how: debitedStore}
	it.until = v.until(d.Limit, now)
	e.expiresAt(g.receipt.expires, who, d.Limit)
}

// Inspection is where a subject stands.
type Inspection struct {
	Used, Remaining int64
	Wait            time.Duration
	Held            int64 // units that this node has on lease
	Degraded        bool  // this node cannot ask the store, and says what it has spent itself
}

// Inspect looks a subject up.
func (e *Engine) Inspect(ctx context.Context, l *Limit, key string) (Inspection, error) {
	if e.memory != nil {
		return e.memory.inspect(l, key), nil
	}
	who := subject{series: e.registry.of(l), key: boundKey(key)}
	var here Inspection
	s := e.shard(who)
	s.Lock()
	if it := s.items[who]; it != nil {
		here.Used = it.value.used(l, e.micros())
		if it.value.lease != nil {
			here.Held = it.value.lease.tokens()
		}
	}
	s.Unlock()
	res, err := e.call(ctx, l, op{code: opRead, asks: []ask{{limit: l, key: who.key}}})
	if err != nil {
		here.Degraded, here.Remaining = true, max(l.shared.events/e.nodes()-here.Used, 0)
		return here, err
	}
	a := res.answers[0]
	return Inspection{Used: a.used, Remaining: max(l.shared.events-a.used, 0), Held: here.Held,
		Wait: time.Duration(a.wait) * time.Microsecond}, nil
}

// Reset forgets what is counted for a subject. Other nodes may believe for another
// second what they were told before, and spend what they have on lease. Of a concurrency
// limit, requests in flight go on to count: those of this node at once, and those of
// others when they say so next.
func (e *Engine) Reset(ctx context.Context, l *Limit, key string) error {
	if e.memory != nil {
		e.memory.reset(l, key)
		return nil
	}
	who := subject{series: e.registry.of(l), key: boundKey(key)}
	s := e.shard(who)
	s.Lock()
	if it := s.items[who]; it != nil && l.shared.kind == Concurrency {
		it.value.denied = denial{}
	} else if it != nil {
		if it.value.lease != nil {
			it.value.lease.landed()
		}
		it.value = entry{epoch: it.value.epoch, telling: it.value.telling, flying: it.value.flying}
		it.until = it.value.until(l, e.micros())
	}
	s.Unlock()
	_, err := e.call(ctx, l, op{code: opDrop, asks: []ask{{limit: l, key: who.key}}})
	s.Lock()
	defer s.Unlock()
	if it := s.items[who]; it != nil && l.shared.kind == Concurrency {
		e.channel(l.scope).holdsOther(who, l, &it.value)
	}
	return err
}

// call does one step in the store and waits for it.
func (e *Engine) call(ctx context.Context, l *Limit, o op) (*result, error) {
	type landed struct {
		res *result
		err error
	}
	done := make(chan landed, 1)
	b := &batch{scope: l.scope, node: e.node, nodes: e.nodes(), ops: []op{o}}
	e.roundTrips.Add(1)
	e.remote.send(b, func(res *result, err error) { done <- landed{res, err} })
	select {
	case l := <-done:
		if l.err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, l.err)
		}
		return l.res, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// Info is a snapshot of an engine.
type Info struct {
	Nodes                int
	Degraded             bool
	DegradedScopes       []string
	RoundTrips, Failures uint64
	Limits               []LimitInfo // by scope and name
}

// LimitInfo counts what became of the debits of a limit.
type LimitInfo struct {
	Scope, Name                                                        string
	Allowed, Denied, Shadowed, Leased, RoundTrips, Degraded, GivenBack uint64
	Keys                                                               int
}

// Info gives the snapshot.
func (e *Engine) Info() Info {
	if e.memory != nil {
		return Info{Nodes: 1, Limits: e.registry.info(e.memory.table.keys())}
	}
	info := Info{Nodes: int(e.nodes()), RoundTrips: e.roundTrips.Load(), Failures: e.failures.Load(),
		Limits: e.registry.info(e.table.keys())}
	e.eachChannel(func(c *channel) {
		if c.away.Load() {
			info.Degraded = true
			info.DegradedScopes = append(info.DegradedScopes, c.scope)
		}
	})
	return info
}

func (e *Engine) eachChannel(f func(*channel)) {
	e.channels.Range(func(_, c any) bool {
		f(c.(*channel))
		return true
	})
}

// startBeating makes this node known to the others. It happens with the first
// decision, because who only checks a configuration must not dial.
func (e *Engine) startBeating() {
	if !e.beating.Swap(true) {
		e.beat()
	}
}

func (e *Engine) beat() {
	if e.closed.Load() {
		return
	}
	e.remote.beat(e.node, false, func(nodes int, err error) {
		if err == nil {
			e.alive.Store(int64(nodes))
		}
	})
	if e.beats++; e.beats%refreshEvery == 0 {
		e.eachChannel((*channel).refreshSlots)
	}
	e.after(beatEvery, e.beat)
}

// closeWait is how long Close waits for the store at most.
const closeWait = time.Second

// Close gives back what is on lease, leaves the other nodes alone, and waits until the
// store has heard it, for a second at most. The client of the store stays open: whoever
// has it may close it then.
func (e *Engine) Close() error {
	if e.memory != nil || e.closed.Swap(true) {
		return nil
	}
	e.sweepMu.Lock()
	held := e.expiring
	e.expiring = nil
	e.sweepMu.Unlock()
	for _, x := range held {
		s := e.shard(x.who)
		s.Lock()
		if it := s.items[x.who]; it != nil && it.value.lease != nil {
			e.expire(e.channel(x.limit.scope), x.who, x.limit, &it.value, x.at+slotIdle.Microseconds()+MaxWindow.Microseconds())
		}
		s.Unlock()
	}
	var heard sync.WaitGroup
	e.eachChannel(func(c *channel) {
		heard.Add(1)
		c.drain(heard.Done)
	})
	if e.beating.Load() {
		heard.Add(1)
		e.remote.beat(e.node, true, func(int, error) { heard.Done() })
	}
	all, late := make(chan struct{}), make(chan struct{})
	go func() {
		heard.Wait()
		close(all)
	}()
	stop := e.clock.AfterFunc(closeWait, func() { close(late) })
	defer stop()
	select {
	case <-all:
	case <-late:
	}
	return nil
}
