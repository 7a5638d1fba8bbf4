package limit

import (
	"math/bits"
	"slices"
	"time"
)

// touch is what a decision has to do with in the table.
type touch struct {
	now      int64
	n        int
	subjects [MaxDebits]subject
	shards   [MaxDebits]uint8
	items    [MaxDebits]*item[entry] // nil where nothing is known
	spares   []*item[entry]          // for those, once there has been one
	set      shardSet
}

func (e *Engine) find(t *touch, debits []Debit) {
	t.n = len(debits)
	for i, d := range debits {
		t.subjects[i] = subject{series: e.registry.of(d.Limit), key: boundKey(d.Key)}
		n := e.table.shardOf(t.subjects[i].key)
		t.shards[i] = uint8(n)
		t.set |= 1 << n
	}
}

func (e *Engine) lock(t *touch) {
	if bits.OnesCount64(uint64(t.set)) == 1 {
		e.table.shards[t.shards[0]].Lock()
	} else {
		e.table.lock(t.set)
	}
	t.now = e.micros() // under the locks: a time read before them could be old by now
	for i := range t.n {
		it := e.table.shards[t.shards[i]].items[t.subjects[i]]
		if it != nil {
			it.until = max(it.until, t.now+1) // stays while others come
		}
		t.items[i] = it
	}
}

func (e *Engine) unlock(t *touch) { e.table.unlock(t.set) }

// known is what the node's memory says of a debit.
type known uint8

const (
	knownNothing known = iota
	knownHeld          // units are on lease
	knownShort         // the store has said no, a moment ago
)

// begin decides out of this node's memory, or gives what has to be waited for.
func (e *Engine) begin(debits []Debit, into []State) (Decision, *pending, error) {
	if err := check(debits, (*Limit).sharedRule); err != nil {
		return Decision{}, nil, err
	}
	if !e.beating.Load() {
		e.startBeating()
	}
	return e.decide(debits, into, nil)
}

// decide is begin, the first time or after the decision has waited for what was under way.
// What it needs memory for is made without the locks: the collector has who allocates work
// for it or wait for it, for tens of milliseconds at times, and nobody else should wait for that.
func (e *Engine) decide(debits []Debit, into []State, waited *pending) (Decision, *pending, error) {
	into = slices.Grow(into, len(debits))
	var t touch
	e.find(&t, debits)
	c := e.channelOf(t.subjects[0].series)
	e.lock(&t)
	if waited == nil {
		t.note(debits)
	}
	var know [MaxDebits]known
	for p := (*pending)(nil); ; p = e.prepare(c, &t, debits) {
		if p != nil {
			e.lock(&t)
		}
		missing, short := e.lookAll(c, &t, debits, &know)
		switch {
		case short:
			decision := e.deny(&t, debits, &know, into)
			e.unlock(&t)
			return decision, nil, nil
		case missing == 0:
			return e.allowHeld(c, &t, debits, &know, into), nil, nil
		case waited == nil && !c.away.Load() && t.flies(debits, &know):
			e.unlock(&t)
			return Decision{}, &pending{engine: e, channel: c, born: t.now, debits: debits, touch: t}, nil
		case p != nil:
			if waited != nil {
				p.born = waited.born
			}
			return e.decideBeyond(p, &t, &know, into)
		}
		e.unlock(&t)
	}
}

// prepare makes what a decision needs that asks the store.
func (e *Engine) prepare(c *channel, t *touch, debits []Debit) *pending {
	t.spares = make([]*item[entry], t.n)
	for i := range t.n {
		if t.items[i] == nil {
			t.spares[i] = newEntry(t.subjects[i])
		}
	}
	return &pending{engine: e, channel: c, born: t.now, debits: slices.Clone(debits), asks: make([]asked, 0, t.n)}
}

// newEntry makes an entry with room for the first debit.
func newEntry(who subject) *item[entry] {
	it := newItem[entry](who)
	it.value.own.buckets = make([]bucket, 0, 1)
	return it
}

// lookAll finds out how many debits this node knows nothing of, and whether one that counts is short.
func (e *Engine) lookAll(c *channel, t *touch, debits []Debit, know *[MaxDebits]known) (missing int, short bool) {
	for i, d := range debits {
		know[i] = e.look(c, t, i, d)
		if know[i] == knownNothing {
			missing++
		}
		short = short || know[i] == knownShort && !d.Limit.shadow
	}
	return missing, short
}

// decideBeyond decides by the store, or without it while it is away, and unlocks.
func (e *Engine) decideBeyond(p *pending, t *touch, know *[MaxDebits]known, into []State) (Decision, *pending, error) {
	for i, d := range p.debits {
		p.spent[i] = t.spend(i, d, know[i])
	}
	if p.channel.away.Load() {
		defer e.unlock(t)
		decision, err := e.alone(p.channel, t, p.debits, know, &p.spent, into)
		return decision, nil, err
	}
	if err := e.makeRoom(t, p.debits, know); err != nil {
		e.unspend(p.channel, t, p.debits, &p.spent)
		e.unlock(t)
		return Decision{}, nil, err
	}
	e.ask(p, t, know)
	p.lend(t, 1)
	e.unlock(t)
	p.touch = *t
	return Decision{}, p, nil
}

// spend takes units of what is on lease.
func (t *touch) spend(i int, d Debit, know known) receipt {
	if know != knownHeld {
		return receipt{}
	}
	v := &t.items[i].value
	r, _ := v.lease.spend(d.cost())
	v.remaining = max(v.remaining-d.cost(), 0)
	return r
}

