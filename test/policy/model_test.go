// Package policy holds the model of internal/policy to the real chain of handlers.
package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// setting gives a number of the environment.
func setting(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestModelIsTheEdge makes random configurations and requests, and wants of the model
// what the real chain of handlers does. CONFIGS, REQUESTS and SEED are its settings.
func TestModelIsTheEdge(t *testing.T) {
	w := newWorld(t)
	seed := uint64(setting(t, "SEED", 1)) // make soak takes another each time
	t.Logf("SEED=%d", seed)
	compared, kinds := 0, make(map[string]int)
	for n := range setting(t, "CONFIGS", 120) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(n))), number: seed<<20 + uint64(n), upstreams: w.upstreams, keys: w.keys, roots: w.roots}
		config, err := json.Marshal(g.config())
		if err != nil {
			t.Fatal(err)
		}
		real, err := newEdge(config)
		if err != nil {
			t.Fatalf("config %d: %v\n%s", n, err, config)
		}
		model, err := policy.Parse(config)
		if err != nil {
			t.Fatalf("config %d: %v\n%s", n, err, config)
		}
		seen := make(policy.Counts)
		for range setting(t, "REQUESTS", 100) {
			got, want := w.compare(g, real, model, seen)
			kind, _, _ := strings.Cut(got, " asked ")
			kinds[kind]++
			compared++
			if got != want {
				t.Fatalf("config %d: the edge: %s\nthe model: %s\n%s\n%s", n, want, got, w.last, config)
			}
		}
	}
	t.Logf("%d requests", compared)
	if len(kinds) < 20 {
		t.Errorf("only %d different outcomes: the generator has no variety: %v", len(kinds), kinds)
	}
}

// compare sends one request both ways.
func (w *world) compare(g *generator, real *edge, model *policy.Config, seen policy.Counts) (got, want string) {
	server := model.Servers[0]
	r, m := w.request(g, server.TLS)
	w.last = fmt.Sprintf("%s %s host %s from %v %v token %+v as %s certificate %v", m.Method, m.Target, m.Host, m.Remote, m.Header, m.Token, m.SentAs, m.HasCert)
	answer := real.serve(w.t, r)
	want = fmt.Sprintf("api %q status %d reason %q upstream %q remaining %v", answer.API, answer.Code, answer.Reason, answer.Header().Get("X-Upstream"), told(answer.Header()["Ratelimit"]))
	reached := reached(answer)
	outcomes := model.Evaluate(server, m, &policy.Judge{Now: time.Now(), Take: seen.Take})
	if len(outcomes) != 1 {
		return fmt.Sprintf("%d outcomes: %v", len(outcomes), outcomes[0].Open), want
	}
	o := outcomes[0]
	status, upstream := o.Status, ""
	if o.Kind == policy.Forwarded {
		status = 200
		upstream = w.nameOf(o.Upstreams[0])
	}
	asked, known := w.says(&o, &m)
	if o.Kind == policy.Files {
		if !known { // what becomes of it is up to the folder: an API is all that is sure
			return fmt.Sprintf("files of api %q", o.API), fmt.Sprintf("files of api %q", answer.API)
		}
		status = 200
	}
	if known && status != answer.Code {
		reached = asked // that it is not, is enough
	}
	if !known {
		asked = reached
	}
	got = fmt.Sprintf("api %q status %d reason %q upstream %q remaining %v", o.API, status, o.Reason, upstream, remaining(o.Counters))
	return got + " asked " + asked, want + " asked " + reached
}

// told gives what RateLimit fields say is left, by zone.
func told(fields []string) []string {
	var all []string
	for _, item := range strings.Split(strings.Join(fields, ", "), ", ") {
		if name, rest, found := strings.Cut(item, ";r="); found {
			left, _, _ := strings.Cut(rest, ";")
			all = append(all, strings.Trim(name, `"`)+" "+left)
		}
	}
	slices.Sort(all)
	return all
}

