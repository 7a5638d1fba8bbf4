package limit

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// The simulator runs real engines on virtual time against the twin of the script, with
// messages that are late or lost, nodes that crash, are cut off and reload, and a Redis
// that is away, starts again empty, or whose clock goes back. It is deterministic: one
// goroutine, and all chance out of one seed.

// scenario is what rapid draws and shrinks.
type scenario struct {
	Seed   uint64
	Kind   Kind
	Window time.Duration
	Events int64
	Fails  OnFailure
	Nodes  int
	// Load is how many requests there are, relative to the limit.
	Load     float64
	Windows  int           // how long it takes
	Trip     time.Duration // one way, at least
	Late     int           // of a hundred messages
	Lost     int           // of a hundred
	Apart    time.Duration // how far each node's clock is ahead of the one before
	Clocks   bool          // Redis's clock goes back
	Crashes  bool          // of nodes
	Restarts bool          // of Redis, empty
	Cuts     bool          // of nodes from Redis
	Away     bool          // Redis, for a while
	Reloads  bool          // to another number of events and back
	Costs    bool          // requests of more than one unit, some settled for less
	Two      bool          // each request has a second limit of its own, strict
	Flushes  int           // of a hundred batches find that Redis has lost its scripts, and are sent again
	Doubled  int           // of a hundred batches come twice
	Skewed   bool          // steady load comes to the first of three nodes mostly
}

// midnight is the end of a period, in the middle of which a scenario of a calendar limit is played.
const midnight = 1_735_689_600_000_000

func scenarios(change func(*rapid.T, *scenario)) *rapid.Generator[scenario] {
	return rapid.Custom(func(t *rapid.T) scenario {
		s := scenario{
			Seed:    rapid.Uint64().Draw(t, "seed"),
			Kind:    Sliding,
			Window:  rapid.SampledFrom([]time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second}).Draw(t, "window"),
			Events:  rapid.SampledFrom([]int64{1, 5, 10, 40, 200, 600}).Draw(t, "events"),
			Fails:   Closed,
			Nodes:   rapid.IntRange(1, 4).Draw(t, "nodes"),
			Load:    rapid.SampledFrom([]float64{0.5, 1.5, 4}).Draw(t, "load"),
			Windows: rapid.IntRange(2, 5).Draw(t, "windows"),
			Trip:    rapid.SampledFrom([]time.Duration{50 * time.Microsecond, time.Millisecond, 8 * time.Millisecond}).Draw(t, "trip"),
			Late:    rapid.SampledFrom([]int{0, 5, 30}).Draw(t, "late"),
			Lost:    rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "lost"),
			Costs:   rapid.Bool().Draw(t, "costs"),
			Two:     rapid.Bool().Draw(t, "two"),
			Flushes: rapid.SampledFrom([]int{0, 0, 10}).Draw(t, "flushes"),
			Doubled: rapid.SampledFrom([]int{0, 0, 10}).Draw(t, "doubled"),
		}
		if change != nil {
			change(t, &s)
		}
		return s
	})
}

type sim struct {
	scenario
	now    int64 // true time
	events timeline
	order  int
	rand   *rand.Rand

	twin       *twin
	away       bool
	back       int64 // how far Redis's clock has gone back
	generation int   // of Redis: what was sent to an older one is lost

	nodes  []*simNode
	spends map[*simKey][]spend
	keys   []*simKey
	trips  int
	asked  []int64        // when
	vain   map[string]int // fetches in a row that came back with nothing, by node and subject
	faults []error
	mutate func(*Limit)
	mutant func(*Engine)
}

type simKey struct {
	name   string
	second bool
}

type spend struct {
	at, cost int64
	node     int
	degraded bool
}

type simEvent struct {
	at, order int64
	f         func()
}

type timeline []simEvent

func (t timeline) Len() int { return len(t) }
func (t timeline) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(t[i].at, t[j].at), cmp.Compare(t[i].order, t[j].order)) < 0
}
func (t timeline) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timeline) Push(e any)   { *t = append(*t, e.(simEvent)) }
func (t *timeline) Pop() any {
	last := len(*t) - 1
	e := (*t)[last]
	*t = (*t)[:last]
	return e
}

