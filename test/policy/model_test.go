// Package policy holds the model of internal/policy to the real chain of handlers.
package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
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

// fewConfigs are too few to ask whether the generator has variety.
const fewConfigs = 100

// TestModelIsTheEdge makes random configurations and requests, and wants of the model
// what the real chain of handlers does. CONFIGS, REQUESTS and SEED are its settings.
func TestModelIsTheEdge(t *testing.T) {
	w := newWorld(t)
	seed := uint64(setting(t, "SEED", 1)) // make soak takes another each time
	t.Logf("SEED=%d", seed)
	compared, kinds := 0, make(map[string]int)
	var loose tally
	failures := 0 // the first few say more than one
	for n := range setting(t, "CONFIGS", 120) {
		g := w.generator(seed, n)
		g.open = g.chance(40) // with what is not analysed, too
		g.roomy = g.open
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
		if failures == 5 { // they say enough
			t.FailNow()
		}
		for range setting(t, "REQUESTS", 100) {
			m, was := w.ask(g, real, model.Servers[0])
			is := saysOf(w, model, m, &policy.Judge{Now: time.Now(), Counts: seen})
			if kinds[is[0].String()]++; g.open { // the counts of several ways are not those of one
				was.remaining = nil
				for n := range is {
					is[n].remaining = nil
				}
			}
			compared++
			seen = countsOf(was, is)
			if wrong := loose.compare(was, is); wrong != "" {
				t.Errorf("config %d: %s\nthe edge: %s\nthe model: %v\n%s\n%s", n, wrong, was, is, w.last, config)
				for _, s := range is {
					t.Logf("%s: %v", s, s.way)
				}
				failures++
				break
			}
		}
		real.Close()
	}
	t.Logf("%d requests, %s", compared, loose)
	if setting(t, "CONFIGS", 120) < fewConfigs {
		return
	}
	if len(kinds) < 20 {
		t.Errorf("only %d different outcomes: the generator has no variety: %v", len(kinds), kinds)
	}
	if loose.several < compared/20 || loose.unlike > loose.several/3 {
		t.Errorf("what is not analysed is not met often enough, or too much is put down to it: %s", loose)
	}
}

func (w *world) generator(seed uint64, n int) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, uint64(n))), number: seed<<20 + uint64(n), upstreams: w.upstreams, keys: w.keys, roots: w.roots}
}

// said is what became of a request, as the edge shows it or the model tells it.
type said struct {
	api, reason, upstream string
	status                int
	remaining             []string
	got                   bool // to something
	open                  bool // something on its way is not analysed
	unfollowed            bool // it is sent on by a rewrite that is not followed
	any                   bool // what answers is not analysed: it may be anything
	asked                 string
	known                 bool     // what is asked
	heard                 []string // by services, whoever answers
	hears                 bool     // they are known
	way                   []policy.Step
	counts                policy.Counts
}

func (s said) String() string {
	return fmt.Sprintf("api %q status %d reason %q upstream %q remaining %v", s.api, s.status, s.reason, s.upstream, s.remaining)
}

// ask sends a random request through the real chain.
func (w *world) ask(g *generator, real *edge, server *policy.Server) (policy.Request, said) {
	r, m := w.request(g, server.TLS)
	w.last = fmt.Sprintf("%s certificate %v", w.say(m), m.HasCert)
	w.hear()
	a := real.serve(w.t, r)
	return m, said{
		heard: w.hear(),
		api:   a.API, status: a.Code, reason: a.Reason, upstream: a.Header().Get("X-Upstream"), remaining: told(a.Header()["Ratelimit"]),
		asked: reached(a),
		got:   a.Header().Get("X-Upstream") != "" || a.Header().Get("X-Static") != "" && a.Code < 300,
	}
}

// saysOf gives what the model says of a request: more than one where something is not analysed.
func saysOf(w *world, model *policy.Config, m policy.Request, j *policy.Judge) []said {
	var all []said
	for _, o := range model.Evaluate(model.Servers[0], m, j) {
		s := said{way: o.Steps, counts: o.Counts, api: o.API, status: o.Status, reason: o.Reason, remaining: remaining(o.Counters), got: o.Admits(), open: len(o.Open) > 0}
		if o.Kind == policy.Forwarded {
			s.status, s.upstream = cmp.Or(o.Status, 200), w.nameOf(o.Upstreams[0])
			s.unfollowed = o.Sent != nil && len(o.Sent.Rewrites) > 0
		}
		if o.Kind == policy.Refused && o.Status == 0 { // the connection is cut, and nothing told
			s = said{open: s.open, counts: s.counts}
		}
		s.heard, s.hears = w.hears(&o, &m)
		s.any = o.Kind == policy.Files || slices.ContainsFunc(o.Steps, isFolder) || strings.HasSuffix(o.Rule.What, "(not analysed)") || strings.HasPrefix(o.Rule.What, "intercept, where nothing answers")
		if s.asked, s.known = w.says(&o, &m); o.Kind == policy.Files {
			s.known = s.known && s.asked != ""
		}
		all = append(all, s)
	}
	return all
}

// hidesFile says whether another answer has been put in the place of a file: nothing shows it then.
func (s said) hidesFile() bool {
	return strings.HasPrefix(s.asked, "file:") && slices.ContainsFunc(s.way, func(step policy.Step) bool { return strings.Contains(step.At, "/handle_response/") })
}

// isFolder says whether a step is at a folder, which has a word in the answer, too.
func isFolder(s policy.Step) bool { return s.What == "file_server" }

