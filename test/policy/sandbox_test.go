package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
	"github.com/open-tollgate/tollgate/internal/token"
)

// TestSandboxIsTheEdge sends random requests to random configurations, as they are and in
// a sandbox: what is left out of it changes no decision.
func TestSandboxIsTheEdge(t *testing.T) {
	w := newWorld(t)
	keys := func(issuer string) token.KeySource {
		for _, i := range w.issuers {
			if i.URL == issuer {
				return i.Keys()
			}
		}
		t.Errorf("no issuer %s", issuer)
		return nil
	}
	kinds, m := make(map[string]int), mint.New()
	for n := range 25 {
		g := &generator{Rand: rand.New(rand.NewPCG(77, uint64(n))), number: uint64(time.Now().UnixNano()) + uint64(n), upstreams: w.upstreams, keys: w.keys, roots: w.roots}
		config, err := json.Marshal(g.config())
		if err != nil {
			t.Fatal(err)
		}
		real, err := newEdge(config)
		if err != nil {
			t.Fatalf("%v\n%s", err, config)
		}
		apart, err := sandbox.New(config, sandbox.Options{Mint: m, Keys: keys})
		if err != nil {
			t.Fatalf("%v\n%s", err, config)
		}
		apart.Wait(time.Since(apart.Now()))
		for range 60 {
			r, model := w.request(g, strings.Contains(string(config), "tls_connection_policies"))
			again := w.parsed(&model)
			again.Header = r.Header.Clone()
			w.hear()
			want := real.serve(t, r)
			asked := make(map[string]bool)
			for _, heard := range w.hear() {
				asked[heard[:1]] = true
			}
			got, err := apart.Serve("srv", again)
			if err != nil {
				t.Fatal(err)
			}
			met := make(map[string]bool)
			for _, upstream := range got.Met.Upstreams {
				met[w.nameOf(upstream)] = true
			}
			inReal := fmt.Sprintf("%d %s %s asks %v", want.Code, want.API, want.Reason, asked)
			inSandbox := fmt.Sprintf("%d %s %s asks %v", got.Status, got.API, got.Reason, met)
			kinds[inReal]++
			if inReal != inSandbox {
				t.Fatalf("config %d: the edge: %s\nthe sandbox: %s\n%s\n%s", n, inReal, inSandbox, w.say(model), config)
			}
			if unanswered := got.Status == 200 && len(met) == 0 && got.API == "" && len(got.Body) == 0 && got.Header.Get("X-Static")+got.Header.Get("Etag") == ""; unanswered == got.Met.Answered && got.Status == 200 && got.API == "" && got.Met.RefusedBy == "" {
				t.Fatalf("config %d: answered %t: %+v\n%s", n, got.Met.Answered, got.Met, config)
			}
		}
		real.Close()
		apart.Close()
	}
	if len(kinds) < 15 {
		t.Errorf("only %d different outcomes: %v", len(kinds), kinds)
	}
}

// TestNothingLeavesTheSandbox runs cases against an edge that would connect to a listener
// for everything, and write to a folder: nobody connects, and the folder stays empty.
func TestNothingLeavesTheSandbox(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var dialed atomic.Int64
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			dialed.Add(1)
			_ = c.Close()
		}
	}()
	dir := t.TempDir()
	config := adaptText(t, strings.NewReplacer("DIALNAME", "services.test", "DIAL", listener.Addr().String(), "DIR", filepath.ToSlash(dir)).Replace(sealedEdge))
	m := mint.New()
	result := runText(t, config, sealedCases, m)
	for _, o := range result.Outcomes {
		if o.Failure != nil {
			t.Errorf("%s, step %d: %s\n%v", o.Case.Name, o.Failure.Step, strings.Join(o.Failure.Differs, "; "), o.Failure.Logged)
		}
	}
	for _, o := range runText(t, config, lyingCases, m).Outcomes {
		if o.Failure == nil || !strings.Contains(strings.Join(o.Failure.Differs, "; "), o.Case.Name) {
			t.Errorf("want a failure that says %q, got %+v", o.Case.Name, o.Failure)
		}
	}
	if n := dialed.Load(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files were written: %v %v", left, err)
	}
}

// TestCasesDoNotMeet runs one case many times over, more than are in one life of a sandbox:
// each finds its limit and its proofs unused.
func TestCasesDoNotMeet(t *testing.T) {
	t.Parallel()
	config := adaptText(t, "api.test {\n api a {\n public\n rate_limit {\n zone z {\n key {client_ip}\n kind calendar\n period month\n events 2\n }\n }\n respond 200\n }\n}")
	var text strings.Builder
	text.WriteString("cases:\n")
	for n := range 300 {
		fmt.Fprintf(&text, "  - name: %d\n    request: {url: \"https://api.test/\"}\n    expect: {status: 200, remaining: {z: 1}}\n", n)
	}
	if result := runText(t, config, text.String(), mint.New()); result.Failed() > 0 {
		t.Errorf("%d cases found a limit that another has used", result.Failed())
	}
}

func adaptText(t *testing.T, caddyfile string) []byte {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatal(err)
	}
	return adapted
}

func runText(t *testing.T, config []byte, text string, m *mint.Mint) *cases.Result {
	t.Helper()
	file, err := cases.Parse("cases.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := sandbox.Run(config, []*cases.File{file}, sandbox.Options{Mint: m})
	if err != nil {
		t.Fatal(err)
	}
	return result
}
