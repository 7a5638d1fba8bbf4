package limits

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// system is a limiter under test: nodes that forward to the recorder what they admit.
type system struct {
	name    string
	addrs   []string
	scripts bool // it decides by scripts, rather than by plain commands
}

// TestLimits puts the same load on the edge, and on other limiters if asked to.
//
// The load comes in bursts that meet the windows at every angle, or all the time but
// from one node mostly, or below the limit. The recorder counts what arrives.
func TestLimits(t *testing.T) {
	results := []result{measure(t, startTollgate)}
	if *baselines {
		results = append(results, measure(t, startRedisRate), measure(t, startEnvoy))
	}
	report(os.Stdout, results)
	results[0].hold(t)
}

func startTollgate(t *testing.T, redis, backend string) system {
	t.Helper()
	s := system{name: "tollgate", scripts: true}
	for range nodes {
		s.addrs = append(s.addrs, startEdge(t, "redis://"+redis, backend, all...).addr)
	}
	return s
}

// result is what a run of one system gave.
type result struct {
	name       string
	keys       []outcome
	calls      float64 // to Redis, for each request of the whole load
	busyCalls  float64 // for each request of a key with room in its minute
	fastCalls  float64 // the same in its second, where a lease lives 60 ms
	fastRate   float64 // of that key, a second and node: just above 1,000
	fourCalls  float64 // for each request with four limits
	beats      float64 // of those, what the nodes may have said in the meantime of themselves: once a second
	leased     added   // of a key with much room
	strict     added   // of keys with a small limit
	redis      latencies
	throughput float64 // of a key with much room, of the throughput without a limit
	perSecond  float64
}

// outcome is what became of one stream.
type outcome struct {
	*tally
	admitted, worst, proven, exact int
}

func (o outcome) share() float64 {
	if o.exact == 0 {
		return 1
	}
	return float64(o.admitted) / float64(o.exact)
}

// late is how many were refused because Redis was too late for the edge to know.
func (o outcome) late() int { return o.others[http.StatusServiceUnavailable] }

// added is what a limit adds to the time of an answer.
type added struct{ p50, p99 time.Duration }

func measure(t *testing.T, begin func(t *testing.T, redis, backend string) system) (r result) {
	t.Helper()
	t.Run("measure", func(t *testing.T) { // ends the processes
		server := testenv.NewRedisServer(t)
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		t.Cleanup(func() { _ = client.Close() })
		backend := newRecorder(t)
		s := begin(t, server.Addr(), backend.server.Listener.Addr().String())
		r.name = s.name
		warm(t, s)
		r.load(t, s, client, backend)
		r.time(t, s, client)
		r.count(t, s, client)
	})
	return r
}

// warm makes every node ask once: connections are made and scripts are known.
func warm(t *testing.T, s system) {
	for _, addr := range s.addrs {
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		for _, l := range all {
			if status, err := c.get(l.name, "warm", clock()); err != nil || status != 200 {
				t.Fatal(status, err)
			}
		}
	}
}

// load is the part that the windows are judged by.
func (r *result) load(t *testing.T, s system, client *redis.Client, backend *recorder) {
	before := calls(t, client, s.scripts)
	requests := 0
	for _, streams := range [][]stream{bursts(), steady()} {
		for _, tally := range run(t.Context(), t, s.addrs, streams, *length/2) {
			requests += len(tally.sent)
			admitted := backend.of(tally.limit.name, tally.key)
			r.keys = append(r.keys, outcome{
				tally: tally, admitted: len(admitted),
				worst: worst(admitted, tally.limit.window), proven: proven(admitted, tally.limit.window),
				exact: exact(tally.sent, tally.limit.events, tally.limit.window),
			})
		}
	}
	r.calls = float64(calls(t, client, s.scripts)-before) / float64(requests)
}

// bursts come at three nodes, in turns that no window divides evenly.
func bursts() (streams []stream) {
	even := [nodes]float64{1. / 3, 1. / 3, 1. / 3}
	for _, l := range []limit{s30, s500, s2000} {
		streams = append(streams, stream{limit: l, key: "bursts", kind: "above, on and off", rate: 2 * float64(l.events),
			on: 690 * time.Millisecond, off: 470 * time.Millisecond, weights: even, workers: workers(l)})
	}
	return append(streams, stream{limit: m10, key: "bursts", kind: "above, on and off", rate: 40,
		on: 690 * time.Millisecond, off: 470 * time.Millisecond, weights: even, workers: 2})
}

// steady is load that comes to one node mostly.
func steady() (streams []stream) {
	skewed := [nodes]float64{0.80, 0.15, 0.05}
	for _, l := range []limit{s30, s500, s2000} {
		streams = append(streams,
			stream{limit: l, key: "skewed", kind: "above, skewed", rate: 1.3 * float64(l.events), weights: skewed, workers: workers(l)},
			stream{limit: l, key: "below", kind: "below, skewed", rate: 0.5 * float64(l.events), weights: skewed, workers: workers(l)})
	}
	return append(streams, stream{limit: m10, key: "skewed", kind: "above, skewed", rate: 20, weights: skewed, workers: 1},
		stream{limit: m10, key: "below", kind: "below, skewed", rate: 0.08, weights: skewed, workers: 1})
}

// workers is how many connections a limit's load needs at each node.
func workers(l limit) int { return 2 + l.events/250 }