func (s *sim) after(d int64, f func()) {
	s.order++
	heap.Push(&s.events, simEvent{s.now + max(d, 0), int64(s.order), f})
}

// simNode is a node: clock, store and process.
type simNode struct {
	sim    *sim
	number int
	offset int64 // of its clock
	life   int   // how many times it has crashed
	cut    bool
	engine *Engine
	limit  *Limit
	second *Limit
}

func (n *simNode) Now() time.Time { return time.UnixMicro(n.sim.now + n.offset) }

func (n *simNode) AfterFunc(d time.Duration, f func()) func() bool {
	stopped, life := false, n.life
	n.sim.after(d.Microseconds(), func() {
		if !stopped && n.life == life {
			f()
		}
	})
	return func() bool { stopped = true; return true }
}

// Take makes a node a Store; engines do not call it.
func (n *simNode) Take(context.Context, []Debit, []State) (Decision, error) {
	return Decision{}, errors.New("not for use")
}

func (s *sim) redisNow() int64 { return s.now - s.back }

// delay draws how long a message takes, or whether it is lost.
func (n *simNode) delay() (int64, bool) {
	s := n.sim
	d := s.Trip.Microseconds() + s.rand.Int64N(s.Trip.Microseconds())
	if s.rand.IntN(100) < s.Late {
		d += s.rand.Int64N(120_000)
	}
	if s.Flushes > 0 && s.rand.IntN(100) < s.Flushes {
		d += 2 * s.Trip.Microseconds() // NOSCRIPT comes back, and the whole script goes out: nothing was done before
	}
	return d, n.cut || s.rand.IntN(100) < s.Lost
}

// message carries a call to Redis and its answer back.
func (n *simNode) message(call func() func(), failed func(error)) {
	s, life, answered := n.sim, n.life, false
	s.trips++
	finish := func(f func()) {
		if !answered && n.life == life {
			answered = true
			f()
		}
	}
	s.after(DefaultTimeout.Microseconds(), func() { finish(func() { failed(errors.New("timeout")) }) })
	there, lost := n.delay()
	if lost {
		return
	}
	sentTo := s.generation
	s.after(there, func() {
		if s.away || sentTo != s.generation {
			s.after(100, func() { finish(func() { failed(errors.New("refused")) }) })
			return
		}
		answer := call()
		if back, lost := n.delay(); !lost {
			s.after(back, func() { finish(answer) })
		}
	})
}

func (n *simNode) send(b *batch, done func(*result, error)) {
	s := n.sim
	n.message(func() func() {
		res := s.twin.run(b, s.redisNow())
		if s.Doubled > 0 && s.rand.IntN(100) < s.Doubled {
			s.after(s.rand.Int64N(50_000), func() { s.again(b) })
		}
		return func() { done(res, nil) }
	}, func(err error) { done(nil, err) })
}

// again has Redis do a batch for a second time.
func (s *sim) again(b *batch) {
	if !s.away {
		s.twin.fetched = nil
		s.twin.run(b, s.redisNow())
		s.twin.fetched = s.fetched
	}
}

func (n *simNode) beat(node string, leave bool, done func(int, error)) {
	n.message(func() func() {
		alive := n.sim.twin.beat(node, leave, n.sim.redisNow())
		return func() { done(alive, nil) }
	}, func(err error) { done(0, err) })
}

func newSim(sc scenario) *sim {
	s := &sim{scenario: sc, now: 1_700_000_000_123_456, rand: rand.New(rand.NewPCG(sc.Seed, 7)),
		spends: map[*simKey][]spend{}, vain: map[string]int{}}
	if s.Kind == Calendar {
		s.now = midnight - int64(s.Windows)*s.Window.Microseconds()/2
	}
	s.twin = s.newTwin()
	return s
}

func (s *sim) newTwin() *twin {
	w := newTwin()
	w.fetched = s.fetched
	return w
}

// vainly is how many fetches in a row may come back with nothing while there is room for each
// node. They are for a lease, a quarter of its life apart; what was there before them is spent
// or expired by then, and the next request asks for itself.
const vainly = 4

