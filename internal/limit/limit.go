// Package limit decides how much a caller may do, exactly and on any number of
// nodes, for several limits of one request together.
//
// # The window
//
// A window W is cut into m buckets of width w, with m*w >= W. A unit is counted in
// the bucket of its debit, and a decision sums the current bucket and the
// m + ceil(L/w) before it, where L is the longest that may pass between the debit
// and the spending of what was debited. Those buckets always reach back to every
// debit whose unit may be spent in a window that ends now, so no window ever holds
// more than the limit. The price is that a unit comes back up to one bucket and L late.
//
// # The parts
//
// [Memory] counts in one process and [Redis] for any number of nodes. An [Engine] is
// what handlers ask: above a Redis it takes units on lease, so that a busy subject
// costs a round trip in a hundred decisions, and decides by its own share of a limit
// while Redis is away. What nothing can decide is an error, never a pass.
package limit

import (
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// MaxEvents bounds a limit. It keeps every sum exact in a Lua number.
	MaxEvents = 1_000_000_000
	// MinWindow and MaxWindow bound a window.
	MinWindow = 10 * time.Millisecond
	MaxWindow = 366 * 24 * time.Hour
)

// Names become part of Redis keys, header fields and metric labels.
var names = regexp.MustCompile(`^[A-Za-z0-9_.\-/]{1,64}$`)

// Kind is how a limit counts.
type Kind string

// The kinds of limits.
const (
	Sliding     Kind = "sliding"     // at most Events in any window
	Calendar    Kind = "calendar"    // at most Events a day or month
	GCRA        Kind = "gcra"        // Events a window, paced, with bursts
	Concurrency Kind = "concurrency" // at most Events in flight at once
)

// Period is what a calendar limit counts by, in UTC.
type Period string

// The periods of calendar limits.
const (
	Day   Period = "day"
	Month Period = "month"
)

// OnFailure is what a limit does while its store is out of reach.
type OnFailure string

// What a limit may do while its store is out of reach.
const (
	Share  OnFailure = "share"  // each node admits its share of the limit
	Closed OnFailure = "closed" // refuses
	Open   OnFailure = "open"   // admits
)

// Config says what a limit is.
type Config struct {
	// Scope groups limits that are decided together: the name of an API. It may be
	// empty. In a Redis Cluster all limits of a scope live on one shard.
	Scope string
	// Name is unique in its scope: the name of a zone.
	Name string
	// Kind is Sliding when empty.
	Kind Kind
	// Events is how many units a window or a period holds; of a concurrency limit, how
	// many are in flight at once.
	Events int64
	// Window is the length of time of a sliding or gcra limit.
	Window time.Duration
	// Period is that of a calendar limit.
	Period Period
	// Burst is how many units of a gcra limit may come at once: Events when zero.
	Burst int64
	// OnFailure is Share when empty.
	OnFailure OnFailure
	// Shadow makes a limit count and report, and refuse nobody.
	Shadow bool
}

// Limit is a checked Config. Its counts belong to scope, name, kind and window, so a
// changed number of events goes on with what was counted before.
type Limit struct {
	scope  string
	name   string
	local  string // unique in the scope
	id     string // scope and local
	shadow bool
	fails  OnFailure

	shared rule          // in a store of many nodes, with leases
	alone  rule          // in the memory of one process
	lease  time.Duration // how long after its sending a debit may be spent

	series atomic.Pointer[series] // that of the engine which asked last
}

// New checks a configuration.
func New(c Config) (*Limit, error) {
	if c.Scope != "" && !names.MatchString(c.Scope) {
		return nil, fmt.Errorf("scope %q: want up to 64 letters, digits, '_', '.', '-' or '/'", c.Scope)
	}
	if !names.MatchString(c.Name) {
		return nil, fmt.Errorf("name %q: want up to 64 letters, digits, '_', '.', '-' or '/'", c.Name)
	}
	if c.Events < 1 || c.Events > MaxEvents {
		return nil, fmt.Errorf("%d events: want 1 to %d", c.Events, MaxEvents)
	}
	if c.Kind == "" {
		c.Kind = Sliding
	}
	l := &Limit{scope: c.Scope, name: c.Name, shadow: c.Shadow, fails: c.OnFailure}
	switch l.fails {
	case Share, Closed, Open:
	case "":
		l.fails = Share
	default:
		return nil, fmt.Errorf("on_failure %q: want share, closed or open", c.OnFailure)
	}
	if err := l.setKind(c); err != nil {
		return nil, err
	}
	l.local = c.Name + ":" + l.local
	l.id = c.Scope + ":" + l.local // a name holds no colon
	return l, nil
}

