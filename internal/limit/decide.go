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
func (e *Engine) decide(debits []Debit, into []State, waited *pending) (Decision, *pending, error) {
	var t touch
	e.find(&t, debits)
	c := e.channelOf(t.subjects[0].series)
	e.lock(&t)
	if slices.Contains(t.items[:t.n], nil) {
		e.unlock(&t)
		t.prepare()
		e.lock(&t)
	}
	var know [MaxDebits]known
	missing, short, away := 0, false, c.away.Load()
	for i, d := range debits {
		if waited == nil {
			t.note(i, d)
		}
		know[i] = e.look(c, &t, i, d)
		if know[i] == knownNothing {
			missing++
		}
		short = short || know[i] == knownShort && !d.Limit.shadow
	}
	if short {
		defer e.unlock(&t)
		return e.deny(&t, debits, &know, into), nil, nil
	}
	if missing > 0 && !away && waited == nil && t.flies(debits, &know) {
		e.unlock(&t)
		return Decision{}, &pending{engine: e, channel: c, born: t.now, debits: debits, touch: t}, nil
	}
	if missing == 0 {
		decision := e.allowHeld(&t, debits, &know, into)
		fetches := e.prefetch(c, &t, debits)
		e.unlock(&t)
		for _, p := range fetches {
			c.submit(p)
		}
		return decision, nil, nil
	}
	return e.decideBeyond(c, &t, debits, &know, into, waited)
}

// decideBeyond decides by the store, or without it while it is away, and unlocks.
func (e *Engine) decideBeyond(c *channel, t *touch, debits []Debit, know *[MaxDebits]known, into []State, waited *pending) (Decision, *pending, error) {
	var spent [MaxDebits]receipt
	for i, d := range debits {
		spent[i] = t.spend(i, d, know[i])
	}
	if c.away.Load() {
		defer e.unlock(t)
		decision, err := e.alone(c, t, debits, know, &spent, into)
		return decision, nil, err
	}
	p := e.ask(c, t, debits, know)
	p.spent = spent
	if waited != nil {
		p.born = waited.born
	}
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

// prepare makes what is not there yet.
func (t *touch) prepare() {
	t.spares = make([]*item[entry], t.n)
	for i := range t.n {
		if t.items[i] == nil {
			t.spares[i] = newItem[entry](t.subjects[i])
		}
	}
}

// note counts a debit as demand.
func (t *touch) note(i int, d Debit) {
	if it := t.items[i]; it != nil && it.value.lease != nil {
		it.value.lease.note(t.now, d.cost(), d.Limit.lease)
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
	if v.denied.until > t.now && d.cost() >= v.denied.cost && d.Limit.shared.events <= v.denied.events {
		return knownShort
	}
	return knownNothing
}

// ask makes the question to the store about all debits that this node knows nothing of.
func (e *Engine) ask(c *channel, t *touch, debits []Debit, know *[MaxDebits]known) *pending {
	p := &pending{engine: e, channel: c, born: t.now, debits: slices.Clone(debits)}
	for i, d := range debits {
		if know[i] != knownNothing {
			continue
		}
		a := asked{who: t.subjects[i], debit: i, ask: ask{limit: d.Limit, key: t.subjects[i].key, need: d.cost()}}
		if it := e.ensure(t, i); it != nil {
			a.noted = true
			it.value.flying += a.ask.need
			it.until = max(it.until, t.now+2*e.deadline.Microseconds())
			a.ask.want = e.want(&it.value, d.Limit, t.now, a.ask.need)
		}
		p.asks = append(p.asks, a)
		t.subjects[i].series.zone.roundTrips.Add(1)
	}
	return p
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
		spare = newItem[entry](t.subjects[i])
	}
	t.items[i] = e.table.shards[t.shards[i]].insert(spare, t.now)
	return t.items[i]
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
				s.Wait = max(time.Duration(t.items[i].value.denied.wait-t.now)*time.Microsecond, time.Microsecond)
			}
		}
		into = append(into, s)
	}
	e.count(t, debits, into[from:], false)
	return Decision{States: into}
}

// allowHeld is the decision when all that count are on lease, and spends them.
func (e *Engine) allowHeld(t *touch, debits []Debit, know *[MaxDebits]known, into []State) Decision {
	from := len(into)
	for i, d := range debits {
		into = append(into, State{receipt: t.spend(i, d, know[i])})
		e.passed(t, i, d, know[i], &into[len(into)-1])
	}
	e.count(t, debits, into[from:], true)
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
	if d.Limit.shared.kind == Concurrency && !s.Short {
		e.occupy(t, i, d)
	}
	t.state(i, d, s)
}

// state sums up what this node knows of a limit.
func (t *touch) state(i int, d Debit, s *State) {
	s.Remaining = d.Limit.shared.events
	if t.items[i] == nil {
		return
	}
	if v := &t.items[i].value; v.heard {
		s.Remaining = v.remaining
		s.Wait = time.Duration(max(v.frees-t.now, 0)) * time.Microsecond
	}
}

func (e *Engine) count(t *touch, debits []Debit, states []State, allowed bool) {
	for i := range debits {
		t.subjects[i].series.zone.count(debits[i].Limit, &states[i], allowed)
	}
}
