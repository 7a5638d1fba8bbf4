package limit

import "slices"

// finish makes a decision out of the store's word, or does without it. Where what was
// under way has not been enough, it gives what has to be waited for next.
func (e *Engine) finish(p *pending, into []State) (Decision, *pending, error) {
	if p.joins() {
		return e.decide(p.debits, into, p)
	}
	decision, late, err := e.conclude(p, slices.Grow(into, len(p.debits)))
	if late {
		since := p.flown.Load()
		if since == 0 {
			since = p.born
		}
		p.channel.late(since)
	}
	return decision, nil, err
}

// conclude also says whether no answer has come in time.
func (e *Engine) conclude(p *pending, into []State) (decision Decision, late bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.concluded.Store(true)
	t := &p.touch
	e.lock(t)
	defer e.unlock(t)
	p.lend(t, -1)
	for i := range p.asks {
		a := &p.asks[i]
		if it := t.items[a.debit]; it != nil && a.noted {
			it.value.flying = max(it.value.flying-a.ask.need, 0)
			if p.landed {
				p.channel.arrives(a, &it.value)
			}
		}
	}
	var know [MaxDebits]known
	for i := range p.debits {
		if p.spent[i].how != debitedNot {
			know[i] = knownHeld
		} else {
			know[i] = knownShort // in the shadow, or it will be found to be otherwise
		}
	}
	if p.landed && p.landing.err == nil {
		if !p.landing.allowed {
			return e.denied(p, &know, into), false, nil
		}
		if e.inTime(p) {
			return e.allowed(p, &know, into), false, nil
		}
		for i, a := range p.asks {
			if it := t.items[a.debit]; it != nil && !p.landing.answers[i].short {
				e.returns(p.channel, a.who, a.ask.limit, &it.value, p.receipt(i), a.ask.need)
			}
		}
	}
	for _, a := range p.asks {
		know[a.debit] = knownNothing
	}
	e.outlived(p, &know)
	decision, err = e.alone(p.channel, t, p.debits, &know, &p.spent, into)
	return decision, !p.landed, err
}

// outlived gives back what was taken out of this node's memory and has expired while
// the store was waited for: its limit has to be decided anew.
func (e *Engine) outlived(p *pending, know *[MaxDebits]known) {
	t := &p.touch
	for i, r := range p.spent {
		if r.how != debitedStore || !r.expired(t.now) || p.debits[i].Limit.shared.kind == Concurrency {
			continue
		}
		if it := t.items[i]; it != nil {
			e.returns(p.channel, t.subjects[i], p.debits[i].Limit, &it.value, r, p.debits[i].cost())
		}
		p.spent[i], know[i] = receipt{}, knownNothing
	}
}

// inTime says whether all that was debited may still be spent.
func (e *Engine) inTime(p *pending) bool {
	for i, a := range p.asks {
		if !p.landing.answers[i].short && p.receipt(i).expired(p.touch.now) && a.ask.limit.shared.kind != Concurrency {
			return false
		}
	}
	for i, r := range p.spent {
		if r.how == debitedStore && r.expired(p.touch.now) && p.debits[i].Limit.shared.kind != Concurrency {
			return false
		}
	}
	return true
}

// allowed is the decision when the store has said yes.
func (e *Engine) allowed(p *pending, know *[MaxDebits]known, into []State) Decision {
	for i, a := range p.asks {
		if !p.landing.answers[i].short {
			p.spent[a.debit] = p.receipt(i)
			know[a.debit] = knownNothing
		}
	}
	d := e.allow(&p.touch, p.debits, know, &p.spent, into)
	for i, a := range p.asks {
		p.fill(&d.States[a.debit], i)
	}
	return d
}

// denied is the decision when the store has said no.
func (e *Engine) denied(p *pending, know *[MaxDebits]known, into []State) Decision {
	e.unspend(p.channel, &p.touch, p.debits, &p.spent)
	for i, a := range p.asks {
		if !p.landing.answers[i].short {
			know[a.debit] = knownNothing
		}
	}
	d := e.deny(&p.touch, p.debits, know, into)
	for i, a := range p.asks {
		p.fill(&d.States[a.debit], i)
	}
	return d
}

// fill sets a state by the store's word on it.
func (p *pending) fill(s *State, i int) {
	word := p.landing.answers[i].state(p.asks[i].ask.limit)
	s.Short, s.Wait, s.Leased, s.Unheard = word.Short, word.Wait, false, false
	s.Remaining = word.Remaining + p.landing.answers[i].extra
}

// unspend puts back what was taken out of this node's memory.
func (e *Engine) unspend(c *channel, t *touch, debits []Debit, spent *[MaxDebits]receipt) {
	for i, d := range debits {
		if spent[i].how != debitedStore || t.items[i] == nil {
			continue
		}
		v := &t.items[i].value
		if spent[i].expired(t.now) || v.lease == nil || !v.lease.put(spent[i], d.cost()) && !v.lease.add(grant{d.cost(), spent[i]}) {
			e.returns(c, t.subjects[i], d.Limit, v, spent[i], d.cost())
		} else {
			v.remaining += d.cost()
			e.expiresAt(spent[i].expires, t.subjects[i], d.Limit)
		}
		spent[i] = receipt{}
	}
}
