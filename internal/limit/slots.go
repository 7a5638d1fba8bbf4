package limit

// The slots of a concurrency limit are kept by node. A take adds to them; all else that a
// node has to say is how many it has, whatever the store knew before. So a lost answer, a
// slot that is given back or an outage need no bookkeeping: they make the node say it again.

// holdsOther notes that the store may count other slots of this node than it has. The
// shard is locked.
func (c *channel) holdsOther(who subject, l *Limit, v *entry) {
	v.unsent.used = 1
	c.missed(who, l)
	c.tellSoon()
}

// loadSlots says how many slots the node has, to a store that may not know. Those that are
// under way may be counted twice for a while, or they could be missed.
func (c *channel) loadSlots(f *flight, who subject, l *Limit, v *entry) {
	if v.unsent.used == 0 && (v.epoch == 0 || v.epoch == f.batch.epoch) {
		return
	}
	held := v.slots + v.lent
	if v.lease != nil {
		held += v.lease.tokens() + v.lease.aloft
		v.lease.twice = v.lease.aloft > 0
	}
	v.epoch, v.unsent = f.batch.epoch, counter{}
	f.batch.ops = append(f.batch.ops, op{code: opHold, asks: []ask{{limit: l, key: who.key, need: held, at: c.holds.Add(1)}}})
	f.charged = append(f.charged, charged{who: who, limit: l})
	v.telling++
}

// board takes a group along, unless it has to wait for what the store is being told.
func (p *pending) board(f *flight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.asks {
		if !p.channel.loadCharges(f, &p.asks[i]) {
			p.leave()
			return false
		}
	}
	return true
}

// disembark takes back that a group has been sent: the store did nothing.
func (p *pending) disembark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
}

func (p *pending) leave() {
	for i := range p.asks {
		a := &p.asks[i]
		s := p.engine.shard(a.who)
		s.Lock()
		if it := s.items[a.who]; it != nil {
			p.channel.arrives(a, &it.value)
		}
		s.Unlock()
	}
}

// boards notes slots that are asked for and under way. The shard is locked.
func (a *asked) boards(v *entry, now int64) {
	if a.aloft || a.ask.need == 0 {
		return
	}
	if v.lease == nil {
		v.lease = &lease{since: now}
	}
	a.aloft = true
	v.lease.aloft += a.ask.need
}

// arrives notes that they no longer are: what came of them is known, or never will be. The
// shard is locked.
func (c *channel) arrives(a *asked, v *entry) {
	if !a.aloft || v.lease == nil {
		return
	}
	a.aloft = false
	v.lease.aloft = max(v.lease.aloft-a.ask.need, 0)
	if v.lease.aloft == 0 && v.lease.twice {
		v.lease.twice = false
		c.holdsOther(a.who, a.ask.limit, v)
	}
}

// refreshSlots keeps the slots of requests that take long.
func (c *channel) refreshSlots() {
	c.mu.Lock()
	held := make(map[subject]*Limit, len(c.slots))
	for who, l := range c.slots {
		held[who] = l
	}
	c.mu.Unlock()
	for who, l := range held {
		s := c.engine.shard(who)
		s.Lock()
		if it := s.items[who]; it != nil {
			c.holdsOther(who, l, &it.value)
		}
		s.Unlock()
	}
}

// lend counts the slots that a decision has taken out of this node's memory while it waits for
// its other limits: nobody else must have them meanwhile. The shards are locked.
func (p *pending) lend(t *touch, sign int64) {
	for i, d := range p.debits {
		if t.items[i] != nil && d.Limit.shared.kind == Concurrency && p.spent[i].how != debitedNot {
			t.items[i].value.lent = max(t.items[i].value.lent+sign*d.cost(), 0)
		}
	}
}
