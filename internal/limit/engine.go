package limit

import (
	"context"
	"time"
)

// EngineConfig sets an Engine up.
type EngineConfig struct {
	Store Store
	// Nodes is the least number of nodes that are taken to share the limits: 1 when zero.
	Nodes int
	// Deadline bounds a decision: 100 ms when zero.
	Deadline time.Duration
	// MaxKeys bounds how many subjects each limit has in this node's memory: 262,144 when zero.
	MaxKeys int
	// Clock is the system's when nil.
	Clock Clock
	// OnChange is told when the store is lost and when it is back, once each.
	OnChange func(Change)
}

// Clock is time as the engine sees it.
type Clock interface {
	Now() time.Time
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Change says that the store of a scope was lost, or is back.
type Change struct {
	Scope    string
	Degraded bool
	Cause    error
}

// Engine decides on one node.
type Engine struct{ store Store }

// NewEngine makes an engine. It does not dial.
func NewEngine(c EngineConfig) *Engine { return &Engine{store: c.Store} }

// Take debits every limit, or none when one of them is short.
func (e *Engine) Take(ctx context.Context, debits []Debit, into []State) (Decision, error) {
	return e.store.Take(ctx, debits, into)
}

// Settle says what allowed debits really cost: less is given back, more is charged.
// A negative cost leaves a debit as it is.
func (e *Engine) Settle(debits []Debit, states []State, costs []int64) {}

// Release ends what an allowed decision holds of its concurrency limits.
func (e *Engine) Release(debits []Debit, states []State) {}

// Inspection is where a subject stands.
type Inspection struct {
	Used, Remaining int64
	Wait            time.Duration
	Held            int64 // units that this node has on lease
	Degraded        bool
}

// Inspect looks a subject up.
func (e *Engine) Inspect(ctx context.Context, l *Limit, key string) (Inspection, error) {
	return Inspection{}, ErrUnavailable
}

// Reset forgets what is counted for a subject.
func (e *Engine) Reset(ctx context.Context, l *Limit, key string) error { return ErrUnavailable }

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
func (e *Engine) Info() Info { return Info{Nodes: 1} }

// Close gives back what is on lease. The store's client stays open.
func (e *Engine) Close() error { return nil }