// setKind sets what depends on the kind, and the rest of the limit's identity.
func (l *Limit) setKind(c Config) error {
	if c.Kind != GCRA && c.Burst != 0 {
		return fmt.Errorf("burst %d: only a gcra limit has one", c.Burst)
	}
	if c.Kind != Calendar && c.Period != "" {
		return fmt.Errorf("period %q: only a calendar limit has one", c.Period)
	}
	switch c.Kind {
	case Sliding, GCRA:
		if c.Window < MinWindow || c.Window > MaxWindow {
			return fmt.Errorf("window %v: want %v to %v", c.Window, MinWindow, MaxWindow)
		}
	case Calendar, Concurrency:
		if c.Window != 0 {
			return fmt.Errorf("window %v: a %s limit has none", c.Window, c.Kind)
		}
	}
	switch c.Kind {
	case Sliding:
		l.local = strconv.FormatInt(c.Window.Microseconds(), 10)
		l.setWindow(c.Events, c.Window)
	case GCRA:
		return l.setPace(c)
	case Calendar:
		return l.setPeriod(c)
	case Concurrency:
		l.local = string(Concurrency)
		l.lease = slotIdle
		l.shared = rule{kind: Concurrency, events: c.Events, life: slotLife.Microseconds()}
		l.alone = rule{kind: Concurrency, events: c.Events, life: MaxWindow.Microseconds()}
	default:
		return fmt.Errorf("kind %q: want sliding, calendar, gcra or concurrency", c.Kind)
	}
	return nil
}

func (l *Limit) setWindow(events int64, window time.Duration) {
	l.lease = leaseLife(window)
	l.shared = rule{kind: Sliding, events: events, grid: newGrid(window, l.lease), slice: slice(events, l.lease, window)}
	l.alone = rule{kind: Sliding, events: events, grid: newGrid(window, 0)}
}

func (l *Limit) setPeriod(c Config) error {
	length := 24 * time.Hour
	g := grid{width: length.Microseconds(), span: 1}
	switch c.Period {
	case Day:
	case Month:
		length = 28 * 24 * time.Hour
		g.month = true
	default:
		return fmt.Errorf("period %q: want day or month", c.Period)
	}
	l.local = string(c.Period)
	l.lease = leaseLife(length)
	l.shared = rule{kind: Calendar, events: c.Events, grid: g, slice: slice(c.Events, l.lease, length)}
	l.alone = l.shared
	return nil
}

func (l *Limit) setPace(c Config) error {
	if c.Burst == 0 {
		c.Burst = c.Events
	}
	if c.Burst < 1 || c.Burst > MaxEvents {
		return fmt.Errorf("burst %d: want 1 to %d", c.Burst, MaxEvents)
	}
	if c.Events > c.Window.Microseconds() {
		return fmt.Errorf("%d events in %v: a gcra limit has one a microsecond at most", c.Events, c.Window)
	}
	interval := ceilDiv(c.Window.Microseconds(), c.Events)
	if c.Burst > MaxWindow.Microseconds()/interval {
		return fmt.Errorf("burst %d: would take more than %v to come back", c.Burst, MaxWindow)
	}
	l.local = string(GCRA) + ":" + strconv.FormatInt(c.Window.Microseconds(), 10)
	l.lease = leaseLife(c.Window)
	refill := time.Duration(c.Burst*interval) * time.Microsecond
	l.shared = rule{kind: GCRA, events: c.Burst, interval: interval, slice: slice(c.Events, l.lease, c.Window),
		grid: newGrid(max(refill, MinWindow), l.lease)}
	l.alone = l.shared
	return nil
}

// leaseLife is L, the longest that a unit may be spent after its debit was sent for. A
// longer one saves round trips, and gives units back later: a fiftieth of the window,
// at most a second. Windows of a few seconds get up to 60 ms, or a thousand requests a
// second would need more than 20 calls for themselves. It depends on the window alone, so
// that all nodes agree.
func leaseLife(window time.Duration) time.Duration {
	return min(time.Second, max(window/50, min(window*3/50, 60*time.Millisecond)))
}

// slice is how many units come back during the life of a lease.
func slice(events int64, lease, window time.Duration) int64 {
	return int64(float64(events) * float64(lease) / float64(window))
}
