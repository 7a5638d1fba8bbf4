package tollgate

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/open-tollgate/tollgate/internal/limit"
)

func TestRateLimitsBlock(t *testing.T) {
	t.Parallel()
	parse := func(block string) (*App, error) {
		app := new(App)
		return app, app.UnmarshalCaddyfile(caddyfile.NewTestDispenser("tollgate {\n" + block + "\n}"))
	}
	app, err := parse("rate_limits {\nnodes 3\nnamespace edge.eu\ndeadline 50ms\n}")
	if err != nil {
		t.Fatal(err)
	}
	if want := (RateLimits{Nodes: 3, Namespace: "edge.eu", Deadline: caddy.Duration(50 * time.Millisecond)}); *app.RateLimits != want {
		t.Errorf("got %+v", *app.RateLimits)
	}
	for block, want := range map[string]string{
		"rate_limits {\nnodes 0\n}":                            `nodes "0"`,
		"rate_limits {\nnodes many\n}":                         `nodes "many"`,
		"rate_limits {\nnodes 1001\n}":                         "nodes 1001: want 1 to 1000",
		"rate_limits {\nnodes\n}":                              "nodes takes one value",
		"rate_limits {\nnamespace {a}\n}":                      `namespace "{a}"`,
		"rate_limits {\ndeadline soon\n}":                      `deadline "soon" is not a duration`,
		"rate_limits {\ndeadline 1m\n}":                        "deadline 1m0s: want 1ms to 10s",
		"rate_limits {\nnodez 1\n}":                            `unknown option "nodez"`,
		"rate_limits {\nnodes 3\nnodes 1\n}":                   "nodes is there twice",
		"rate_limits on":                                       `not "on"`,
		"rate_limits {\nnodes 1\n}\nrate_limits {\nnodes 1\n}": "there twice",
	} {
		_, err := parse(block)
		if err == nil || !strings.Contains(err.Error(), "rate_limits") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%q: %v, want %q, with file and line", block, err, want)
		}
	}
}

// TestEngineOfATarget: a reload goes on with the engine, unless it counts elsewhere.
func TestEngineOfATarget(t *testing.T) {
	t.Parallel()
	begin := func(url, namespace string) *App {
		a := &App{RedisURL: url, RateLimits: &RateLimits{Namespace: namespace}, logger: caddy.Log()}
		if err := a.provisionRedis(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Cleanup() })
		return a
	}
	limiter := func(a *App) any {
		engine, err := a.Limiter()
		if err != nil {
			t.Fatal(err)
		}
		return engine
	}
	const url = "redis://127.0.0.1:1/7"
	first := limiter(begin(url, "a"))
	for name, other := range map[string]struct {
		app  *App
		same bool
	}{
		"the same": {begin(url, "a"), true}, "another namespace": {begin(url, "b"), false},
		"another Redis": {begin("redis://127.0.0.1:1/8", "a"), false}, "memory": {begin("off", "a"), false},
	} {
		if (limiter(other.app) == first) != other.same {
			t.Errorf("%s: the same engine: %v", name, !other.same)
		}
	}
	if limiter(begin("off", "a")) != limiter(begin("", "b")) {
		t.Error("there are two memories")
	}
	more := begin(url, "a")
	more.RateLimits.Nodes = 3
	if limiter(more) != first {
		t.Error("another number of nodes: what was spent while Redis is away is forgotten")
	}
	if err := more.startLimits(); err != nil || first.(*limit.Engine).Info().Nodes != 3 {
		t.Errorf("%d nodes, %v", first.(*limit.Engine).Info().Nodes, err)
	}
	for _, a := range []*App{begin(url, "c")} {
		once := limiter(a)
		if err := a.Cleanup(); err != nil {
			t.Fatal(err)
		}
		if limiter(begin(url, "c")) == once {
			t.Error("an engine outlives its last configuration")
		}
	}
}
