package limit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// twin is script.lua and nodes.lua in Go: what a Redis has in its memory.
type twin struct {
	cells  map[string]*cell
	epochs map[string]int64
	given  map[string]int64
	nodes  map[string]int64
	log    map[string][]spend // of gcra: what was debited and not given back
	net    map[string]int64   // what was debited and not given back

	touched map[*cell]*forgotten // by the batch

	fetched func(node string, a ask, room, granted int64) // looks on

	naiveCredit bool // mistakes that tests make on purpose
	stingy      bool
	endless     bool
	gullible    bool
}

func newTwin() *twin {
	return &twin{cells: map[string]*cell{}, epochs: map[string]int64{}, given: map[string]int64{}, nodes: map[string]int64{}, log: map[string][]spend{}, net: map[string]int64{}}
}

// forgotten is what no longer counts of a cell that a batch has looked at. The script drops it
// when it writes, not when it reads: a clock that goes back finds it again.
type forgotten struct {
	buckets []bucket
	slots   map[string]slot
	wrote   bool
}

// look is what the script sees of a cell.
func (w *twin) look(r *rule, c *cell, now int64) view {
	buckets, slots := slices.Clone(c.buckets), maps.Clone(c.slots)
	v := r.at(c, now)
	if w.touched[c] == nil {
		maps.DeleteFunc(slots, func(node string, _ slot) bool { _, there := c.slots[node]; return there })
		w.touched[c] = &forgotten{buckets: buckets[:len(buckets)-len(c.buckets)], slots: slots}
	}
	return v
}

// restore puts back what was only read.
func (w *twin) restore() {
	for c, f := range w.touched {
		if f.wrote {
			continue
		}
		for _, b := range f.buckets {
			c.counter.debit(b.index, b.count)
		}
		for node, s := range f.slots {
			if c.slots == nil {
				c.slots = make(map[string]slot)
			}
			c.slots[node] = s
		}
	}
}

// run does a batch as the script does.
func (w *twin) run(b *batch, now int64) *result {
	w.touched = make(map[*cell]*forgotten)
	defer w.restore()
	if w.epochs[b.scope] == 0 {
		w.epochs[b.scope] = now
	}
	res := &result{epoch: w.epochs[b.scope]}
	if b.epoch != 0 && b.epoch != res.epoch {
		return res
	}
	who := b.scope + " " + b.node
	following := b.gives > w.given[who] || w.gullible && b.gives > 0
	if following {
		w.given[who] = b.gives
	}
	for _, o := range b.ops {
		if o.code == opTake {
			w.take(b, o, now, res)
			continue
		}
		a := o.asks[0]
		r, c := &a.limit.shared, w.cell(a)
		v := w.look(r, c, now)
		before, silent := c.counter.used, o.code == opRead || o.code == opGive && !following
		switch o.code {
		case opGive:
			if following && r.kind == GCRA {
				w.unlog(a)
			}
			if following && w.naiveCredit && r.kind == GCRA {
				r.credit(c, now, b.node, now, a.need)
			} else if following {
				r.credit(c, now, b.node, a.at, a.need)
			}
		case opCharge:
			r.charge(c, now, b.node, a.need, a.at)
		case opHold:
			silent = a.at <= c.slots[b.node].told
			r.tell(c, now, b.node, a.need, a.at)
		case opDrop:
			*c = cell{}
		case opRead:
			res.answers = append(res.answers, w.answer(r, c, v, v.used+1 > r.events, 0, 1))
		}
		w.net[a.limit.id+":"+a.key] += c.counter.used - before
		w.touched[c].wrote = w.touched[c].wrote || c.counter.used > before || o.code == opDrop ||
			r.kind == Concurrency && !silent
	}
	return res
}

// unlog takes what is given back out of the log.
func (w *twin) unlog(a ask) {
	log := w.log[a.limit.id+":"+a.key]
	for i := range log {
		if log[i].at == a.at {
			n := min(log[i].cost, a.need)
			log[i].cost -= n
			a.need -= n
		}
	}
}

func (w *twin) cell(a ask) *cell {
	id := a.limit.id + ":" + a.key
	if w.cells[id] == nil {
		w.cells[id] = new(cell)
	}
	return w.cells[id]
}

