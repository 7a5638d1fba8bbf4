package policy

import (
	"bytes"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestModelIsTheEdgeOfCaddyfiles does as TestModelIsTheEdge does, with what Caddy's adapter makes of random
// Caddyfiles.
func TestModelIsTheEdgeOfCaddyfiles(t *testing.T) {
	w := newWorld(t)
	seed := uint64(setting(t, "SEED", 1))
	t.Logf("SEED=%d", seed)
	compared, kinds, loads := 0, make(map[string]int), 0
	var loose tally
	for n := range setting(t, "CONFIGS", 120) / 2 {
		g := w.generator(seed, 1<<20+n)
		g.open = true
		text := g.site()
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
		if err != nil {
			t.Fatalf("config %d: %v\n%s", n, err, text)
		}
		config = bytes.ReplaceAll(config, []byte(`"srv0":`), []byte(`"srv":`))
		real, err := newEdge(config)
		if err != nil {
			t.Logf("config %d: %v", n, err) // a list of routes that refuses itself
			continue
		}
		loads++
		model, err := policy.Parse(config)
		if err != nil {
			t.Fatalf("config %d: %v\n%s", n, err, text)
		}
		for range 60 {
			m, was := w.ask(g, real, model.Servers[0])
			is := saysOf(w, model, m, &policy.Judge{Now: time.Now()})
			kinds[is[0].String()]++
			compared++
			if wrong := loose.compare(was, is); wrong != "" {
				t.Errorf("config %d: %s\nthe edge: %s\nthe model: %v\n%s\n%s\n%s", n, wrong, was, is, w.last, text, config)
				break
			}
		}
		real.Close()
	}
	t.Logf("%d requests, %s", compared, loose)
	if setting(t, "CONFIGS", 120) < fewConfigs {
		return
	}
	if len(kinds) < 15 || loads < 20 {
		t.Errorf("only %d different outcomes of %d configurations: the generator has no variety: %v", len(kinds), loads, kinds)
	}
}
