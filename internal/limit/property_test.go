package limit

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// normally: a limit is never passed, in no window, for all of these.
var normally = map[string]func(*rapid.T, *scenario){
	"late and lost messages":  nil,
	"clocks apart, and back":  func(_ *rapid.T, s *scenario) { s.Clocks = true },
	"crashing nodes":          func(_ *rapid.T, s *scenario) { s.Crashes = true },
	"nodes cut off, closed":   func(_ *rapid.T, s *scenario) { s.Cuts = true },
	"reloads":                 func(_ *rapid.T, s *scenario) { s.Reloads = true },
	"everything":              func(_ *rapid.T, s *scenario) { s.Clocks, s.Crashes, s.Cuts, s.Reloads = true, true, true, true },
	"busy limits, slow store": func(_ *rapid.T, s *scenario) { s.Events, s.Trip, s.Late, s.Costs = 600, 8*time.Millisecond, 30, false },
}

func TestNoWindowOfAnyNodesHoldsMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	for name, change := range normally {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				s := newSim(scenarios(change).Draw(rt, "scenario"))
				s.run()
				if err := s.over(func(limit int64) int64 { return limit }); err != nil {
					rt.Fatal(err)
				}
				if err := s.books(); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

// TestShareBounds: what is promised with nodes cut off, and after an empty restart.
func TestShareBounds(t *testing.T) {
	t.Parallel()
	share := func(_ *rapid.T, s *scenario) { s.Fails, s.Costs = Share, false }
	for name, tt := range map[string]struct {
		change func(*rapid.T, *scenario)
		bound  func(s *sim, limit int64) int64
	}{
		"nodes cut off": {func(_ *rapid.T, s *scenario) { s.Cuts = true },
			func(s *sim, limit int64) int64 { return 2 * limit }},
		"one node, all cut off": {func(_ *rapid.T, s *scenario) { s.Cuts, s.Nodes, s.Lost, s.Late = true, 1, 0, 0 },
			func(_ *sim, limit int64) int64 { return limit }},
		"restarts, one node": {func(_ *rapid.T, s *scenario) { s.Restarts, s.Nodes, s.Lost, s.Late = true, 1, 0, 0 },
			func(_ *sim, limit int64) int64 { return limit }},
		"restarts": {func(_ *rapid.T, s *scenario) { s.Restarts = true },
			func(_ *sim, limit int64) int64 { return 4 * limit }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				s := newSim(scenarios(func(t *rapid.T, s *scenario) { share(t, s); tt.change(t, s) }).Draw(rt, "scenario"))
				s.run()
				if err := s.over(func(limit int64) int64 { return tt.bound(s, limit) }); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

// TestPace: a gcra limit lets through no more than its burst and what comes back,
// with the life of a lease between debit and spending.
func TestPace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(paces().Draw(rt, "scenario"))
		s.run()
		if err := s.pace(); err != nil {
			rt.Fatal(err)
		}
	})
}

func paces() *rapid.Generator[scenario] {
	return scenarios(func(_ *rapid.T, s *scenario) { s.Kind, s.Crashes, s.Two, s.Costs = GCRA, true, false, false })
}

// pace holds all stretches of what was spent to the burst, the rate and the life of a
// lease, and of what was debited for good to the burst and the rate.
func (s *sim) pace() error {
	r, life := s.nodes[0].limit.shared, s.nodes[0].limit.lease.Microseconds()
	for _, who := range s.keys[:2] {
		if err := paced(s.spends[who], &r, life); err != nil {
			return err
		}
	}
	for _, log := range s.twin.log {
		if err := paced(log, &r, 0); err != nil {
			return err
		}
	}
	return nil
}

// paced follows a bucket that leaks a unit an interval and holds the burst.
func paced(log []spend, r *rule, slack int64) error {
	level, last := int64(0), int64(0) // in microseconds, as gcra counts
	for _, x := range log {
		level = max(level-(x.at-last), 0) + x.cost*r.interval
		last = x.at
		if level > r.events*r.interval+slack {
			return fmt.Errorf("%d us over the burst of %d at %d us each", level-r.events*r.interval, r.events, r.interval)
		}
	}
	return nil
}

// TestSlots: no more requests in flight than a concurrency limit allows.
func TestSlots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(scenarios(func(t *rapid.T, s *scenario) {
			s.Kind, s.Costs, s.Two = Concurrency, false, false
			s.Events = rapid.SampledFrom([]int64{1, 3, 10}).Draw(t, "slots")
		}).Draw(rt, "scenario"))
		s.run()
		for _, who := range s.keys[:2] {
			for _, x := range s.spends[who] {
				flying := int64(0)
				for _, y := range s.spends[who] {
					if y.at <= x.at && x.at < y.at+y.cost {
						flying++
					}
				}
				if flying > s.Events {
					rt.Fatalf("%d in flight of %d", flying, s.Events)
				}
			}
		}
	})
}