// tally counts how often the model has more than one answer.
type tally struct{ several, unlike int }

func (y tally) String() string {
	return fmt.Sprintf("%d with something that is not analysed, %d of them let in by the model alone", y.several, y.unlike)
}

// compare says what is wrong: the two agree, or the model says that it does not know, and
// then one of its answers is the edge's, or is more open.
func (y *tally) compare(was said, is []said) string {
	if !slices.ContainsFunc(is, func(s said) bool { return s.open }) {
		if is[0].asked == noFile && strings.HasPrefix(was.asked, "file:") {
			return "there is a file: " + was.asked
		}
		if len(is) == 1 && was.isNoRequest(is[0]) {
			return ""
		}
		if len(is) != 1 || is[0].String() != was.String() && !is[0].any {
			return "they differ"
		}
		if is[0].known && is[0].asked != was.asked && is[0].got && !is[0].hidesFile() {
			return "something else is asked: " + was.asked + ", and in the model " + is[0].asked
		}
		if is[0].hears && !is[0].any && !slices.Equal(is[0].heard, was.heard) {
			return fmt.Sprintf("services are asked %q, and in the model %q", was.heard, is[0].heard)
		}
		return ""
	}
	y.several++
	switch {
	case slices.ContainsFunc(is, was.alike):
		return ""
	case was.got:
		return "the model does not know of a way in"
	case !slices.ContainsFunc(is, func(s said) bool { return s.got }):
		return "what is not analysed does not count as open"
	}
	y.unlike++
	return ""
}

// isNoRequest says whether a rewrite that is not followed has made what a service takes for no
// request: it says so, and nothing of itself.
func (s said) isNoRequest(other said) bool {
	return s.status == http.StatusBadRequest && s.reason == "" && s.upstream == "" && other.unfollowed
}

// alike says whether the two are the same but for what is left of limits.
func (s said) alike(other said) bool {
	if slices.ContainsFunc(other.way, isFolder) && s.status == http.StatusPermanentRedirect {
		return true // to the file's own name, which a folder answers with before it looks at the method
	}
	if s.isNoRequest(other) || s.status == http.StatusBadRequest && s.reason == "" && other.open && s.upstream == other.upstream {
		return true // a rewrite that is not followed has made what is no request, and a service says so
	}
	if other.any {
		return s.api == other.api || other.api == "" // the connection was cut before anything was told
	}
	return s.api == other.api && s.status == other.status && s.reason == other.reason && s.upstream == other.upstream
}

// countsOf gives those after the answer that the edge has given, of all that the model
// thinks possible.
func countsOf(was said, is []said) policy.Counts {
	n := slices.IndexFunc(is, func(s said) bool { return s.String() == was.String() })
	if n < 0 {
		n = slices.IndexFunc(is, was.alike)
	}
	return is[max(n, 0)].counts
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
	"a field is set otherwise":       {`"set":{"X-Role":[`, `"set":{"X-Rule":[`},
	"a folder is another":            {`"handler":"file_server","root":"`, `"handler":"file_server","root":"/nowhere`},
	"the answer is the service's":    {`"handle_response":[{"routes":[`, `"handled_response":[{"routes":[`},
	"errors are not caught":          {`"errors":{"routes"`, `"errors":{"rautes"`},
}

// TestPlantedFaultsAreFound shows that the comparison can fail.
func TestPlantedFaultsAreFound(t *testing.T) {
	w := newWorld(t)
	missing := make(map[string]bool, len(faults))
	for name := range faults {
		missing[name] = true
	}
	for n := 0; n < 2000 && len(missing) > 0; n++ {
		g := w.generator(7, n)
		g.limited = n%2 == 0
		w.plantFaults(g, missing)
	}
	for name := range missing {
		t.Errorf("nobody notices that %s", name)
	}
}

// plantFaults takes away those that requests to one configuration show. All models are
// asked about the same ones.
func (w *world) plantFaults(g *generator, missing map[string]bool) {
	w.t.Helper()
	g.number += uint64(time.Now().UnixNano()) // nothing is counted yet, however often this runs
	config, err := json.Marshal(g.config())
	if err != nil {
		w.t.Fatal(err)
	}
	models := make(map[string]*policy.Config)
	for name := range missing {
		wrong := bytes.ReplaceAll(config, []byte(faults[name][0]), []byte(faults[name][1]))
		if bytes.Equal(wrong, config) {
			continue
		}
		if faulty, err := policy.Parse(wrong); err == nil { // another configuration shows it
			models[name] = faulty
		}
	}
	if len(models) == 0 {
		return
	}
	real, err := newEdge(config)
	if err != nil {
		w.t.Fatal(err)
	}
	defer real.Close()
	const right = "nothing is wrong"
	if models[right], err = policy.Parse(config); err != nil {
		w.t.Fatal(err)
	}
	seen := make(map[string]policy.Counts)
	for name := range models {
		seen[name] = make(policy.Counts)
	}
	for range 60 {
		m, was := w.ask(g, real, models[right].Servers[0])
		for name, model := range models {
			j := &policy.Judge{Now: time.Now(), Counts: seen[name]}
			is := saysOf(w, model, m, j)
			seen[name] = countsOf(was, is)
			if wrong := new(tally).compare(was, is); wrong != "" {
				if name == right {
					w.t.Fatalf("%s\nthe edge: %s\nthe model: %v\n%s\n%s", wrong, was, is, w.last, config)
				}
				delete(missing, name)
				delete(models, name)
			}
		}
		if len(models) == 1 {
			return
		}
	}
}
