package limit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// MemoryConfig sets a Memory up. Its zero value is usable.
type MemoryConfig struct {
	// MaxKeys bounds how many subjects each limit counts at once: 262,144 when zero.
	// They are spread over shards that fill unevenly, by a few percent.
	MaxKeys int
	// Now is the clock: time.Now when nil.
	Now func() time.Time
}

// Memory counts in this process.
type Memory struct {
	now      func() time.Time
	start    time.Time
	registry *registry
	table    *table[cell]
}

// NewMemory makes an empty store.
func NewMemory(c MemoryConfig) *Memory {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Memory{now: c.Now, start: c.Now(), registry: newRegistry(), table: newTable(c.MaxKeys, unused)}
}

// unused says that nobody has a slot, which is taken until it is given back.
func unused(it *item[cell]) bool { return len(it.value.slots) == 0 }

// Take implements Store.
func (m *Memory) Take(_ context.Context, debits []Debit, into []State) (Decision, error) {
	if err := check(debits, (*Limit).aloneRule); err != nil {
		return Decision{}, err
	}
	into = slices.Grow(into, len(debits)) // not under the locks
	var t take
	var set shardSet
	for i, d := range debits {
		t.subjects[i] = subject{series: m.registry.of(d.Limit), key: boundKey(d.Key)}
		t.shards[i] = m.table.shardOf(t.subjects[i].key)
		set |= 1 << t.shards[i]
	}
	m.table.lock(set)
	if t.misses(m.table, len(debits)) {
		m.table.unlock(set)
		t.prepare(len(debits))
		m.table.lock(set)
	}
	defer m.table.unlock(set)
	// Under the locks: a time read before them could be old by now, and what is
	// counted in a bucket too old stops counting too soon.
	t.now = m.micros()
	return t.decide(m.table, debits, into)
}

// micros gives the time on the grid. Between the start and now it follows the
// monotonic clock, which nobody can set back.
func (m *Memory) micros() int64 {
	return m.start.UnixMicro() + m.now().Sub(m.start).Microseconds()
}

// take is one decision while its shards are locked.
type take struct {
	now      int64
	subjects [MaxDebits]subject
	shards   [MaxDebits]int
	items    [MaxDebits]*item[cell] // nil where nothing is counted yet
	spares   [MaxDebits]*item[cell] // for those
	views    [MaxDebits]view
}

// misses says whether something is not there yet of what is to be counted.
func (t *take) misses(table *table[cell], n int) (some bool) {
	for i := range n {
		t.items[i] = table.shards[t.shards[i]].items[t.subjects[i]]
		some = some || t.items[i] == nil
	}
	return some
}

// prepare makes it.
func (t *take) prepare(n int) {
	for i := range n {
		if t.items[i] == nil {
			t.spares[i] = newItem[cell](t.subjects[i])
		}
	}
}

func (t *take) decide(table *table[cell], debits []Debit, into []State) (Decision, error) {
	allowed := true
	for i, d := range debits {
		t.views[i].now = t.now
		if t.items[i] = table.shards[t.shards[i]].items[t.subjects[i]]; t.items[i] != nil {
			t.views[i] = d.Limit.alone.at(&t.items[i].value, t.now)
		}
		allowed = allowed && (d.Limit.shadow || t.fits(i, d))
	}
	var short [MaxDebits]bool
	for i, d := range debits {
		short[i] = !t.fits(i, d)
	}
	if allowed {
		if err := t.debit(table, debits, &short); err != nil {
			return Decision{}, err
		}
	}
	for i, d := range debits {
		into = append(into, t.state(i, d, short[i], allowed))
		t.subjects[i].series.zone.count(d.Limit, &into[len(into)-1], allowed)
	}
	return Decision{Allowed: allowed, States: into}, nil
}

func (t *take) fits(i int, d Debit) bool { return d.cost() <= d.Limit.alone.room(t.views[i]) }

