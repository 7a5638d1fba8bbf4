package limit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
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
	floor    atomic.Int64
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
	e := &Engine{clock: c.Clock, deadline: c.Deadline, onChange: c.OnChange, node: newNode()}
	e.SetNodes(c.Nodes)
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
	e.remote, e.registry = c.Store.(remote), newRegistry()
	e.table = newTable(c.MaxKeys, e.letGo)
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
	if _, ours := e.clock.(systemClock); ours { // Since reads one clock, and Now two
		return e.start.UnixMicro() + time.Since(e.start).Microseconds()
	}
	return e.start.UnixMicro() + e.clock.Now().Sub(e.start).Microseconds()
}

func (e *Engine) after(d time.Duration, f func()) { e.clock.AfterFunc(d, f) }

func (e *Engine) nodes() int64 { return max(e.floor.Load(), e.alive.Load()) }

// SetNodes changes the least number of nodes that are taken to share the limits. What this
// node has spent stays counted.
func (e *Engine) SetNodes(n int) { e.floor.Store(int64(max(n, 1))) }

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

// channelOf gives the channel of a series, which remembers it.
func (e *Engine) channelOf(s *series) *channel {
	if c := s.channel.Load(); c != nil {
		return c
	}
	c := e.channel(s.zone.scope)
	s.channel.Store(c)
	return c
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
	return e.follow(p, into)
}

// follow waits for the end of a decision.
func (e *Engine) follow(p *pending, into []State) (decision Decision, err error) {
	for p != nil {
		woken := make(chan struct{})
		p.notify = func() { close(woken) }
		stop := e.await(p)
		<-woken
		stop()
		decision, p, err = e.finish(p, into)
	}
	return decision, err
}

// await sends a decision to the store, or has it wait for what is under way from there.
// Its notify is called when an answer is there or time is up.
func (e *Engine) await(p *pending) (stop func() bool) {
	stop = e.clock.AfterFunc(p.patience(), p.wake)
	if p.joins() {
		e.join(p)
	} else {
		p.channel.submit(p)
	}
	return stop
}
