package limit

import "time"

// rule is the arithmetic of a limit, free of locks, clocks and stores. script.lua is
// the same in Redis.
type rule struct {
	kind     Kind
	events   int64 // the most that a cell holds: of gcra, the burst
	grid     grid  // of gcra, for what a node has spent by itself
	interval int64 // gcra: the time in which one unit comes back
	slice    int64 // how many units come back during the life of a lease
	life     int64 // concurrency: how long the slots of a node that is not heard of stay taken
}

const (
	// slotLife is how long a node that is not heard of keeps its slots.
	slotLife = 30 * time.Second
	// slotIdle is how long a node keeps a slot that has become free for the next request.
	slotIdle = 50 * time.Millisecond
	// slotWait is when to come back for a slot: nobody knows when one becomes free.
	slotWait = int64(time.Second / time.Microsecond)
	// leastEvents is the smallest limit that is ever leased. A smaller one is asked for
	// each time, however few nodes there are.
	leastEvents = 20
)

// cell holds what is counted for one subject. Its zero value is empty.
type cell struct {
	counter                 // sliding, calendar
	tat     int64           // gcra: the theoretical arrival time of the next unit
	slots   map[string]slot // concurrency: by node
}

// slot is what a node has taken, until when that counts, and the number of what it told last.
type slot struct{ taken, until, told int64 }

// view is a cell at a time.
type view struct {
	now     int64
	current int64 // the bucket of a debit; of gcra, its time
	used    int64
}

// at looks at a cell. It forgets what no longer counts.
func (r *rule) at(c *cell, now int64) view {
	v := view{now: now}
	switch r.kind {
	case GCRA:
		v.current = now
		if ahead := c.tat - now; ahead > 0 {
			v.used = ceilDiv(ahead, r.interval)
		}
	case Concurrency:
		for node, s := range c.slots {
			if s.until <= now {
				delete(c.slots, node)
				continue
			}
			v.used += s.taken
		}
	default:
		v.current = c.advance(r.grid, now)
		v.used = c.used
	}
	return v
}

func (r *rule) room(v view) int64 { return r.events - v.used }

// debit counts units, whether there is room or not.
func (r *rule) debit(c *cell, v *view, node string, n int64) {
	v.used += n
	switch r.kind {
	case GCRA:
		c.tat = max(c.tat, v.now) + n*r.interval
	case Concurrency:
		r.hold(c, v.now, node, c.slots[node].taken+n)
	default:
		c.debit(v.current, n)
	}
}

// credit gives back units that were debited in the bucket and never spent. Of gcra,
// those that have come back by themselves since are not given back a second time:
// a node could park units and beat the burst.
func (r *rule) credit(c *cell, now int64, node string, index, n int64) {
	switch r.kind {
	case GCRA:
		c.tat -= gcraCredit(n*r.interval, now-index)
		c.settle(now)
	case Concurrency:
		r.hold(c, now, node, c.slots[node].taken-n)
	default:
		c.counter.credit(index, n)
	}
}

// settle forgets a time that has passed.
func (c *cell) settle(now int64) {
	if c.tat <= now {
		c.tat = 0
	}
}

// hold sets how many slots a node has.
func (r *rule) hold(c *cell, now int64, node string, n int64) {
	told := c.slots[node].told
	if n <= 0 && told == 0 {
		delete(c.slots, node)
		return
	}
	if c.slots == nil {
		c.slots = make(map[string]slot)
	}
	c.slots[node] = slot{max(n, 0), now + r.life, told}
}

// tell sets how many slots a node says that it has. Only what is newer counts: what is late,
// or comes twice, knows nothing of what the node has taken since.
func (r *rule) tell(c *cell, now int64, node string, n, number int64) {
	if number <= c.slots[node].told {
		return
	}
	if c.slots == nil {
		c.slots = make(map[string]slot)
	}
	c.slots[node] = slot{told: number}
	r.hold(c, now, node, n)
}

func gcraCredit(units, age int64) int64 { return max(0, units-max(age, 0)) }

// charge counts units that were spent a while ago without having been asked for.
func (r *rule) charge(c *cell, now int64, node string, n, age int64) {
	v := r.at(c, now)
	switch r.kind {
	case GCRA:
		c.tat = max(c.tat, now-age) + n*r.interval
		c.settle(now)
	case Concurrency:
		r.debit(c, &v, node, n)
	default:
		if index := r.grid.index(now - age); index > v.current-r.grid.span {
			c.debit(index, n)
		}
	}
}

// wait gives the time until n units fit, or else until the next one comes back.
func (r *rule) wait(c *cell, v view, n int64) int64 {
	missing := max(v.used+n-r.events, 1)
	switch r.kind {
	case GCRA:
		if v.used+n > r.events {
			return max(c.tat, v.now) + (n-r.events)*r.interval - v.now
		}
		if ahead := c.tat - v.now; ahead > 0 {
			return (ahead-1)%r.interval + 1
		}
		return 0
	case Concurrency:
		if v.used+n > r.events {
			return slotWait
		}
		return 0
	default:
		return max(c.frees(r.grid, missing)-v.now, 0)
	}
}

// left gives the time until the period of a calendar limit ends. What was debited in
// it cannot be spent later.
func (r *rule) left(v view) int64 {
	if r.kind != Calendar {
		return 0
	}
	return r.grid.leaves(v.current) - v.now
}

// until gives the time from which nothing in a cell counts, but for the slots in it.
func (r *rule) until(c *cell) int64 {
	switch r.kind {
	case GCRA:
		return c.tat
	case Concurrency:
		return 0
	default:
		return c.counter.until(r.grid)
	}
}

// extra says how many units a node gets on lease beside the ones that it needs. It is
// a fair share of the room: of n nodes, half of an nth. A limit on which that is less
// than two is strict. Of a busy limit that is used up all the time, the share is an
// nth of what comes back while a lease lives, or each unit would be fetched alone.
func (r *rule) extra(room, want, nodes int64) int64 {
	share := max(room/(2*nodes), min(room, r.slice/nodes))
	if share < 2 || r.events < leastEvents || r.kind == Concurrency {
		return 0
	}
	return min(want, share)
}
