package limit

import (
	"cmp"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The invariants of the limiter, and what holds it to them, in all simulations with messages
// that are late, lost and doubled, scripts that are flushed, and nodes that crash:
//
//  1. No window holds more than the limit: [sim.over] in TestNoWindowOfAnyNodesHoldsMoreThanTheLimit;
//     of the other kinds TestEndOfPeriod, TestPace and TestSlots; in memory TestTakeAgainstAnExactLog.
//  2. What is spent, held and stranded is what was debited for good, and nothing is negative: [sim.books].
//  3. Nothing is spent after its lease has expired: [sim.decided] looks at each unit.
//  4. A no writes nothing, and several limits are debited all or none: [sim.books], with a second limit
//     (Two); TestScriptIsItsTwin, TestTakeAgainstAnExactLog.
//  5. Give-backs that are doubled or late, NOSCRIPT and reordered batches change neither 1 nor 2: Doubled,
//     Late and Flushes are part of every scenario.
//  6. A no that is remembered outlives the true wait by the life of a lease at most: [sim.remembered].
//  7. An active node gets a unit within a few fetches while there is room for each: [sim.fetched].
//  8. The bounds with nodes cut off, with Redis away and after an empty restart: TestShareBounds.
//  9. Reloads, with old and new at once: Reloads in 1 and 2.
//  10. Almost all of what an exact log would let through gets in: TestUtilisation, TestUse.
//
// TestPlantedFaults and TestMutants make sure that a mistake is found.

// apart is how far the clocks of nodes are apart.
var apart = rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, 10 * time.Second})

