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
	shards   [MaxDebits]*shard[entry]
	items    [MaxDebits]*item[entry] // nil where nothing is known
	spares   [MaxDebits]*item[entry] // for those
	set      shardSet
}

func (e *Engine) find(t *touch, debits []Debit) {
	t.n = len(debits)
	for i, d := range debits {
		t.subjects[i] = subject{series: e.registry.of(d.Limit), key: boundKey(d.Key)}
		n := e.table.shardOf(t.subjects[i].key)
		t.shards[i] = &e.table.shards[n]
		t.set |= 1 << n
	}
}

func (e *Engine) lock(t *touch) {
	if bits.OnesCount64(uint64(t.set)) == 1 {
		t.shards[0].Lock()
	} else {
		e.table.lock(t.set)
	}
	t.now = e.micros() // under the locks: a time read before them could be old by now
	for i := range t.n {
		if t.items[i] = t.shards[i].items[t.subjects[i]]; t.items[i] != nil {
			t.items[i].until = max(t.items[i].until, t.now+1) // stays while others come
		}
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
	c := e.channel(debits[0].Limit.scope)
	var t touch
	e.find(&t, debits)
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
	var spent [MaxDebits]receipt
	for i, d := range debits {
		if know[i] == knownHeld {
			v := &t.items[i].value
			spent[i], _ = v.lease.spend(d.cost())
			v.remaining = max(v.remaining-d.cost(), 0)
		}
	}
	if missing == 0 {
		decision := e.allow(&t, debits, &know, &spent, into)
		fetches := e.prefetch(c, &t, debits)
		e.unlock(&t)
		for _, p := range fetches {
			c.submit(p)
		}
		return decision, nil, nil
	}
	if away {
		defer e.unlock(&t)
		decision, err := e.alone(c, &t, debits, &know, &spent, into)
		return decision, nil, err
	}
	p := e.ask(c, &t, debits, &know)
	p.spent = spent
	if waited != nil {
		p.born = waited.born
	}
	e.unlock(&t)
	p.touch = t
	return Decision{}, p, nil
}

// prepare makes what is not there yet.
func (t *touch) prepare() {
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
	if t.items[i] == nil {
		if t.spares[i] == nil { // it was there a moment ago
			t.spares[i] = newItem[entry](t.subjects[i])
		}
		t.items[i] = t.shards[i].insert(t.spares[i], t.now)
		t.spares[i] = nil
	}
	return t.items[i]
}

// deny is the decision when a limit is short.
func (e *Engine) deny(t *touch, debits []Debit, know *[MaxDebits]known, into []State) Decision {
	from := len(into)
	for i, d := range debits {
		s := e.state(t, i, d)
		if know[i] == knownShort {
			s.Short, s.Remaining = true, min(s.Remaining, max(d.cost()-1, 0))
			if t.items[i] != nil {
				s.Wait = max(time.Duration(t.items[i].value.denied.wait-t.now)*time.Microsecond, time.Microsecond)
			}
		}
		s.Leased = know[i] != knownNothing
		into = append(into, s)
	}
	e.count(t, debits, into[from:], false)
	return Decision{States: into}
}

// allow is the decision when all that count have been debited.
func (e *Engine) allow(t *touch, debits []Debit, know *[MaxDebits]known, spent *[MaxDebits]receipt, into []State) Decision {
	from := len(into)
	for i, d := range debits {
		if d.Limit.shared.kind == Concurrency && spent[i].how != debitedNot {
			e.occupy(t, i, d)
		}
		s := e.state(t, i, d)
		s.receipt = spent[i]
		s.Short = spent[i].how == debitedNot
		s.Leased = know[i] == knownHeld
		into = append(into, s)
	}
	e.count(t, debits, into[from:], true)
	return Decision{Allowed: true, States: into}
}

// state sums up what this node knows of a limit.
func (e *Engine) state(t *touch, i int, d Debit) State {
	s := State{Remaining: d.Limit.shared.events}
	if t.items[i] == nil {
		return s
	}
	if v := &t.items[i].value; v.heard {
		s.Remaining = v.remaining
		s.Wait = time.Duration(max(v.frees-t.now, 0)) * time.Microsecond
	}
	return s
}

func (e *Engine) count(t *touch, debits []Debit, states []State, allowed bool) {
	for i, d := range debits {
		t.subjects[i].series.zone.count(d.Limit, states[i], allowed)
	}
}