// time measures what the limits add, while other load goes on.
func (r *result) time(t *testing.T, s system, client *redis.Client) {
	part := max(*length/8, 500*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	times := make(chan latencies)
	go func() { times <- roundTrips(ctx, client) }()
	// The small limit is asked for a new caller each time: nothing is known beforehand.
	got := probe(t.Context(), t, s.addrs, []string{free, huge.name, m10.name},
		func(node, n int) string { return "probe" + strconv.Itoa(node) + "-" + strconv.Itoa(n/27) }, part)
	cancel()
	r.redis = <-times
	base := got[free]
	r.leased = added{got[huge.name].at(.5) - base.at(.5), got[huge.name].at(.99) - base.at(.99)}
	r.strict = added{got[m10.name].at(.5) - base.at(.5), got[m10.name].at(.99) - base.at(.99)}
	bare := saturate(t.Context(), t, s.addrs, free, part)
	r.perSecond = saturate(t.Context(), t, s.addrs, huge.name, part)
	r.throughput = r.perSecond / bare
}

// count asks how often Redis is asked.
func (r *result) count(t *testing.T, s system, client *redis.Client) {
	part := max(*length/8, 500*time.Millisecond)
	busy := func(l limit) float64 {
		before := calls(t, client, s.scripts)
		perSecond := saturate(t.Context(), t, s.addrs, l.name, part)
		return float64(calls(t, client, s.scripts)-before) / (perSecond * part.Seconds())
	}
	r.busyCalls = busy(huge)
	r.pace(t, s, client, part)
	if r.name != "tollgate" {
		return
	}
	c, err := dial(s.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	const requests = 50
	started := clock()
	before := calls(t, client, s.scripts)
	for n := range requests {
		if status, err := c.get("four", "four"+strconv.Itoa(n), clock()); err != nil || status != 200 {
			t.Fatal(status, err)
		}
	}
	r.fourCalls = float64(calls(t, client, s.scripts)-before) / requests
	r.beats = nodes * (1 + (clock() - started).Seconds()) / requests
}

// pace has a key with a window of a second at a rate where calls of Redis count for most:
// just above 1,000 a second and node. The calls are a node's by the second, not by the request.
func (r *result) pace(t *testing.T, s system, client *redis.Client, part time.Duration) {
	const rate = 1060
	even := [nodes]float64{1. / 3, 1. / 3, 1. / 3}
	before := calls(t, client, s.scripts)
	tally := run(t.Context(), t, s.addrs, []stream{{limit: fast, key: "paced", rate: nodes * rate, weights: even, workers: 4}}, part)[0]
	requests := float64(len(tally.sent))
	r.fastCalls = float64(calls(t, client, s.scripts)-before) / requests
	r.fastRate = requests / part.Seconds() / nodes
}

// hold is what the edge promises.
func (r *result) hold(t *testing.T) {
	t.Helper()
	for _, o := range r.keys {
		name := fmt.Sprintf("%s, %s", o.limit.name, o.kind)
		if o.proven > o.limit.events {
			t.Errorf("%s: %d in one window, the limit is %d", name, o.proven, o.limit.events)
		}
		if o.admitted != o.accepted {
			t.Errorf("%s: %d arrived, %d were answered 200", name, o.admitted, o.accepted)
		}
		if late := o.late(); full() && late > len(o.sent)/100 {
			t.Errorf("%s: %d of %d were refused because Redis was late", name, late, len(o.sent))
		}
		if n := len(o.sent) - o.accepted - o.denied - o.late(); n > 0 {
			t.Errorf("%s: answers other than 200, 429 and 503: %v", name, o.others)
		}
		if o.limit == m10 && len(o.sent) >= m10.events && o.admitted != m10.events {
			t.Errorf("%s: %d admitted, want exactly %d", name, o.admitted, m10.events)
		}
		if o.limit.events >= 500 && o.share() < minimalShare() {
			t.Errorf("%s: %d admitted, %.3f of the %d of an exact log, want %.2f", name, o.admitted, o.share(), o.exact, minimalShare())
		}
		if full() && o.worst > o.limit.events {
			t.Errorf("%s: %d arrived in one window, the limit is %d", name, o.worst, o.limit.events)
		}
	}
	if r.calls > 1 || r.fourCalls > 1+r.beats {
		t.Errorf("%.3f calls of Redis a request, %.3f with four limits: want 1 at most", r.calls, r.fourCalls)
	}
	if r.busyCalls > 0.02 {
		t.Errorf("%.4f calls of Redis a request on a busy key, want 0.02 at most", r.busyCalls)
	}
	if full() && r.fastRate <= 1000 {
		t.Errorf("only %.0f requests a second and node of a key: the machine is too slow to say what 1,000 cost", r.fastRate)
	}
	if full() && r.fastCalls > 0.02 {
		t.Errorf("%.4f calls of Redis a request on a key with %.0f requests a second and node, want 0.02 at most", r.fastCalls, r.fastRate)
	}
	if limit := 2 * r.redis.at(.99); full() && r.strict.p99 > limit {
		t.Errorf("a strict decision adds %v at p99, want %v at most, twice a round trip to Redis", r.strict.p99, limit)
	}
}

// full says whether this is the long run, on a machine of its own. The short one runs
// beside all other tests, where only what no delay can spoil is asked for.
func full() bool { return *length >= 20*time.Second }

func minimalShare() float64 {
	if full() {
		return 0.93
	}
	return 0.3 // that it admits, whatever else runs; how much is the long run's to say
}
