package limit

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// series is the identity of a limit in an engine: what a reload keeps. Limits of the
// same scope, name, kind and window share it.
type series struct {
	registry *registry
	id       string
	zone     *zoneCounters
	channel  atomic.Pointer[channel]
	overflow atomic.Int64 // until when something counts that a node had no room to remember
}

// zoneCounters count what became of the debits of a zone, whatever its window is now.
type zoneCounters struct {
	scope, name                                                        string
	allowed, denied, shadowed, leased, roundTrips, degraded, givenBack atomic.Uint64
}

// registry has the series of an engine.
type registry struct {
	mu     sync.Mutex
	series map[string]*series
	zones  map[[2]string]*zoneCounters
}

func newRegistry() *registry {
	return &registry{series: make(map[string]*series), zones: make(map[[2]string]*zoneCounters)}
}

// of gives the series of a limit, which remembers it.
func (r *registry) of(l *Limit) *series {
	if s := l.series.Load(); s != nil && s.registry == r {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.series[l.id]
	if s == nil {
		s = &series{registry: r, id: l.id, zone: r.zone(l.scope, l.name)}
		r.series[l.id] = s
	}
	l.series.Store(s)
	return s
}

func (r *registry) zone(scope, name string) *zoneCounters {
	who := [2]string{scope, name}
	if r.zones[who] == nil {
		r.zones[who] = &zoneCounters{scope: scope, name: name}
	}
	return r.zones[who]
}

// count counts what became of a decision.
func (z *zoneCounters) count(l *Limit, s *State, allowed bool) {
	switch {
	case s.Short && l.shadow:
		z.shadowed.Add(1)
	case s.Short:
		z.denied.Add(1)
	case allowed:
		z.allowed.Add(1)
	}
	if s.Leased {
		z.leased.Add(1)
	}
	if s.Degraded {
		z.degraded.Add(1)
	}
}

// info gives a snapshot, with the number of keys that each series has in memory.
func (r *registry) info(keys map[*series]int) []LimitInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := make(map[*zoneCounters]int)
	for s, n := range keys {
		held[s.zone] += n
	}
	all := make([]LimitInfo, 0, len(r.zones))
	for _, z := range r.zones {
		all = append(all, LimitInfo{
			Scope: z.scope, Name: z.name,
			Allowed: z.allowed.Load(), Denied: z.denied.Load(), Shadowed: z.shadowed.Load(),
			Leased: z.leased.Load(), RoundTrips: z.roundTrips.Load(), Degraded: z.degraded.Load(),
			GivenBack: z.givenBack.Load(), Keys: held[z],
		})
	}
	slices.SortFunc(all, func(a, b LimitInfo) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name))
	})
	return all
}
