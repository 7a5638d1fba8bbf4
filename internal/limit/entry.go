package limit

// entry is what a node knows of one subject.
type entry struct {
	lease  *lease  // nil of a limit that is never leased
	own    counter // what this node has debited and not given back, by its own clock
	unsent counter // the part of own that the store does not know
	epoch  int64   // of the store that knows the rest
	denied denial
	flying int64 // what the store has been asked for, and may have debited
	slots  int64 // concurrency: requests in flight
	lent   int64 // concurrency: slots of this node's that decisions hold which wait for other limits
	// telling is how many batches under way say what the store did not know. Until one
	// has arrived, the store's word on the subject is not to be had.
	telling   int32
	heard     bool  // from the store:
	remaining int64 // by its last word, less what was spent here since
	frees     int64 // when the next unit comes back, by the same
}

// denial is the store's no, which holds for a while.
type denial struct{ cost, events, until, wait int64 }

// covers says whether the no holds for a debit, and when that would fit is known. Of a sliding
// limit only the store knows when more than was asked for is back.
func (n *denial) covers(d Debit) bool {
	if d.cost() < n.cost || d.Limit.shared.events > n.events {
		return false
	}
	return d.cost() == n.cost || d.Limit.shared.kind != Sliding
}

// waits gives the time at which the debit would fit if nobody else asked meanwhile.
func (n *denial) waits(d Debit) int64 {
	if d.Limit.shared.kind == GCRA {
		return n.wait + (d.cost()-n.cost)*d.Limit.shared.interval
	}
	return n.wait
}

// until gives the time from which an entry may be forgotten.
func (e *entry) until(l *Limit, now int64) int64 {
	if l.shared.kind == Concurrency {
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

// letGo says whether a subject may be forgotten when its time is over: not while it has
// slots or units that are to be given back, or a batch under way speaks of it. What the store was not told of a subject no
// longer counts then, but for slots that have become free. The shard is locked.
func (e *Engine) letGo(it *item[entry]) bool {
	v := &it.value
	if v.slots > 0 || v.lent > 0 || v.telling > 0 || v.lease != nil && (v.lease.aloft > 0 || v.lease.tokens() > 0) {
		return false
	}
	return v.unsent.used == 0 || e.channelOf(it.series).forget(it.subject, it.until)
}