// normally: a limit is never passed, in no window, for all of these.
var normally = map[string]func(*rapid.T, *scenario){
	"late and lost messages":  nil,
	"Redis's clock goes back": func(t *rapid.T, s *scenario) { s.Clocks, s.Apart = true, apart.Draw(t, "apart") },
	"crashing nodes":          func(_ *rapid.T, s *scenario) { s.Crashes = true },
	"nodes cut off, closed":   func(_ *rapid.T, s *scenario) { s.Cuts = true },
	"reloads":                 func(_ *rapid.T, s *scenario) { s.Reloads = true },
	"everything": func(t *rapid.T, s *scenario) {
		s.Clocks, s.Crashes, s.Cuts, s.Reloads, s.Apart = true, true, true, true, apart.Draw(t, "apart")
	},
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
				if err := s.over(s.limitOf); err != nil {
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
	for name, tt := range map[string]struct {
		change func(*scenario)
		bound  func(*sim, *simKey) int64
	}{
		"late and lost": {func(*scenario) {}, (*sim).cutOff},
		"nodes cut off": {func(s *scenario) { s.Cuts = true }, (*sim).cutOff},
		"all cut off":   {func(s *scenario) { s.Away = true }, (*sim).cutOff},
		"one node":      {func(s *scenario) { s.Cuts, s.Away, s.Nodes = true, true, 1 }, (*sim).limitOf},
		"restarts, one node": {func(s *scenario) { s.Restarts, s.Nodes, s.Lost, s.Late = true, 1, 0, 0 },
			(*sim).limitOf},
		"restarts": {func(s *scenario) { s.Restarts = true }, (*sim).restarted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				s := newSim(scenarios(func(t *rapid.T, s *scenario) {
					s.Fails, s.Apart = Share, apart.Draw(t, "apart")
					tt.change(s)
				}).Draw(rt, "scenario"))
				s.run()
				if err := s.over(func(who *simKey) int64 { return tt.bound(s, who) }); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

// TestOnceWrong keeps scenarios in which the limiter was wrong once.
func TestOnceWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		scenario scenario
		bound    func(*sim, *simKey) int64
	}{
		"a unit expired while the store was waited for, and was spent": {scenario{Seed: 6, Kind: Sliding, Window: time.Second,
			Events: 600, Fails: Share, Nodes: 1, Load: 1.5, Windows: 3, Trip: time.Millisecond, Cuts: true, Two: true}, (*sim).limitOf},
	} {
		s := newSim(tt.scenario)
		s.run()
		if err := s.over(func(who *simKey) int64 { return tt.bound(s, who) }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClocksApartChangeNothing: the same scenario, on nodes whose clocks agree and on
// nodes whose clocks do not, lets the same requests through.
func TestClocksApartChangeNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		sc := scenarios(func(_ *rapid.T, s *scenario) {
			s.Crashes, s.Cuts, s.Reloads = true, true, true
			s.Events, s.Windows = min(s.Events, 200), 2 // each is played three times
		}).Draw(rt, "scenario")
		play := func(apart time.Duration) (spends [][]spend) {
			sc.Apart = apart
			s := newSim(sc)
			s.run()
			for _, who := range s.keys {
				spends = append(spends, s.spends[who])
			}
			return spends
		}
		agreed := play(0)
		for _, apart := range []time.Duration{20 * time.Millisecond, 10 * time.Second} {
			if got := play(apart); !reflect.DeepEqual(got, agreed) {
				rt.Fatalf("with clocks %v apart other requests are let through", apart)
			}
		}
	})
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

// TestEndOfPeriod: of a calendar limit, each period holds no more than the limit: what is
// debited in one is not spent in the next, whatever is late, lost, cut off or crashes around
// its end.
func TestEndOfPeriod(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(periods().Draw(rt, "scenario"))
		s.run()
		if err := s.periods(); err != nil {
			rt.Fatal(err)
		}
		if err := s.books(); err != nil {
			rt.Fatal(err)
		}
	})
}

func periods() *rapid.Generator[scenario] {
	return scenarios(func(t *rapid.T, s *scenario) {
		s.Kind, s.Crashes, s.Cuts, s.Reloads, s.Apart = Calendar, true, true, true, apart.Draw(t, "apart")
	})
}

// periods holds what was spent on either side of midnight to the limit.
func (s *sim) periods() error {
	if err := s.over(s.limitOf); err != nil { // of the second limit
		return err
	}
	for _, who := range s.keys[:2] {
		var spent [2]int64
		for _, x := range s.spends[who] {
			day := 0
			if x.at >= midnight {
				day = 1
			}
			spent[day] += x.cost
		}
		if max(spent[0], spent[1]) > s.Events {
			return fmt.Errorf("%d spent before the end of a period and %d after it, of %d", spent[0], spent[1], s.Events)
		}
	}
	return nil
}

// TestSlots: no more requests in flight than a concurrency limit allows.
func TestSlots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(scenarios(func(t *rapid.T, s *scenario) {
			s.Kind, s.Costs = Concurrency, false
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

// quick is one way to a Redis in the same building.
const quick = 100 * time.Microsecond

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
		trip   time.Duration // one way, at least
		skewed bool
	}{
		{10, 3, time.Second, 3, 0.9, 1, quick, false},
		{30, 3, time.Second, 3, 0.9, 1, quick, false},
		{500, 3, time.Second, 2, 0.94, 0.1, quick, false},
		{2000, 3, time.Second, 2, 0.94, 0.02, quick, false}, // 1,333 a second and node
		{5000, 3, time.Second, 1.5, 0.94, 0.02, quick, false},
		{5000, 3, time.Second, 0.8, 0.99, 0.02, quick, false},
		{4000, 3, time.Second, 0.78, 0.99, 0.02, quick, false}, // 1,040 a second and node
		{4000, 3, time.Second, 0.78, 0.99, 0.02, 2 * time.Millisecond, false},
		{3000, 1, time.Second, 0.34, 0.99, 0.02, quick, false}, // 1,020 on the only node
		{100000, 3, time.Minute, 1.5, 0.9, 0.01, quick, false},
		{500, 3, time.Second, 1.3, 0.94, 0.17, quick, true},
		{2000, 3, time.Second, 1.3, 0.94, 0.045, quick, true}, // over all nodes, two of which have less than 1,000 a second
	} {
		t.Run(fmt.Sprint(tt.events, " in ", tt.window, " at ", tt.load, " over ", tt.trip, " skewed ", tt.skewed), func(t *testing.T) {
			t.Parallel()
			s := newSim(scenario{Seed: 1, Kind: Sliding, Events: tt.events, Window: tt.window, Fails: Share, Nodes: tt.nodes, Trip: tt.trip, Skewed: tt.skewed})
			s.steady(tt.load, time.Duration(min(10*tt.window.Seconds(), 20)*float64(time.Second)))
			exact := s.exact()
			got := float64(len(s.spends[s.keys[0]]))
			perRequest := float64(s.trips) / float64(len(s.asked))
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

// TestUtilisation: against an exact log nothing is lost but what comes back a bucket and the
// life of a lease late, and a little that nodes hold and do not use.
func TestUtilisation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		sc := scenario{Seed: rapid.Uint64().Draw(rt, "seed"), Kind: Sliding, Fails: Closed,
			Events: rapid.SampledFrom([]int64{10, 40, 200, 1000}).Draw(rt, "events"),
			Window: rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Second, 10 * time.Second}).Draw(rt, "window"),
			Nodes:  rapid.IntRange(1, 4).Draw(rt, "nodes"),
			Trip:   rapid.SampledFrom([]time.Duration{50 * time.Microsecond, time.Millisecond}).Draw(rt, "trip")}
		s := newSim(sc)
		s.steady(rapid.SampledFrom([]float64{0.7, 1.2, 3}).Draw(rt, "load"), 6*sc.Window)
		if err := s.over(s.limitOf); err != nil {
			rt.Fatal(err)
		}
		r := s.nodes[0].limit
		window := float64(sc.Window)
		least := window / (window + float64(r.shared.grid.width)*float64(time.Microsecond) + float64(r.lease))
		if got := float64(len(s.spends[s.keys[0]])) / s.exact(); got < least-little {
			rt.Fatalf("%.3f of an exact log, want %.3f", got, least-little)
		}
	})
}

// little is what nodes hold and do not use, at most.
const little = 0.05

// TestPlantedFaults makes six mistakes on purpose. A property that stays green with
// one of them could not tell a wrong engine from a right one.
func TestPlantedFaults(t *testing.T) {
	t.Parallel()
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
		"units are granted by shares alone": {scenarios(func(_ *rapid.T, s *scenario) { s.Two = false }),
			func(s *sim) { s.twin.stingy = true }, func(s *sim) error { return s.over(s.limitOf) }, 0},
		"the span forgets the lease": {slow, func(s *sim) {
			s.mutate = func(l *Limit) { l.shared.grid.span -= leaseBuckets(l.lease, l.shared.grid.width) }
		}, func(s *sim) error { return s.over(s.limitOf) }, 260},
		"a lease lives from the reply on": {slow, func(s *sim) {
			s.mutant = func(e *Engine) { e.lifeFromReply = true }
		}, func(s *sim) error { return s.over(s.limitOf) }, 500},
		"units outlive their period": {periods(), func(s *sim) { s.twin.endless = true }, (*sim).periods, 0},
		"what is given back twice is taken back twice": {scenarios(func(_ *rapid.T, s *scenario) {
			s.Events, s.Window, s.Doubled, s.Load = 600, time.Second, 30, 4
		}), func(s *sim) { s.twin.gullible = true }, func(s *sim) error { return cmp.Or(s.over(s.limitOf), s.books()) }, 0},
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