// fetched holds the store to being fair: it sees what a node got of the room there was.
func (s *sim) fetched(node string, a ask, room, granted int64) {
	if a.need+a.want == 0 {
		return // it tells what it has spent, and asks for nothing
	}
	who := node + " " + a.limit.id + ":" + a.key
	if granted > 0 || room < max(int64(s.Nodes), a.need) {
		delete(s.vain, who)
		return
	}
	if s.vain[who]++; s.vain[who] > vainly {
		s.faults = append(s.faults, fmt.Errorf("node %s has fetched nothing of %s %d times, with room for %d", node, a.limit.id, s.vain[who], room))
	}
}

func (s *sim) newLimits(n *simNode, events int64) {
	c := Config{Scope: "sim", Name: "first", Kind: s.Kind, Events: events, OnFailure: s.Fails}
	switch s.Kind {
	case Calendar:
		c.Period = Day
	case Concurrency:
	default:
		c.Window = s.Window
	}
	var err error
	if n.limit, err = New(c); err != nil {
		panic(err)
	}
	if n.second, err = New(Config{Scope: "sim", Name: "second", Events: max(events/4, 1), Window: s.Window, OnFailure: s.Fails}); err != nil {
		panic(err)
	}
	if s.mutate != nil {
		s.mutate(n.limit)
		s.mutate(n.second)
	}
}

func (s *sim) start(n *simNode) {
	// So few keys have one shard: which subjects share one is chance otherwise, and with it when
	// what a node knows of one is forgotten.
	n.engine = NewEngine(EngineConfig{Store: n, Nodes: s.Nodes, Clock: n, MaxKeys: minShardKeys})
	if s.mutant != nil {
		s.mutant(n.engine)
	}
	s.newLimits(n, s.Events)
}

// run plays the scenario.
func (s *sim) run() {
	s.startNodes()
	length := int64(s.Windows) * s.Window.Microseconds()
	s.load(length)
	s.trouble(length)
	s.until(s.now + length + 2_000_000)
}

func (s *sim) startNodes() {
	s.keys = []*simKey{{name: "busy"}, {name: "calm"}, {name: "busy", second: true}, {name: "calm", second: true}}
	for i := range s.Nodes {
		n := &simNode{sim: s, number: i, offset: int64(i) * s.Apart.Microseconds()}
		s.nodes = append(s.nodes, n)
		s.start(n)
	}
}

func (s *sim) until(end int64) {
	for len(s.events) > 0 && s.events[0].at <= end {
		e := heap.Pop(&s.events).(simEvent)
		s.now = e.at
		e.f()
	}
}

// steady plays nothing but requests for one key at all nodes, at about a rate: of the
// limit, so many a window.
func (s *sim) steady(load float64, length time.Duration) {
	s.startNodes()
	apart := float64(s.Window.Microseconds()) / (float64(s.Events) * load)
	for i, n := range s.nodes {
		gap := int64(apart * float64(s.Nodes))
		if s.Skewed {
			gap = int64(apart / []float64{0.80, 0.15, 0.05}[i])
		}
		var again func()
		again = func() {
			s.request(n, 0, 1)
			s.after(gap/2+s.rand.Int64N(gap+1), again)
		}
		s.after(s.rand.Int64N(gap+1), again)
	}
	s.until(s.now + length.Microseconds())
}

// exact gives how many of the requests for the first key an exact log would have let through.
func (s *sim) exact() float64 {
	var log []int64
	first := 0
	for _, at := range s.asked {
		for first < len(log) && log[first] <= at-s.Window.Microseconds() {
			first++
		}
		if int64(len(log)-first) < s.Events {
			log = append(log, at)
		}
	}
	return float64(len(log))
}

// load plans the requests: on and off, more on the first nodes.
func (s *sim) load(length int64) {
	total := int(s.Load * float64(s.Events) * float64(s.Windows))
	total = min(max(total, 20), 2000)
	bursts := make([]int64, 1+s.rand.IntN(4))
	for i := range bursts {
		bursts[i] = s.rand.Int64N(length)
	}
	for range total {
		at := s.rand.Int64N(length)
		if s.rand.IntN(2) == 0 {
			at = bursts[s.rand.IntN(len(bursts))] + s.rand.Int64N(20_000)
		}
		n := s.nodes[min(s.rand.IntN(s.Nodes), s.rand.IntN(s.Nodes))]
		key := 0
		if s.rand.IntN(10) == 0 {
			key = 1
		}
		cost := int64(1)
		if s.Costs && s.rand.IntN(4) == 0 {
			cost = 1 + s.rand.Int64N(min(s.Events, 4))
		}
		s.after(at, func() { s.request(n, key, cost) })
	}
}