// debit counts in every cell that has room. Those that exist come first: from then on
// they count, so that making room for the others cannot evict them.
func (t *take) debit(table *table[cell], debits []Debit, short *[MaxDebits]bool) error {
	for i, d := range debits {
		if t.items[i] != nil && !short[i] {
			t.count(i, d)
		}
	}
	for i, d := range debits {
		if t.items[i] != nil || short[i] {
			continue
		}
		if t.spares[i] == nil { // it was there a moment ago
			t.spares[i] = newItem[cell](t.subjects[i])
		}
		e := table.shards[t.shards[i]].insert(t.spares[i], t.now)
		t.spares[i] = nil
		if e == nil && d.Limit.shadow {
			short[i] = true
			continue
		}
		if e == nil {
			t.undo(debits, short)
			return fmt.Errorf("%w: %s", ErrFull, d.Limit.id)
		}
		t.items[i] = e
		t.views[i] = d.Limit.alone.at(&e.value, t.now)
		t.count(i, d)
	}
	return nil
}

func (t *take) count(i int, d Debit) {
	r := &d.Limit.alone
	r.debit(&t.items[i].value, &t.views[i], "", d.cost())
	t.items[i].until = r.until(&t.items[i].value)
}

// undo takes back what debit has counted: every item that is there by now.
func (t *take) undo(debits []Debit, short *[MaxDebits]bool) {
	for i, d := range debits {
		if t.items[i] != nil && !short[i] {
			d.Limit.alone.credit(&t.items[i].value, t.now, "", t.views[i].current, d.cost())
			t.items[i].until = d.Limit.alone.until(&t.items[i].value)
		}
	}
}

func (t *take) state(i int, d Debit, short, allowed bool) State {
	r, v := &d.Limit.alone, t.views[i]
	s := State{Short: short, Remaining: max(r.room(v), 0)}
	if allowed && !short {
		s.receipt = receipt{bucket: v.current, how: debitedStore}
	}
	if t.items[i] != nil {
		s.Wait = time.Duration(r.wait(&t.items[i].value, v, need(d, short))) * time.Microsecond
	}
	return s
}

// need is how many units a caller waits for: those of a debit that was short, and else one.
func need(d Debit, short bool) int64 {
	if short {
		return d.cost()
	}
	return 1
}

// adjust gives units of a debit back, or with a negative number charges more of them.
func (m *Memory) adjust(d Debit, r receipt, n int64) {
	who := subject{series: m.registry.of(d.Limit), key: boundKey(d.Key)}
	s := &m.table.shards[m.table.shardOf(who.key)]
	s.Lock()
	defer s.Unlock()
	now, rule := m.micros(), &d.Limit.alone
	e := s.items[who]
	if e == nil {
		if n > 0 {
			return
		}
		if e = s.insert(newItem[cell](who), now); e == nil {
			return // a full store has no room for what is spent already
		}
	}
	if n > 0 {
		rule.credit(&e.value, now, "", r.bucket, n)
	} else {
		v := rule.at(&e.value, now)
		rule.debit(&e.value, &v, "", -n)
	}
	e.until = rule.until(&e.value)
}

// inspect gives where a subject stands.
func (m *Memory) inspect(l *Limit, key string) Inspection {
	who := subject{series: m.registry.of(l), key: boundKey(key)}
	s := &m.table.shards[m.table.shardOf(who.key)]
	s.Lock()
	defer s.Unlock()
	e := s.items[who]
	if e == nil {
		return Inspection{Remaining: l.alone.events}
	}
	v := l.alone.at(&e.value, m.micros())
	return Inspection{Used: v.used, Remaining: max(l.alone.room(v), 0),
		Wait: time.Duration(l.alone.wait(&e.value, v, 1)) * time.Microsecond}
}

// reset forgets what is counted for a subject. Slots are of requests under way, which go on to count.
func (m *Memory) reset(l *Limit, key string) {
	if l.shared.kind == Concurrency {
		return
	}
	who := subject{series: m.registry.of(l), key: boundKey(key)}
	s := &m.table.shards[m.table.shardOf(who.key)]
	s.Lock()
	defer s.Unlock()
	if e := s.items[who]; e != nil {
		e.value, e.until = cell{}, 0
	}
}