// note counts debits as demand.
func (t *touch) note(debits []Debit) {
	for i, d := range debits {
		if it := t.items[i]; it != nil && it.value.lease != nil {
			it.value.lease.note(t.now, d.cost(), d.Limit.lease)
		}
	}
}

// look finds out what this node knows of a debit.
func (e *Engine) look(c *channel, t *touch, i int, d Debit) known {
	it := t.items[i]
	if it == nil {
		return knownNothing
	}
	v := &it.value
	if l := v.lease; l != nil {
		e.expire(c, t.subjects[i], d.Limit, v, t.now)
		if l.has(d.cost()) {
			return knownHeld
		}
	}
	if v.denied.until > t.now && v.denied.covers(d) {
		return knownShort
	}
	return knownNothing
}

// ask puts the question to the store about all debits that this node knows nothing of.
func (e *Engine) ask(p *pending, t *touch, know *[MaxDebits]known) {
	for i, d := range p.debits {
		if know[i] != knownNothing {
			continue
		}
		a := asked{who: t.subjects[i], debit: i, ask: ask{limit: d.Limit, key: t.subjects[i].key, need: d.cost()}}
		if it := e.ensure(t, i); it != nil {
			a.noted = true
			it.value.flying += a.ask.need
			it.until = max(it.until, t.now+2*e.deadline.Microseconds())
			a.ask.want = p.channel.want(&it.value, d.Limit, t.now, a.ask.need)
		}
		p.asks = append(p.asks, a)
		t.subjects[i].series.zone.roundTrips.Add(1)
	}
}

// makeRoom refuses what would take a slot that nobody could keep alive, or tell from others.
func (e *Engine) makeRoom(t *touch, debits []Debit, know *[MaxDebits]known) error {
	for i, d := range debits {
		if know[i] == knownNothing && d.Limit.shared.kind == Concurrency && !d.Limit.shadow && e.ensure(t, i) == nil {
			return errFull(d.Limit)
		}
	}
	return nil
}

// ensure gives the item of a debit, or nil when there is no room for it.
func (e *Engine) ensure(t *touch, i int) *item[entry] {
	if t.items[i] != nil {
		return t.items[i]
	}
	var spare *item[entry]
	if t.spares != nil {
		spare, t.spares[i] = t.spares[i], nil
	}
	if spare == nil { // it was there a moment ago
		spare = newEntry(t.subjects[i])
	}
	it := e.table.shards[t.shards[i]].insert(spare, t.now)
	if it != nil {
		it.until = t.now + 1 // or the next that this decision inserts could take its room
	}
	t.items[i] = it
	return it
}

// deny is the decision when a limit is short.
func (e *Engine) deny(t *touch, debits []Debit, know *[MaxDebits]known, into []State) Decision {
	from := len(into)
	for i, d := range debits {
		s := State{Leased: know[i] != knownNothing}
		t.state(i, d, &s)
		if know[i] == knownShort {
			s.Short, s.Remaining = true, min(s.Remaining, max(d.cost()-1, 0))
			if t.items[i] != nil {
				s.Wait = max(time.Duration(t.items[i].value.denied.waits(d)-t.now)*time.Microsecond, time.Microsecond)
			}
		}
		into = append(into, s)
	}
	e.count(t, debits, into[from:], false)
	return Decision{States: into}
}

// allowHeld is the decision when all that count are on lease: it spends them, and unlocks.
func (e *Engine) allowHeld(c *channel, t *touch, debits []Debit, know *[MaxDebits]known, into []State) Decision {
	from := len(into)
	for i, d := range debits {
		into = append(into, State{receipt: t.spend(i, d, know[i])})
		e.passed(t, i, d, know[i], &into[len(into)-1])
	}
	e.count(t, debits, into[from:], true)
	fetches := e.prefetch(c, t, debits)
	e.unlock(t)
	for _, p := range fetches {
		c.submit(p)
	}
	return Decision{Allowed: true, States: into}
}

// allow is the decision when all that count have been debited.
func (e *Engine) allow(t *touch, debits []Debit, know *[MaxDebits]known, spent *[MaxDebits]receipt, into []State) Decision {
	from := len(into)
	for i, d := range debits {
		into = append(into, State{receipt: spent[i]})
		e.passed(t, i, d, know[i], &into[len(into)-1])
	}
	e.count(t, debits, into[from:], true)
	return Decision{Allowed: true, States: into}
}

// passed sums up where a limit stands in a decision that lets pass.
func (e *Engine) passed(t *touch, i int, d Debit, know known, s *State) {
	s.Short, s.Leased = s.receipt.how == debitedNot, know == knownHeld
	if d.Limit.shared.kind == Concurrency && !s.Short && !e.occupy(t, i, d) {
		e.channelOf(t.subjects[i].series).giveBack(t.subjects[i], d.Limit, s.receipt, d.cost())
		s.receipt = receipt{} // nobody could tell its end from that of another
	}
	t.state(i, d, s)
}

// state sums up what this node knows of a limit.
func (t *touch) state(i int, d Debit, s *State) {
	if t.items[i] == nil || !t.items[i].value.heard {
		s.Unheard, s.Remaining = true, d.Limit.shared.events
		return
	}
	v := &t.items[i].value
	s.Remaining = v.remaining
	s.Wait = time.Duration(max(v.frees-t.now, 0)) * time.Microsecond
}

func (e *Engine) count(t *touch, debits []Debit, states []State, allowed bool) {
	for i := range debits {
		t.subjects[i].series.zone.count(debits[i].Limit, &states[i], allowed)
	}
}