func (s *sim) request(n *simNode, key int, cost int64) {
	s.asked = append(s.asked, s.now)
	debits := []Debit{{Limit: n.limit, Key: s.keys[key].name, Cost: cost}}
	if s.Two {
		debits = append(debits, Debit{Limit: n.second, Key: s.keys[key].name})
	}
	if cost > n.limit.shared.events {
		return
	}
	life := n.life
	var follow func(d Decision, p *pending, err error)
	follow = func(d Decision, p *pending, err error) {
		if p == nil {
			s.decided(n, key, debits, d, err)
			return
		}
		p.notify = func() {
			s.after(s.rand.Int64N(300), func() { // until the goroutine gets to run
				if n.life == life {
					follow(n.engine.finish(p, nil))
				}
			})
		}
		n.engine.await(p)
	}
	follow(n.engine.begin(debits, nil))
}

func (s *sim) decided(n *simNode, key int, debits []Debit, d Decision, err error) {
	if err != nil && !errors.Is(err, ErrUnavailable) {
		s.faults = append(s.faults, err)
	}
	if err == nil && !d.Degraded {
		for i, debit := range debits {
			s.remembered(n, debit, d.States[i])
		}
	}
	if err != nil || !d.Allowed {
		return
	}
	settled := debits[0].cost()
	if settled > 1 && s.rand.IntN(2) == 0 {
		settled = s.rand.Int64N(settled)
		n.engine.Settle(debits[:1], d.States[:1], []int64{settled})
	}
	for i, debit := range debits {
		cost := debit.cost()
		if i == 0 {
			cost = settled
		}
		if d.States[i].Short {
			s.faults = append(s.faults, errors.New("allowed, and a limit is short"))
		}
		if r := d.States[i].receipt; r.how == debitedStore && r.expired(n.engine.micros()) && debit.Limit.shared.kind != Concurrency {
			s.faults = append(s.faults, fmt.Errorf("node %d spends a unit %d us after it has expired", n.number, n.engine.micros()-r.expires))
		}
		who := s.keys[key+2*i]
		s.spends[who] = append(s.spends[who], spend{s.now, cost, n.number, d.States[i].Degraded})
	}
	if s.Kind == Concurrency {
		took, life := 1+s.rand.Int64N(300_000), n.life
		s.spends[s.keys[key]][len(s.spends[s.keys[key]])-1].cost = took // how long it was in flight
		s.after(took, func() {
			if n.life == life {
				n.engine.Release(debits, d.States)
			}
		})
	}
}

// trouble plans what goes wrong.
func (s *sim) trouble(length int64) {
	times := func(wanted bool, f func()) {
		if wanted {
			for range 1 + s.rand.IntN(2) {
				s.after(s.rand.Int64N(length), f)
			}
		}
	}
	times(s.Clocks, func() { s.back += s.rand.Int64N(s.Window.Microseconds()) })
	times(s.Crashes, func() {
		n := s.nodes[s.rand.IntN(s.Nodes)]
		n.life++ // and with it, all that it held and waited for
		s.start(n)
	})
	times(s.Reloads, func() {
		n := s.nodes[s.rand.IntN(s.Nodes)]
		s.newLimits(n, s.Events/2+1)
		s.after(s.rand.Int64N(length), func() { s.newLimits(n, s.Events) })
	})
	times(s.Restarts, func() {
		s.away = true
		s.generation++
		s.after(s.rand.Int64N(400_000), func() { s.away, s.twin = false, s.newTwin() })
	})
	times(s.Away, func() {
		s.away = true
		s.after(s.rand.Int64N(2*s.Window.Microseconds()), func() { s.away = false })
	})
	times(s.Cuts, func() {
		n := s.nodes[s.rand.IntN(s.Nodes)]
		n.cut = true
		s.after(s.rand.Int64N(2*s.Window.Microseconds()), func() { n.cut = false })
	})
}

