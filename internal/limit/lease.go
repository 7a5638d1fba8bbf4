package limit

import (
	"math"
	"time"
)

// leastLease is the fewest units that are worth holding.
const leastLease = 3

// lease is what a node holds of a limit, and how fast it uses it.
type lease struct {
	grants  [2]grant   // the one in use, and the next
	wanted  int64      // has been asked for, and may be granted yet
	waiting []*pending // until what is wanted is there
	granted int64      // by the last fetch
	pause   int64      // until when not to ask for more: there was none
	demand  int64      // since
	since   int64
	rate    float64 // of demand, in units a microsecond

	// Of a concurrency limit:
	aloft int64 // slots that are asked for, and whose answer is under way or not taken yet
	twice bool  // some of them may be counted twice
}

// grant is units that are debited and not spent.
type grant struct {
	tokens  int64
	receipt receipt
}

// expired says that what was debited can no longer be spent: the store's buckets
// cover it no longer than that.
func (r receipt) expired(now int64) bool { return now > r.expires }

// spend finds a grant with as many tokens, and spends them: of two, those that expire first.
func (l *lease) spend(n int64) (receipt, bool) {
	g, other := &l.grants[0], &l.grants[1]
	if g.tokens < n || other.tokens >= n && other.receipt.expires < g.receipt.expires {
		g = other
	}
	if g.tokens < n {
		return receipt{}, false
	}
	g.tokens -= n
	return g.receipt, true
}

func (l *lease) has(n int64) bool { return l.grants[0].tokens >= n || l.grants[1].tokens >= n }

func (l *lease) tokens() int64 { return l.lasting(math.MinInt64) }

// lasting gives how many tokens may still be spent at a time.
func (l *lease) lasting(at int64) (n int64) {
	for _, g := range l.grants {
		if !g.receipt.expired(at) {
			n += g.tokens
		}
	}
	return n
}

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

// leasable says whether it can ever be worth while to hold units of the limit.
func (l *Limit) leasable(nodes int64) bool {
	if l.shared.kind == Concurrency {
		return true
	}
	return l.shared.events >= leastEvents && max(l.shared.events/(2*nodes), l.shared.slice/nodes) >= 2
}

// want says how many units to ask for on lease: those that will be used while it lives
// and, where there is plenty, what may come above the average, less what there is already. What is not used of
// them is given back with the next call; what is missing would be a call more. It marks
// that they are asked for.
func (c *channel) want(v *entry, l *Limit, now, need int64) int64 {
	if v.lease == nil || v.lease.wanted > 0 || v.lease.pause > now || l.shared.kind == Concurrency {
		return 0
	}
	trip := c.trip.Load()
	want := v.lease.expected(now, l.lease-time.Duration(trip)*time.Microsecond, l.lease)
	if v.remaining > l.shared.events/16 { // or others could use what this node holds
		want = generous(want)
	}
	want -= need + v.lease.lasting(now+trip)
	if want < leastLease {
		return 0
	}
	v.lease.wanted = want
	return want
}

// generous gives what is needed at most where n is expected: a caller comes in bursts.
func generous(n int64) int64 { return n + n/4 + 2*int64(math.Sqrt(float64(n))) }

// prefetch asks for more before the units run out or expire: as late as a round trip
// allows, because what is fetched early expires early. Who comes too late for it waits
// with the others for what is under way.
func (e *Engine) prefetch(c *channel, t *touch, debits []Debit) (fetches []*pending) {
	for i, d := range debits {
		l := t.items[i].value.lease
		if l == nil || l.wanted > 0 || t.items[i].value.telling > 0 || c.away.Load() || d.Limit.shared.kind == Concurrency {
			continue
		}
		ahead := min(time.Duration(c.trip.Load())*time.Microsecond, d.Limit.lease/10)
		if l.lasting(t.now+ahead.Microseconds()) > min(l.granted/2, l.expected(t.now, ahead, d.Limit.lease)+1) {
			continue
		}
		if want := c.want(&t.items[i].value, d.Limit, t.now, 0); want > 0 {
			a := ask{limit: d.Limit, key: t.subjects[i].key, want: want}
			fetches = append(fetches, &pending{engine: e, channel: c, born: t.now,
				asks: []asked{{who: t.subjects[i], debit: i, ask: a}}})
			t.subjects[i].series.zone.roundTrips.Add(1)
		}
	}
	return fetches
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
	if l.shared.kind == Concurrency {
		c.holdsOther(who, l, v)
		return
	}
	v.own.credit(l.shared.grid.index(r.sent), n)
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
