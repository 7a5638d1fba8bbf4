package limits

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// admit sends requests of one key, one after the other, until one is refused, and gives
// how many were not.
func admit(t *testing.T, addr string, l limit, key string) (n int) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for ; n <= 10*l.events; n++ {
		status, err := c.get(l.name, key, clock())
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusTooManyRequests {
			return n
		}
		if status != http.StatusOK {
			t.Fatalf("%s: status %d", l.name, status)
		}
	}
	t.Fatalf("%s: nothing is refused", l.name)
	return n
}

// some sends a number of requests that all have to pass.
func some(t *testing.T, addr string, l limit, key string, n int) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for range n {
		if status, err := c.get(l.name, key, clock()); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
}

// stores are where counts can be kept.
func stores(t *testing.T, do func(t *testing.T, redis string)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		do(t, "off")
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		do(t, "redis://"+testenv.Redis(t))
	})
}

// TestReloadKeepsCounts changes how many events a limit has while its window runs: what
// was counted before goes on to count, up and down.
func TestReloadKeepsCounts(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, redis string) {
		backend := newRecorder(t).server.Listener.Addr().String()
		e := startEdge(t, redis, backend, m10)
		change := func(events int) {
			e.reload(edgeConfig(e.addr, e.admin, redis, backend, limit{m10.name, events, m10.window}))
		}
		some(t, e.addr, m10, "a", 6)
		change(8)
		if n := admit(t, e.addr, m10, "a"); n != 2 {
			t.Errorf("%d more pass after 6, with 8 allowed", n)
		}
		change(5)
		if n := admit(t, e.addr, m10, "a"); n != 0 {
			t.Errorf("%d more pass after 8, with 5 allowed", n)
		}
		change(12)
		if n := admit(t, e.addr, m10, "a"); n != 4 {
			t.Errorf("%d more pass after 8, with 12 allowed", n)
		}
	})
}

// TestReloadInMidWindow reloads again and again while more comes than is allowed: no
// window holds more than the larger limit, and nobody gets another answer than those of a limit.
func TestReloadInMidWindow(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, redis string) {
		recorder := newRecorder(t)
		backend := recorder.server.Listener.Addr().String()
		e := startEdge(t, redis, backend, s30, s500)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range 6 {
				less := []limit{{s30.name, 20, s30.window}, {s500.name, 400, s500.window}}
				if n%2 == 1 {
					less = []limit{s30, s500}
				}
				e.reload(edgeConfig(e.addr, e.admin, redis, backend, less...))
			}
		}()
		alone := [nodes]float64{1}
		for _, tally := range run(t.Context(), t, []string{e.addr}, []stream{
			{limit: s30, key: "reload", rate: 90, weights: alone, workers: 2},
			{limit: s500, key: "reload", rate: 900, weights: alone, workers: 4},
		}, 3*time.Second) {
			admitted := recorder.of(tally.limit.name, tally.key)
			if most := proven(admitted, tally.limit.window); most > tally.limit.events {
				t.Errorf("%s: %d in a window", tally.limit.name, most)
			}
			delete(tally.others, http.StatusServiceUnavailable) // Redis was too late
			if len(tally.others) > 0 || len(admitted) != tally.accepted || tally.accepted == 0 {
				t.Errorf("%s: %d arrived, %d were answered 200, others %v", tally.limit.name, len(admitted), tally.accepted, tally.others)
			}
		}
		<-done
	})
}

// TestRestartGoesOn: with Redis, a restart of the edge forgets nothing.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	redis := "redis://" + testenv.Redis(t)
	backend := newRecorder(t).server.Listener.Addr().String()
	first := startEdge(t, redis, backend, m10, s500)
	some(t, first.addr, m10, "a", 4)
	first.stop()
	if n := admit(t, startEdge(t, redis, backend, m10).addr, m10, "a"); n != 6 {
		t.Errorf("%d more pass after 4 before the restart, of 10", n)
	}
}