// remaining is what the model says is left in the zones that an answer tells of.
func remaining(counters []policy.Counter) []string {
	var all []string
	for _, k := range counters {
		if !k.Shadow {
			all = append(all, fmt.Sprintf("%s %d", k.Zone, k.Remaining))
		}
	}
	slices.Sort(all)
	return all
}

func (w *world) nameOf(address string) string {
	for n, upstream := range w.upstreams {
		if address == "http://"+upstream {
			return strconv.Itoa(n)
		}
	}
	return address
}

// faults are mistakes that the model could have made: what it is shown is not what the edge runs.
var faults = map[string][2]string{
	"terminal routes go on":          {`"terminal":true`, `"terminal":false`},
	"groups hold nothing together":   {`"group":"`, `"group":"","grouped":"`},
	"a path matches one letter more": {`"/users/?"`, `"/users/*"`},
	"a prefix is not stripped":       {`"strip_path_prefix":"/a"`, `"strip_path_prefix":"/zz"`},
	"a scope too many is asked for":  {`"scopes":["`, `"scopes":["nobody-has-it","`},
	"a binding is forgotten":         {`"sender_constrained":true`, `"sender_constrained":false,"scopes":["read"]`},
	"strip takes nothing away":       {`"strip":["X-Flag"]`, `"strip":["X-Other"]`},
	"an audience too many":           {`"audiences":["shared"],"handler":"access_token"`, `"handler":"access_token"`},
	"a request always counts once":   {`"cost":{"value":"2"`, `"cost":{"value":"1"`},
	"a default is not what it costs": {`"default":3`, `"default":1`},
	"what says no cost passes":       {`"cost":{"value":"{http.request.uri.query.a}"}`, `"cost":{"default":1,"value":"{http.request.uri.query.a}"}`},
	"a shadow refuses":               {`"shadow":true`, `"shadow":false`},
	"slots are never given back":     {`"kind":"concurrency"`, `"kind":"sliding"`},
	"a burst is the number":          {`"burst":`, `"bust":`},
	"nobody's requests are skipped":  {`"empty_key":"share"`, `"empty_key":"skip"`},
	"a network is an address":        {`"ipv4_prefix":8`, `"ipv4_prefix":32`},
	"a zone is for all":              {`}","match":`, `}","mutch":`},
	"a value is another":             {`"replace":"/a/$1"`, `"replace":"/b/$1"`},
	"a query is dropped":             {`"uri":"/b?{http.request.uri.query}"`, `"uri":"/b?"`},
	"a rewrite is not done":          {`"uri":"/admin{http.request.uri}"`, `"uri":"/admin/"`},
	"a field is taken away":          {`"delete":["X-F*"]`, `"delete":["X-G*"]`},
	"a field is set otherwise":       {`"X-Role":["1"]`, `"X-Role":["2"]`},
	"a folder is another":            {`"handler":"file_server","root":"`, `"handler":"file_server","root":"/nowhere`},
	"errors are not caught":          {`"errors":{"routes"`, `"errors":{"rautes"`},
}

// TestPlantedFaultsAreFound shows that the comparison can fail.
func TestPlantedFaultsAreFound(t *testing.T) {
	w := newWorld(t)
	missing := make(map[string]bool, len(faults))
	for name := range faults {
		missing[name] = true
	}
	for n := 0; n < 400 && len(missing) > 0; n++ {
		g := &generator{Rand: rand.New(rand.NewPCG(7, uint64(n))), number: uint64(time.Now().UnixNano()) + uint64(n), upstreams: w.upstreams, keys: w.keys, roots: w.roots}
		config, err := json.Marshal(g.config())
		if err != nil {
			t.Fatal(err)
		}
		real, err := newEdge(config)
		if err != nil {
			t.Fatal(err)
		}
		for name := range missing {
			wrong := bytes.ReplaceAll(config, []byte(faults[name][0]), []byte(faults[name][1]))
			model, err := policy.Parse(wrong)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for range 40 {
				if got, want := w.compare(g, real, model, make(policy.Counts)); got != want && !bytes.Equal(wrong, config) {
					delete(missing, name)
					break
				}
			}
		}
	}
	for name := range missing {
		t.Errorf("nobody notices that %s", name)
	}
}
