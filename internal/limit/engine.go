package limit

import (
	"container/heap"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultDeadline is how long a caller waits for the store. It is long for Redis, so
	// that a hiccup costs nothing, and short for a caller.
	defaultDeadline = 100 * time.Millisecond
	beatEvery       = time.Second
	// refreshEvery is how many beats pass until slots are taken anew.
	refreshEvery = 8
	// longestDenial is how long the store's no is believed, so that who resets a key or
	// raises a limit does not have to tell all nodes.
	longestDenial = time.Second
	sweepEvery    = 10 * time.Millisecond
	// leastLease is the fewest units that are worth holding.
	leastLease = 3
)

// EngineConfig sets an Engine up.
type EngineConfig struct {
	// Store is a Memory or a Redis.
	Store Store
	// Nodes is the least number of nodes that are taken to share the limits: 1 when zero.
	Nodes int
	// Deadline bounds a decision: 100 ms when zero.
	Deadline time.Duration
	// MaxKeys bounds how many subjects each limit has in this node's memory: 262,144 when
	// zero. A Memory has its own bound.
	MaxKeys int
	// Clock is the system's when nil.
	Clock Clock
	// OnChange is told when the store is lost and when it is back, once each.
	OnChange func(Change)
}

// Clock is time as the engine sees it.
type Clock interface {
	// Now has a monotonic part.
	Now() time.Time
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// Change says that the store of a scope was lost, or is back.
type Change struct {
	Scope    string
	Degraded bool
	Cause    error
}

// Engine decides on one node. It is safe for concurrent use.
type Engine struct {
	memory   *Memory // or else:
	remote   remote
	registry *registry
	table    *table[entry]
	clock    Clock
	start    time.Time
	node     string
	floor    int64
	alive    atomic.Int64 // how many nodes the store knows
	deadline time.Duration
	onChange func(Change)

	channels sync.Map // by scope
	beating  atomic.Bool
	beats    int
	closed   atomic.Bool

	sweepMu  sync.Mutex
	expiring expiries
	sweeping bool

	roundTrips, failures atomic.Uint64

	lifeFromReply bool // a mistake that a test makes on purpose, to see that it is found
}

// NewEngine makes an engine. It does not dial.
func NewEngine(c EngineConfig) *Engine {
	e := &Engine{clock: c.Clock, floor: int64(max(c.Nodes, 1)), deadline: c.Deadline, onChange: c.OnChange, node: newNode()}
	if e.clock == nil {
		e.clock = systemClock{}
	}
	if e.deadline <= 0 {
		e.deadline = defaultDeadline
	}
	e.start = e.clock.Now()
	if m, ok := c.Store.(*Memory); ok {
		e.memory, e.registry = m, m.registry
		return e
	}
	e.remote, e.registry, e.table = c.Store.(remote), newRegistry(), newTable[entry](c.MaxKeys)
	return e
}

// newNode names a node. A restarted process is a new one: what it knew is gone.
func newNode() string {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails
	return hex.EncodeToString(name[:])
}

// micros gives the time in microseconds. Between the start and now it follows the
// monotonic clock, which nobody can set back.
func (e *Engine) micros() int64 {
	return e.start.UnixMicro() + e.clock.Now().Sub(e.start).Microseconds()
}

func (e *Engine) after(d time.Duration, f func()) { e.clock.AfterFunc(d, f) }

func (e *Engine) nodes() int64 { return max(e.floor, e.alive.Load()) }

func (e *Engine) shard(who subject) *shard[entry] {
	return &e.table.shards[e.table.shardOf(who.key)]
}

func (e *Engine) channel(scope string) *channel {
	if c, ok := e.channels.Load(scope); ok {
		return c.(*channel)
	}
	c, _ := e.channels.LoadOrStore(scope, newChannel(e, scope))
	return c.(*channel)
}

func (e *Engine) changed(c Change) {
	if e.onChange != nil {
		e.after(0, func() { e.onChange(c) })
	}
}

// Take implements Store: it debits every limit, or none when one of them is short.
func (e *Engine) Take(ctx context.Context, debits []Debit, into []State) (Decision, error) {
	if e.memory != nil {
		return e.memory.Take(ctx, debits, into)
	}
	decision, p, err := e.begin(debits, into)
	if p == nil {
		return decision, err
	}
	woken := make(chan struct{})
	p.notify = func() { close(woken) }
	stop := e.await(p)
	<-woken
	stop()
	return e.finish(p, into)
}

// await sends a decision to the store. Its notify is called when an answer is there or
// time is up.
func (e *Engine) await(p *pending) (stop func() bool) {
	stop = e.clock.AfterFunc(p.patience(), p.wake)
	p.channel.submit(p)
	return stop
}

// touch is what a decision has to do with in the table.
type touch struct {
	now      int64
	n        int
	subjects [MaxDebits]subject
	shards   [MaxDebits]*shard[entry]
	items    [MaxDebits]*item[entry] // nil where nothing is known
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

// begin decides out of this node's memory, or gives what the store has to be asked.
func (e *Engine) begin(debits []Debit, into []State) (Decision, *pending, error) {
	if err := check(debits, (*Limit).sharedRule); err != nil {
		return Decision{}, nil, err
	}
	c := e.channel(debits[0].Limit.scope)
	if !e.beating.Load() {
		e.startBeating()
	}
	var t touch
	e.find(&t, debits)
	e.lock(&t)
	var know [MaxDebits]known
	missing, short, away := 0, false, c.away.Load()
	for i, d := range debits {
		know[i] = e.look(c, &t, i, d)
		if know[i] == knownNothing {
			missing++
			away = away || t.items[i] != nil && t.items[i].value.telling > 0
		}
		short = short || know[i] == knownShort && !d.Limit.shadow
	}
	if short {
		defer e.unlock(&t)
		return e.deny(&t, debits, &know, into), nil, nil
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
	e.unlock(&t)
	p.touch = t
	return Decision{}, p, nil
}

// look finds out what this node knows of a debit.
func (e *Engine) look(c *channel, t *touch, i int, d Debit) known {
	it := t.items[i]
	if it == nil {
		return knownNothing
	}
	v := &it.value
	if l := v.lease; l != nil {
		l.note(t.now, d.cost(), d.Limit.lease)
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

// expire gives back what can no longer be spent.
func (e *Engine) expire(c *channel, who subject, l *Limit, v *entry, now int64) {
	for i := range v.lease.grants {
		g := &v.lease.grants[i]
		if g.tokens > 0 && g.receipt.expired(now) {
			e.returns(c, who, l, v, g.receipt, g.tokens)
			g.tokens = 0
		}
	}
}

// returns gives units back that were not spent. The shard is locked.
func (e *Engine) returns(c *channel, who subject, l *Limit, v *entry, r receipt, n int64) {
	if l.shared.kind != Concurrency {
		v.own.credit(l.shared.grid.index(r.sent), n)
	}
	c.giveBack(who, l, r, n)
}

func (e *Engine) giveBack(c *channel, who subject, l *Limit, r receipt, n int64) {
	s := e.shard(who)
	s.Lock()
	defer s.Unlock()
	if it := s.items[who]; it != nil {
		e.returns(c, who, l, &it.value, r, n)
		return
	}
	c.giveBack(who, l, r, n)
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
		t.items[i] = t.shards[i].insert(t.subjects[i], t.now)
	}
	return t.items[i]
}

// want says how many units to ask for on lease: those that will be used while it
// lives, less what there is already. It marks that they are asked for.
func (e *Engine) want(v *entry, l *Limit, now, need int64) int64 {
	if v.lease == nil || v.lease.wanted > 0 || v.lease.pause > now || l.shared.kind == Concurrency {
		return 0
	}
	life := l.lease - time.Duration(e.channel(l.scope).trip.Load())*time.Microsecond
	want := v.lease.expected(now, life, l.lease) - need - v.lease.tokens()
	if want < leastLease {
		return 0
	}
	v.lease.wanted = want
	return want
}

// prefetch asks for more before the units run out: as late as a round trip allows,
// because what is fetched early expires early.
func (e *Engine) prefetch(c *channel, t *touch, debits []Debit) (fetches []*pending) {
	for i, d := range debits {
		l := t.items[i].value.lease
		if l.wanted > 0 || t.items[i].value.telling > 0 || c.away.Load() || d.Limit.shared.kind == Concurrency {
			continue
		}
		trips := 2 * time.Duration(c.trip.Load()) * time.Microsecond
		if l.tokens() > min(l.granted/2, l.expected(t.now, trips, d.Limit.lease)+1) {
			continue
		}
		if want := e.want(&t.items[i].value, d.Limit, t.now, 0); want > 0 {
			a := ask{limit: d.Limit, key: t.subjects[i].key, want: want}
			fetches = append(fetches, &pending{engine: e, channel: c, born: t.now,
				asks: []asked{{who: t.subjects[i], debit: i, ask: a}}})
			t.subjects[i].series.zone.roundTrips.Add(1)
		}
	}
	return fetches
}

// finish makes a decision out of the store's word, or does without it.
func (e *Engine) finish(p *pending, into []State) (Decision, error) {
	decision, late, err := e.conclude(p, into)
	if late {
		since := p.flown.Load()
		if since == 0 {
			since = p.born
		}
		p.channel.late(since)
	}
	return decision, err
}

// conclude also says whether no answer has come in time.
func (e *Engine) conclude(p *pending, into []State) (decision Decision, late bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.concluded.Store(true)
	t := &p.touch
	e.lock(t)
	defer e.unlock(t)
	for _, a := range p.asks {
		if it := t.items[a.debit]; it != nil && a.noted {
			it.value.flying = max(it.value.flying-a.ask.need, 0)
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
	decision, err = e.alone(p.channel, t, p.debits, &know, &p.spent, into)
	return decision, !p.landed, err
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
	s.Short, s.Wait, s.Leased = word.Short, word.Wait, false
	s.Remaining = word.Remaining + p.landing.answers[i].extra
}

// unspend puts back what was taken out of this node's memory.
func (e *Engine) unspend(c *channel, t *touch, debits []Debit, spent *[MaxDebits]receipt) {
	for i, d := range debits {
		if spent[i].how != debitedStore || t.items[i] == nil {
			continue
		}
		v := &t.items[i].value
		if spent[i].expired(t.now) || !v.lease.put(spent[i], d.cost()) && !v.lease.add(grant{d.cost(), spent[i]}) {
			e.returns(c, t.subjects[i], d.Limit, v, spent[i], d.cost())
		} else {
			v.remaining += d.cost()
			e.expiresAt(spent[i].expires, t.subjects[i], d.Limit)
		}
		spent[i] = receipt{}
	}
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

// record keeps what the store says of a subject.
func (e *Engine) record(p *pending, a asked, word answer, l landing) {
	s := e.shard(a.who)
	s.Lock()
	defer s.Unlock()
	it := s.items[a.who]
	if l.err != nil {
		if it != nil && it.value.lease != nil && a.ask.want > 0 {
			it.value.lease.wanted = 0
		}
		return
	}
	now, limit := e.micros(), a.ask.limit
	if it == nil {
		if it = s.insert(a.who, now); it == nil {
			a.who.series.overflows(limit.shared.grid, now)
			if l.allowed && !word.short {
				p.channel.giveBack(a.who, limit, newReceipt(limit, word, l), word.extra)
			}
			return
		}
	}
	v := &it.value
	if v.epoch == 0 {
		v.epoch = l.epoch
	}
	if v.lease == nil && limit.leasable(e.nodes()) {
		v.lease = &lease{since: now}
	}
	if l.allowed && !word.short && a.ask.need+word.extra > 0 {
		e.recordDebit(p.channel, a, word, l, v, now)
	}
	if word.short || word.used >= limit.shared.events && limit.shared.kind != Concurrency {
		e.recordDenial(a, word, l, v, now)
	} else if a.ask.need > 0 {
		v.denied = denial{}
	}
	v.heard, v.remaining, v.frees = true, max(limit.shared.events-word.used, 0), l.sent+word.wait
	if v.lease != nil {
		v.remaining += v.lease.tokens()
		if a.ask.want > 0 {
			v.lease.wanted = 0
			if word.extra == 0 {
				v.lease.pause = now + limit.lease.Microseconds()/4
			}
		}
	}
	it.until = v.until(limit, now)
	if limit.shared.kind == Concurrency {
		e.expiresAt(now+limit.lease.Microseconds(), a.who, limit)
	}
}

func (e *Engine) recordDebit(c *channel, a asked, word answer, l landing, v *entry, now int64) {
	limit := a.ask.limit
	if limit.shared.kind != Concurrency {
		v.own.advance(limit.shared.grid, now)
		index := limit.shared.grid.index(l.sent)
		v.own.debit(index, a.ask.need+word.extra)
		if c.knows() != l.epoch { // the store that said it is gone
			v.unsent.debit(index, a.ask.need+word.extra)
			c.missed(a.who, limit)
		}
	}
	if word.extra == 0 {
		return
	}
	g := grant{word.extra, newReceipt(limit, word, l)}
	v.lease.granted = word.extra
	if g.receipt.expired(now) || !v.lease.add(g) {
		e.returns(c, a.who, limit, v, g.receipt, g.tokens)
		return
	}
	e.expiresAt(g.receipt.expires, a.who, limit)
}

// recordDenial remembers that the limit is used up until units are back. Of a limit that gives many
// back in a while it is remembered for two thirds of a lease's life at least: then
// there is something to fetch.
func (e *Engine) recordDenial(a asked, word answer, l landing, v *entry, now int64) {
	limit := a.ask.limit
	wait := l.sent + word.wait
	until := min(wait, now+longestDenial.Microseconds())
	if limit.shared.slice/e.nodes() >= 2 {
		until = max(until, l.sent+limit.lease.Microseconds()*2/3)
	}
	if limit.shared.kind == Concurrency {
		until = now + slotIdle.Microseconds()
	}
	cost := int64(1) // there is nothing left
	if word.short {
		cost = max(a.ask.need, 1)
	}
	v.denied = denial{cost: cost, events: limit.shared.events, until: until, wait: max(wait, until)}
}

// leasable says whether it can ever be worth while to hold units of the limit.
func (l *Limit) leasable(nodes int64) bool {
	if l.shared.kind == Concurrency {
		return true
	}
	return l.shared.events >= leastEvents && max(l.shared.events/(2*nodes), l.shared.slice/nodes) >= 2
}

// overflows notes that something was debited and there is no room to remember it.
func (s *series) overflows(g grid, now int64) {
	if g.width > 0 {
		s.overflow.Store(g.leaves(g.index(now)))
	}
}

// expiry is when to look whether units on lease have to be given back.
type expiry struct {
	at    int64
	who   subject
	limit *Limit
}

type expiries []expiry

func (x expiries) Len() int           { return len(x) }
func (x expiries) Less(i, j int) bool { return x[i].at < x[j].at }
func (x expiries) Swap(i, j int)      { x[i], x[j] = x[j], x[i] }

// Push implements heap.Interface.
func (x *expiries) Push(v any) { *x = append(*x, v.(expiry)) }

// Pop implements heap.Interface.
func (x *expiries) Pop() any {
	last := len(*x) - 1
	v := (*x)[last]
	(*x)[last] = expiry{}
	*x = (*x)[:last]
	return v
}

func (e *Engine) expiresAt(at int64, who subject, l *Limit) {
	e.sweepMu.Lock()
	defer e.sweepMu.Unlock()
	heap.Push(&e.expiring, expiry{at, who, l})
	if !e.sweeping {
		e.sweeping = true
		e.after(max(time.Duration(at-e.micros())*time.Microsecond, sweepEvery), e.sweep)
	}
}

// sweep gives back what expired while nobody asked for it.
func (e *Engine) sweep() {
	now := e.micros()
	for {
		e.sweepMu.Lock()
		if len(e.expiring) == 0 || e.closed.Load() {
			e.sweeping = false
			e.sweepMu.Unlock()
			return
		}
		if next := e.expiring[0].at; next >= now {
			e.after(max(time.Duration(next-now+1)*time.Microsecond, sweepEvery), e.sweep)
			e.sweepMu.Unlock()
			return
		}
		due := heap.Pop(&e.expiring).(expiry)
		e.sweepMu.Unlock()
		e.sweepOne(due, now)
	}
}

func (e *Engine) sweepOne(due expiry, now int64) {
	s := e.shard(due.who)
	s.Lock()
	defer s.Unlock()
	if it := s.items[due.who]; it != nil && it.value.lease != nil {
		e.expire(e.channel(due.limit.scope), due.who, due.limit, &it.value, now)
		it.until = it.value.until(due.limit, now)
	}
}

// errFull says which limit has no room.
func errFull(l *Limit) error { return fmt.Errorf("%w: %s", ErrFull, l.id) }