// TestReducedCapacity: while Redis is away each node admits its part, and says so where
// it refuses. When Redis is back the edge is, by itself.
func TestReducedCapacity(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	backend := newRecorder(t).server.Listener.Addr().String()
	redis := "redis://" + server.Addr()
	e := startEdge(t, redis, backend, m10)
	e.reload(strings.NewReplacer("nodes 1\n", "nodes 2\n", "on_failure closed", "on_failure share").
		Replace(edgeConfig(e.addr, e.admin, redis, backend, m10)))
	some(t, e.addr, m10, "before", 1)
	server.Kill()
	get := func() *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.addr+"/m10", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Client", "away")
		r.Header.Set(sentHeader, "0")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	passed := 0
	for passed <= m10.events {
		res := get()
		body := read(t, res)
		if res.StatusCode == http.StatusOK {
			passed++
			continue
		}
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" ||
			!strings.Contains(body, `"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"`) {
			t.Fatalf("%s %v %s", res.Status, res.Header, body)
		}
		break
	}
	if passed == 0 || passed > m10.events/2 {
		t.Errorf("%d pass, the part of one of two nodes is %d", passed, m10.events/2)
	}
	if !strings.Contains(e.metrics(), "tollgate_rate_limit_redis_away 1") {
		t.Error("the metrics do not say that Redis is away")
	}
	server.Restart()
	waitFor(t, "the edge to count in Redis again", func() bool {
		return strings.Contains(e.metrics(), "tollgate_rate_limit_redis_away 0")
	})
}

// TestLimitsCommand looks at limits from the command line, and lets a caller go.
func TestLimitsCommand(t *testing.T) {
	t.Parallel()
	redis := "redis://" + testenv.Redis(t)
	backend := newRecorder(t).server.Listener.Addr().String()
	one, two := startEdge(t, redis, backend, m10), startEdge(t, redis, backend, m10)
	command := func(args ...string) (string, error) {
		output, err := exec.Command(binary, append([]string{"limits"}, args...)...).CombinedOutput()
		return string(output), err
	}
	must := func(args ...string) string {
		t.Helper()
		output, err := command(args...)
		if err != nil {
			t.Fatalf("limits %v: %v\n%s", args, err, output)
		}
		return output
	}
	const caller = "caller-of-the-command"
	if n := admit(t, one.addr, m10, caller); n != m10.events {
		t.Fatalf("%d pass", n)
	}
	list := must("list", "--address", one.admin)
	for _, want := range []string{"m10", "sliding", `"m10";q=10;w=60`, "{http.request.header.Client}", "four3"} {
		if !strings.Contains(list, want) {
			t.Errorf("list does not say %q:\n%s", want, list)
		}
	}
	show := strings.Fields(lastLine(must("show", "--address", two.admin, "--zone", "m10", caller)))
	if len(show) < 5 || show[3] != "10" || show[4] != "0" {
		t.Errorf("show says %q, want 10 used and 0 left", show)
	}
	must("reset", "--address", one.admin, "--zone", "m10", "--api", "m10", caller)
	waitFor(t, "the other node to let the caller go", func() bool {
		c, err := dial(two.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		status, err := c.get("m10", caller, clock())
		return err == nil && status == http.StatusOK
	})
	for _, bad := range [][]string{
		{"show", "--zone", "none", caller}, {"show", "--zone", "m10"}, {"show", caller},
		{"show", "--zone", "m10", "--api", "four", caller}, {"forget"},
	} {
		if output, err := command(append(bad, "--address", one.admin)...); err == nil {
			t.Errorf("limits %v: accepted\n%s", bad, output)
		}
	}
	if strings.Contains(one.log.String(), caller) {
		t.Error("the log says who was limited")
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestHardHit: a caller that goes on and on has a line in the log, which does not say who it is.
func TestHardHit(t *testing.T) {
	t.Parallel()
	backend := newRecorder(t).server.Listener.Addr().String()
	e := startEdge(t, "off", backend, m10)
	const caller = "caller-who-goes-on"
	for range 40 {
		admit(t, e.addr, m10, caller)
	}
	log := e.log.String()
	if n := strings.Count(log, "a caller is far over its limit"); n != 1 || !strings.Contains(log, `"zone":"m10"`) || strings.Contains(log, caller) {
		t.Errorf("%d lines:\n%s", n, log)
	}
	if got := fmt.Sprint(strings.Contains(e.metrics(), `tollgate_rate_limit_decisions_total{api="m10",decision="denied",zone="m10"} 40`)); got != "true" {
		t.Errorf("metrics:\n%s", e.metrics())
	}
}
