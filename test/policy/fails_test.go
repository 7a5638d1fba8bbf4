package policy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// server makes a configuration whose server has these members. UP0 and UP1 are services,
// and ROOT is a folder.
func (w *world) server(members string) []byte {
	w.t.Helper()
	g := w.generator(99, 1)
	config := g.config()
	s := config["apps"].(object)["http"].(object)["servers"].(object)["srv"].(object)
	for _, name := range []string{"errors", "routes", "named_routes", "trusted_proxies", "trusted_proxies_strict", "client_ip_headers"} {
		delete(s, name)
	}
	s["tls_connection_policies"] = []object{{}}
	members = strings.NewReplacer("UP0", w.upstreams[0], "UP1", w.upstreams[1], "ROOT", w.roots[0]).Replace(members)
	if err := json.Unmarshal([]byte(members), &s); err != nil {
		w.t.Fatalf("%v: %s", err, members)
	}
	text, err := json.Marshal(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

const (
	toFirst  = `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"UP0"}]}]}`
	toNobody = `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]}`
)

// errorsLead has errors of a status lead to the second service.
func errorsLead(status string) string {
	return `,"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} in [` + status + `]"}],"handle":[{"handler":"request_body","set":"x"},{"handler":"reverse_proxy","upstreams":[{"dial":"UP1"}]}]}]}`
}

// TestErrorsThatLeadOnAreSeen adds error routes that forward. Who fails on the way is let in by
// them: the comparison says so, and the edge does it.
func TestErrorsThatLeadOnAreSeen(t *testing.T) {
	w := newWorld(t)
	api := func(inside string) string {
		return `"routes":[{"handle":[{"handler":"api","name":"planted","routes":[{"handle":[{"handler":"access_token"}]},` + inside + `]}]}]`
	}
	for _, c := range []struct {
		name, routes, status string
		request              policy.Request
		body                 string
	}{
		{name: "a bad token", routes: api(toFirst), status: "401"},
		{name: "a path that is not canonical", routes: api(toFirst), status: "400", request: policy.Request{Target: "/a//b"}},
		{name: "no file", routes: `"routes":[{"handle":[{"handler":"file_server","root":"ROOT"}]}]`, status: "404", request: policy.Request{Target: "/none"}},
		{name: "no service", routes: `"routes":[` + toNobody + `]`, status: "502"},
		{name: "a body", routes: `"routes":[{"handle":[{"handler":"request_body","max_size":1}]},` + toFirst + `]`, status: "413", request: policy.Request{Method: "POST"}, body: "long"},
		{name: "a long method", routes: api(toFirst), status: "405", request: policy.Request{Method: strings.Repeat("A", 33)}},
	} {
		before, after := w.server("{"+c.routes+"}"), w.server("{"+c.routes+errorsLead(c.status)+"}")
		leads := func(c *policy.Change) bool { return c.Failing != "" }
		if d := compared(t, before, after); !slices.ContainsFunc(d.Changes, func(c *policy.Change) bool { return leads(c) && c.Direction == policy.Widened }) {
			t.Errorf("%s: errors with %s lead on, and that is not said: %+v", c.name, c.status, d)
		}
		if d := compared(t, after, before); !slices.ContainsFunc(d.Changes, func(c *policy.Change) bool { return leads(c) && c.Direction == policy.Narrowed }) {
			t.Errorf("%s: errors with %s lead on no more, and that is not said: %+v", c.name, c.status, d)
		}
		if d := compared(t, after, after); len(d.Changes) > 0 || !d.Complete {
			t.Errorf("%s: not equal to itself: %+v", c.name, d)
		}
		for config, want := range map[*[]byte]bool{&before: false, &after: true} {
			if got := w.reachesSecond(*config, c.request, c.body); got != want {
				t.Errorf("%s: the edge lets the request in: %v", c.name, got)
			}
		}
	}
}

func compared(t *testing.T, before, after []byte) *policy.DiffResult {
	t.Helper()
	old, err := policy.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	is, err := policy.Parse(after)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Diff(old, is, time.Now())
}

// reachesSecond sends a request, of which only what matters is given, and says whether the
// second service gets it.
func (w *world) reachesSecond(config []byte, m policy.Request, body string) bool {
	w.t.Helper()
	m = plain(m)
	r := w.parsed(&m)
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return w.answerTo(config, r).Header().Get("X-Upstream") == "1"
}

// plain gives a request what it lacks.
func plain(m policy.Request) policy.Request {
	m.TLS = true
	if m.Method == "" {
		m.Method = "GET"
	}
	if m.Host == "" {
		m.Host = "edge.test"
	}
	if m.Target == "" {
		m.Target = "/a"
	}
	if m.Header == nil {
		m.Header = make(http.Header)
	}
	if !m.Remote.IsValid() {
		m.Remote = netip.MustParseAddr("192.0.2.1")
	}
	return m
}

// TestExplainKnowsWhereErrorsLead wants both ways of what can fail.
func TestExplainKnowsWhereErrorsLead(t *testing.T) {
	w := newWorld(t)
	for _, routes := range []string{`{"handle":[{"handler":"file_server","root":"ROOT"}]}`, toNobody} {
		config := w.server(`{"routes":[` + routes + `]` + errorsLead("404, 502") + `}`)
		m := plain(policy.Request{Target: "/none"})
		if !w.reachesSecond(config, m, "") {
			t.Errorf("the edge does not lead there: %s", routes)
		}
		model, err := policy.Parse(config)
		if err != nil {
			t.Fatal(err)
		}
		all := model.Evaluate(model.Servers[0], m, &policy.Judge{Now: time.Now()})
		if !slices.ContainsFunc(all, func(o policy.Outcome) bool { return slices.Equal(o.Upstreams, []string{"http://" + w.upstreams[1]}) }) {
			t.Errorf("the model does not know that errors lead on: %+v\n%s", all, config)
		}
	}
}
