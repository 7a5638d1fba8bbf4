package limit

import "time"

// entry is what a node knows of one subject.
type entry struct {
	lease  *lease  // nil of a limit that is never leased
	own    counter // what this node has debited and not given back, by its own clock
	unsent counter // the part of own that the store does not know
	epoch  int64   // of the store that knows the rest
	denied denial
	flying int64 // what the store has been asked for, and may have debited
	slots  int64 // concurrency: requests in flight
	// telling is how many batches under way say what the store did not know. Until one
	// has arrived, the store's word on the subject is not to be had.
	telling   int32
	heard     bool  // from the store:
	remaining int64 // by its last word, less what was spent here since
	frees     int64 // when the next unit comes back, by the same
}

// denial is the store's no, which holds for a while.
type denial struct{ cost, events, until, wait int64 }

// lease is what a node holds of a limit, and how fast it uses it.
type lease struct {
	grants  [2]grant // the one in use, and the next
	wanted  int64    // has been asked for, and may be granted yet
	granted int64    // by the last fetch
	pause   int64    // until when not to ask for more: there was none
	demand  int64    // since
	since   int64
	rate    float64 // of demand, in units a microsecond
}

// grant is units that are debited and not spent.
type grant struct {
	tokens  int64
	receipt receipt
}

// expired says that what was debited can no longer be spent: the store's buckets
// cover it no longer than that.
func (r receipt) expired(now int64) bool { return now > r.expires }

// spend finds a grant with as many tokens, and spends them.
func (l *lease) spend(n int64) (receipt, bool) {
	for i := range l.grants {
		if g := &l.grants[i]; g.tokens >= n {
			g.tokens -= n
			return g.receipt, true
		}
	}
	return receipt{}, false
}

func (l *lease) has(n int64) bool { return l.grants[0].tokens >= n || l.grants[1].tokens >= n }

func (l *lease) tokens() int64 { return l.grants[0].tokens + l.grants[1].tokens }

// put takes tokens back in, if the grant that they are from is still there.
func (l *lease) put(r receipt, n int64) bool {
	for i := range l.grants {
		if g := &l.grants[i]; g.tokens > 0 && g.receipt == r {
			g.tokens += n
			return true
		}
	}
	return false
}

// add puts a grant where none is. It gives false where two are.
func (l *lease) add(g grant) bool {
	for i := range l.grants {
		if l.grants[i].tokens == 0 {
			l.grants[i] = g
			return true
		}
	}
	return false
}

// note counts demand, of which the next fetch depends.
func (l *lease) note(at, n int64, life time.Duration) {
	l.demand += n
	if age := at - l.since; age >= life.Microseconds()/4 {
		if age > 4*life.Microseconds() {
			l.rate = 0 // after a pause, the past says nothing
			age = life.Microseconds() / 4
		}
		recent := float64(l.demand) / float64(age)
		if l.rate == 0 {
			l.rate = recent
		} else {
			l.rate = (l.rate + recent) / 2
		}
		l.demand, l.since = 0, at
	}
}

// expected gives how many units are used in a while at the present rate.
func (l *lease) expected(now int64, while, life time.Duration) int64 {
	recent := float64(l.demand) / float64(max(now-l.since, life.Microseconds()/4))
	return int64(max(l.rate, recent) * float64(while.Microseconds()))
}

// until gives the time from which an entry may be forgotten.
func (e *entry) until(l *Limit, now int64) int64 {
	if l.shared.kind == Concurrency {
		if e.slots > 0 {
			return now + MaxWindow.Microseconds()
		}
		return now + l.lease.Microseconds()
	}
	until := max(e.own.until(l.shared.grid), e.denied.until)
	if e.lease != nil {
		for _, g := range e.lease.grants {
			if g.tokens > 0 {
				until = max(until, g.receipt.expires+1)
			}
		}
	}
	return until
}