func (w *twin) take(b *batch, o op, now int64, res *result) {
	allowed := true
	short, room := make([]bool, len(o.asks)), make([]int64, len(o.asks))
	for i, a := range o.asks {
		room[i] = a.limit.shared.room(w.look(&a.limit.shared, w.cell(a), now))
		short[i] = a.need > room[i] || w.stingy && a.need > 0 && room[i] < 2*b.nodes
		allowed = allowed && (a.limit.shadow || !short[i])
	}
	res.allowed = append(res.allowed, allowed)
	for i, a := range o.asks {
		r, c, extra, wait := &a.limit.shared, w.cell(a), int64(0), int64(1)
		v := w.look(r, c, now)
		if short[i] {
			wait = a.need
		} else if allowed {
			if a.want > 0 {
				extra = r.extra(r.room(v)-a.need, a.want, b.nodes)
			}
			if a.need+extra > 0 || c.slots[b.node].taken > 0 {
				r.debit(c, &v, b.node, a.need+extra)
				w.touched[c].wrote = true
				w.net[a.limit.id+":"+a.key] += a.need + extra
				if r.kind == GCRA {
					id := a.limit.id + ":" + a.key
					w.log[id] = append(w.log[id], spend{at: now, cost: a.need + extra})
				}
			}
		}
		res.answers = append(res.answers, w.answer(r, c, v, short[i], extra, wait))
		if got := a.need + extra; w.fetched != nil && (allowed || short[i]) {
			if short[i] {
				got = 0
			}
			w.fetched(b.node, a, room[i], got)
		}
	}
}

func (w *twin) answer(r *rule, c *cell, v view, short bool, extra, n int64) answer {
	a := answer{short: short, extra: extra, used: v.used, wait: r.wait(c, v, n), bucket: v.current, left: r.left(v)}
	if w.endless && r.kind == Calendar {
		a.left = MaxWindow.Microseconds()
	}
	return a
}

// beat does what nodes.lua does.
func (w *twin) beat(node string, leave bool, now int64) int {
	maps.DeleteFunc(w.nodes, func(_ string, until int64) bool { return until <= now })
	if leave {
		delete(w.nodes, node)
	} else {
		w.nodes[node] = now + nodeLife.Microseconds()
	}
	return len(w.nodes)
}

// twinLimits are of all kinds, small enough to be short often.
func twinLimits(t *rapid.T) []*Limit {
	configs := []Config{
		{Name: "ten", Window: 10 * time.Second}, {Name: "odd", Window: 10_000_003 * time.Microsecond, Shadow: true},
		{Name: "day", Kind: Calendar, Period: Day}, {Name: "month", Kind: Calendar, Period: Month},
		{Name: "pace", Kind: GCRA, Window: 20 * time.Second, Burst: rapid.Int64Range(1, 30).Draw(t, "burst")},
		{Name: "slots", Kind: Concurrency},
	}
	var limits []*Limit
	for _, c := range configs {
		c.Scope, c.Events = "twin", rapid.Int64Range(1, 40).Draw(t, "events")
		l, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, l)
	}
	return limits
}

func drawBatch(t *rapid.T, limits []*Limit, gives int64, now int64) *batch {
	b := &batch{scope: "twin", node: rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"),
		nodes: rapid.Int64Range(1, 4).Draw(t, "nodes"), gives: gives}
	for range rapid.IntRange(1, 4).Draw(t, "ops") {
		o := op{code: opCode(rapid.IntRange(1, 6).Draw(t, "code"))}
		n := 1
		if o.code == opTake || rapid.Bool().Draw(t, "take") {
			o.code = opTake
			n = rapid.IntRange(1, len(limits)).Draw(t, "asks")
		}
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(limits)-1), n, n, rapid.ID).Draw(t, "limits") {
			l := limits[i]
			if o.code == opHold {
				l = limits[len(limits)-1]
			}
			a := ask{limit: l, key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), need: rapid.Int64Range(1, 12).Draw(t, "need")}
			switch o.code {
			case opTake:
				a.need -= rapid.Int64Range(0, 1).Draw(t, "less")
				a.want = rapid.SampledFrom([]int64{0, 0, 3, 50}).Draw(t, "want")
			case opGive:
				ago := rapid.Int64Range(0, 3_000_000).Draw(t, "ago")
				a.at = l.shared.at(new(cell), now-ago).current
			case opCharge:
				a.at = rapid.Int64Range(0, 15_000_000).Draw(t, "age")
			case opHold:
				a.need -= rapid.Int64Range(0, 1).Draw(t, "less")
				a.at = rapid.Int64Range(1, 5).Draw(t, "number")
			}
			o.asks = append(o.asks, a)
		}
		b.ops = append(b.ops, o)
	}
	return b
}