// TestUse: under steady load above the limit, almost all of what an exact log would
// admit gets in, and the store is asked seldom.
func TestUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		events int64
		nodes  int
		window time.Duration
		load   float64
		least  float64
		trips  float64
	}{
		{10, 3, time.Second, 3, 0.9, 1},
		{30, 3, time.Second, 3, 0.9, 1},
		{500, 3, time.Second, 2, 0.9, 0.5},
		{2000, 3, time.Second, 2, 0.9, 0.1},
		{5000, 3, time.Second, 1.5, 0.9, 0.03},
		{5000, 3, time.Second, 0.8, 0.79, 0.03},
		{100000, 3, time.Minute, 1.5, 0.9, 0.01},
	} {
		t.Run(fmt.Sprint(tt.events, " in ", tt.window, " at ", tt.load), func(t *testing.T) {
			t.Parallel()
			s := newSim(scenario{Seed: 1, Kind: Sliding, Events: tt.events, Window: tt.window, Fails: Share, Nodes: tt.nodes, Windows: 10, Trip: 100 * time.Microsecond})
			s.keys = []*simKey{{name: "busy"}, {name: "calm"}, {name: "busy", second: true}, {name: "calm", second: true}}
			for i := range s.Nodes {
				n := &simNode{sim: s, number: i}
				s.nodes = append(s.nodes, n)
				s.start(n)
			}
			seconds := min(10*tt.window.Seconds(), 20)
			gap := int64(tt.window.Seconds() * 1e6 / (float64(tt.events) * tt.load) * float64(tt.nodes))
			for _, n := range s.nodes {
				var again func()
				again = func() {
					s.request(n, 0, 1)
					s.after(gap/2+s.rand.Int64N(gap+1), again)
				}
				s.after(s.rand.Int64N(gap+1), again)
			}
			end := s.now + int64(seconds*1e6)
			start := s.now
			for s.events[0].at <= end {
				e := s.pop()
				s.now = e.at
				e.f()
			}
			exact := min(1, tt.load) * float64(tt.events) * max((float64(s.now-start)/float64(tt.window.Microseconds())), 1)
			if tt.load > 1 && tt.window > time.Duration(seconds)*time.Second {
				exact = float64(min(tt.events, int64(s.asked)))
			}
			got := float64(len(s.spends[s.keys[0]]))
			perRequest := float64(s.trips) / float64(s.asked)
			t.Logf("%s: %.3f of an exact log, %.4f round trips a request", t.Name(), got/exact, perRequest)
			if got/exact < tt.least {
				t.Errorf("%.3f of an exact log, want %.3f", got/exact, tt.least)
			}
			if perRequest > tt.trips {
				t.Errorf("%.4f round trips a request, want %.4f", perRequest, tt.trips)
			}
			if most := s.most(s.keys[0], tt.window.Microseconds(), anySpend); most > tt.events {
				t.Errorf("%d in a window", most)
			}
		})
	}
}

// TestPlantedFaults makes three mistakes on purpose. A property that stays green with
// one of them could not tell a wrong engine from a right one.
func TestPlantedFaults(t *testing.T) {
	t.Parallel()
	exact := func(limit int64) int64 { return limit }
	slow := scenarios(func(_ *rapid.T, s *scenario) {
		s.Events, s.Window, s.Costs, s.Two, s.Load = 600, time.Second, false, false, 4
		s.Trip, s.Late, s.Lost = time.Millisecond, 30, 0
	})
	paces := scenarios(func(_ *rapid.T, s *scenario) {
		s.Kind, s.Events, s.Window, s.Costs, s.Two, s.Nodes, s.Lost = GCRA, 600, time.Second, false, false, 4, 0
	})
	for name, tt := range map[string]struct {
		scenarios *rapid.Generator[scenario]
		plant     func(*sim)
		judge     func(*sim) error
		from      int // a scenario that finds it, to save time
	}{
		"the span forgets the lease": {slow, func(s *sim) {
			s.mutate = func(l *Limit) { l.shared.grid.span -= leaseBuckets(l.lease, l.shared.grid.width) }
		}, func(s *sim) error { return s.over(exact) }, 260},
		"a lease lives from the reply on": {slow, func(s *sim) {
			s.mutant = func(e *Engine) { e.lifeFromReply = true }
		}, func(s *sim) error { return s.over(exact) }, 500},
		"gcra units are given back though they have come back": {paces, func(s *sim) { s.twin.naiveCredit = true }, (*sim).pace, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := tt.from; seed < tt.from+1500; seed++ {
				sc := tt.scenarios.Example(seed)
				s := newSim(sc)
				tt.plant(s)
				s.run()
				if tt.judge(s) == nil {
					continue
				}
				sound := newSim(sc)
				sound.run()
				if err := tt.judge(sound); err != nil {
					t.Fatalf("also without the mistake: %v", err)
				}
				t.Logf("found by scenario %d", seed)
				return
			}
			t.Error("no scenario tells this mistake from the real engine")
		})
	}
}
