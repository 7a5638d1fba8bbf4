// Package limit decides how much a caller may do: at most N units in any window
// of a given length, exactly, for several limits of one request together.
//
// # The window
//
// A window W is cut into m buckets of width w, with m*w >= W. A unit is counted in
// the bucket of its time, and a decision sums the current bucket and the m before
// it. Those m+1 buckets always reach back at least W, so whatever lies in a window
// that ends now is in the sum, and no window ever holds more than the limit. The
// price is that a unit comes back up to one bucket late.
//
// # The stores
//
// [Memory] keeps the counts of one process, [Redis] those of any number of nodes.
// Both fail closed: what they cannot decide is an error, never a pass.
package limit

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	// MaxEvents bounds a limit. It keeps every sum exact in a Lua number and in
	// the 32 bits of a bucket.
	MaxEvents = 1_000_000_000
	// MinWindow and MaxWindow bound a window.
	MinWindow = 10 * time.Millisecond
	MaxWindow = 366 * 24 * time.Hour
)

// Names become part of Redis keys, header fields and metric labels.
var names = regexp.MustCompile(`^[A-Za-z0-9_.\-/]{1,64}$`)

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

// Limit is a checked Config. Its counts belong to scope, name and window, so a
// changed number of events goes on with what was counted before.
type Limit struct {
	scope  string
	local  string // name and window: unique in the scope
	id     string // scope, name and window
	events int64
	grid   grid
}

// New checks a configuration.
func New(c Config) (*Limit, error) {
	if c.Scope != "" && !names.MatchString(c.Scope) {
		return nil, fmt.Errorf("scope %q: want up to 64 letters, digits, '_', '.', '-' or '/'", c.Scope)
	}
	if !names.MatchString(c.Name) {
		return nil, fmt.Errorf("name %q: want up to 64 letters, digits, '_', '.', '-' or '/'", c.Name)
	}
	if c.Kind != "" && c.Kind != Sliding {
		return nil, fmt.Errorf("kind %q is not built yet", c.Kind)
	}
	if c.Events < 1 || c.Events > MaxEvents {
		return nil, fmt.Errorf("%d events: want 1 to %d", c.Events, MaxEvents)
	}
	if c.Window < MinWindow || c.Window > MaxWindow {
		return nil, fmt.Errorf("window %v: want %v to %v", c.Window, MinWindow, MaxWindow)
	}
	local := c.Name + ":" + strconv.FormatInt(c.Window.Microseconds(), 10)
	return &Limit{
		scope:  c.Scope,
		local:  local,
		id:     c.Scope + ":" + local, // a name holds no colon
		events: c.Events,
		grid:   newGrid(c.Window, 0),
	}, nil
}

// grid cuts time, in microseconds, into numbered buckets.
type grid struct {
	width int64 // of a bucket
	span  int64 // how many buckets are summed, the current one included
}

// newGrid makes the grid of a window. lease is the longest time that may pass
// between a debit and the spending of what was debited: a decision has to look
// back that much further. Nothing holds units back yet, so limits pass zero.
func newGrid(window, lease time.Duration) grid {
	m := buckets(window)
	width := ceilDiv(window.Microseconds(), m)
	return grid{width: width, span: m + 1 + ceilDiv(lease.Microseconds(), width)}
}

// buckets gives m, the number of buckets that make a window. It depends on the
// window alone, so that a changed number of events keeps the counts. More buckets
// give units back sooner and cost memory: with 50 to 100 a unit is at most 2 %
// late, and in Redis a full key still fits the compact encoding of a small hash
// (128 fields). A bucket is never shorter than a millisecond.
func buckets(window time.Duration) int64 {
	m := min(max(int64(window/time.Second), 50), 100)
	return min(m, int64(window/time.Millisecond))
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