// most gives the most that any window of true time holds of a key, by an exact log.
func (s *sim) most(who *simKey, window int64, count func(spend) bool) (most int64) {
	log := slices.DeleteFunc(slices.Clone(s.spends[who]), func(x spend) bool { return !count(x) })
	slices.SortStableFunc(log, func(a, b spend) int { return cmp.Compare(a.at, b.at) })
	first, sum := 0, int64(0)
	for _, x := range log {
		sum += x.cost
		for log[first].at <= x.at-window {
			sum -= log[first].cost
			first++
		}
		most = max(most, sum)
	}
	return most
}

func anySpend(spend) bool { return true }

// limitOf gives the limit of a key.
func (s *sim) limitOf(who *simKey) int64 {
	if who.second {
		return max(s.Events/4, 1)
	}
	return s.Events
}

// over says whether a window of a key holds more than a bound allows.
func (s *sim) over(bound func(who *simKey) int64) error {
	if len(s.faults) > 0 {
		return s.faults[0]
	}
	for _, who := range s.keys {
		if s.Kind != Sliding && !who.second {
			continue
		}
		if got := s.most(who, s.Window.Microseconds(), anySpend); got > bound(who) {
			return fmt.Errorf("%d in a window of key %s (second %v), the limit is %d and the bound %d", got, who.name, who.second, s.limitOf(who), bound(who))
		}
	}
	return nil
}

// cutOff is what is promised while p of n nodes have spent of their shares: the limit, and a
// share for each of the p. The node that has spent the limit itself has no share left of it.
func (s *sim) cutOff(who *simKey) int64 {
	alone := make(map[int]bool)
	for _, x := range s.spends[who] {
		if x.degraded {
			alone[x.node] = true
		}
	}
	share := s.limitOf(who) / int64(s.Nodes)
	return s.limitOf(who) + int64(min(len(alone), s.Nodes-1))*share
}

// restarted is what is promised after each restart of Redis, empty: one more limit.
func (s *sim) restarted(who *simKey) int64 {
	return s.cutOff(who) + int64(s.generation)*s.limitOf(who)
}

// books holds what the store has debited, and not got back, to what was spent: never
// less, and as much where nothing was lost. Nothing is negative.
func (s *sim) books() error {
	for id, c := range s.twin.cells {
		for _, b := range c.buckets {
			if b.count < 0 {
				return fmt.Errorf("%s counts %d in bucket %d", id, b.count, b.index)
			}
		}
	}
	for _, who := range s.keys {
		spent, l := int64(0), s.nodes[0].limit
		if who.second {
			l = s.nodes[0].second
		}
		for _, x := range s.spends[who] {
			spent += x.cost
		}
		net := s.twin.net[l.id+":"+who.name]
		lossless := s.Lost == 0 && s.Late == 0 && !s.Crashes && !s.Cuts && s.Doubled == 0 && s.Kind != Calendar
		if net < spent || lossless && net != spent {
			return fmt.Errorf("key %s (second %v): %d spent, %d debited for good", who.name, who.second, spent, net)
		}
	}
	return nil
}

// remembered holds a no out of a node's memory to the store: it outlives the true wait by
// the life of a lease at most, and what a message takes.
func (s *sim) remembered(n *simNode, d Debit, state State) {
	if s.Fails != Closed {
		return // what was spent of shares is told late, and into the past
	}
	if !state.Short || !state.Leased || s.Clocks || s.Reloads || s.Restarts || d.Limit.shared.kind != Sliding {
		return
	}
	c := s.twin.cells[d.Limit.id+":"+d.Key]
	if c == nil {
		return
	}
	missing := c.counter.used + d.cost() - d.Limit.shared.events
	if missing <= 0 {
		return // units were given back meanwhile
	}
	late := s.now - c.frees(d.Limit.shared.grid, missing) - d.Limit.lease.Microseconds()
	if late > 0 {
		s.faults = append(s.faults, fmt.Errorf("node %d says no %d us after the store would have said yes", n.number, late))
	}
}