// TestScriptIsItsTwin plays the same batches at the same times against the script in a
// real Redis and against its twin in Go, which the simulations below stand on. The clock
// goes back at times, and over the ends of days and months.
func TestScriptIsItsTwin(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	clock := newClock()
	script := newAtTime(t, addr, clock)
	var runs int
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		script.prefix = fmt.Sprint("run", runs) // an empty Redis for each run
		other := newTwin()
		limits := twinLimits(rt)
		clock.micros.Store(rapid.SampledFrom([]int64{1_700_000_000_123_456, 1_709_164_799_000_000, 1_709_251_199_000_000, 1_735_689_599_000_000}).Draw(rt, "start"))
		for i := range rapid.IntRange(1, 20).Draw(rt, "steps") {
			clock.advance(time.Duration(rapid.Int64Range(-500_000, 3_000_000).Draw(rt, "pass")) * time.Microsecond)
			now := clock.micros.Load()
			if err := script.client.Set(t.Context(), "now", now, 0).Err(); err != nil {
				rt.Fatal(err)
			}
			b := drawBatch(rt, limits, rapid.SampledFrom([]int64{0, int64(i), int64(i) + 1}).Draw(rt, "gives"), now)
			got, err := script.run(t.Context(), b)
			if err != nil {
				rt.Fatal(err)
			}
			if want := other.run(b, now); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				rt.Fatalf("%+v\nthe script says %+v\nits twin       %+v", b, got, want)
			}
		}
	})
}

// TestAReadForgetsNothing: a clock that goes back over the end of a period finds what was
// counted in it, where nothing was written in the next one.
func TestAReadForgetsNothing(t *testing.T) {
	t.Parallel()
	const midnight = 1_735_689_600_000_000
	clock := newClock()
	script, other := newAtTime(t, testenv.Redis(t), clock), newTwin()
	l, err := New(Config{Scope: "twin", Name: "day", Kind: Calendar, Period: Day, Events: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ at, code, used int64 }{{midnight - 50_000, 1, 2}, {midnight + 50_000, 4, 0}, {midnight - 40_000, 4, 2}} {
		if err := script.client.Set(t.Context(), "now", step.at, 0).Err(); err != nil {
			t.Fatal(err)
		}
		b := &batch{scope: "twin", node: "n", nodes: 1, ops: []op{{code: opCode(step.code), asks: []ask{{limit: l, key: "k", need: 2}}}}}
		got, err := script.run(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if want := other.run(b, step.at); got.answers[0] != want.answers[0] || got.answers[0].used != step.used {
			t.Errorf("%+v\nthe script says %+v\nits twin       %+v", step, got, want)
		}
	}
}

// TestEpochs: a store that has lost its memory does nothing of a batch for the old one.
func TestEpochs(t *testing.T) {
	t.Parallel()
	store := newRedisStore(t, testenv.Redis(t))
	l := newLimit(t, "zone", 5, time.Hour)
	take := func(epoch int64) *result {
		res, err := store.run(t.Context(), &batch{scope: "test", node: "n", nodes: 1, epoch: epoch,
			ops: []op{{code: opTake, asks: []ask{{limit: l, key: "k", need: 1}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first := take(0)
	if again := take(first.epoch); again.epoch != first.epoch || again.answers[0].used != 2 {
		t.Fatalf("%+v after %+v", again, first)
	}
	if err := store.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	lost := take(first.epoch)
	if lost.epoch == first.epoch || len(lost.answers) != 0 {
		t.Fatalf("%+v after the memory was lost", lost)
	}
	if keys := store.client.Keys(t.Context(), "*").Val(); len(keys) != 1 || !strings.HasSuffix(keys[0], ":epoch") {
		t.Errorf("keys %q", keys)
	}
	if res := take(lost.epoch); res.answers[0].used != 1 {
		t.Fatalf("%+v", res)
	}
}

// TestNodesCountThemselves: by heartbeats in Redis.
func TestNodesCountThemselves(t *testing.T) {
	t.Parallel()
	store := newRedisStore(t, testenv.Redis(t))
	for _, step := range []struct {
		node  string
		leave bool
		want  int
	}{{"a", false, 1}, {"b", false, 2}, {"a", false, 2}, {"a", true, 1}, {"c", true, 1}} {
		heard := make(chan int, 1)
		store.beat(step.node, step.leave, func(n int, err error) {
			if err != nil {
				n = -1
			}
			heard <- n
		})
		if got := <-heard; got != step.want {
			t.Errorf("%+v: %d nodes", step, got)
		}
	}
	if keys := store.client.Keys(t.Context(), "*").Val(); !slices.Equal(keys, []string{"{tollgate}:nodes"}) {
		t.Errorf("keys %q", keys)
	}
}
