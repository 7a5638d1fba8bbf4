package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestNothingIsClaimedUntested holds the model to the modules that are in the binary: of
// each handler and matcher, either the random configurations are made, or the model says
// that it is not analysed. A module that a new version of Caddy brings is neither, at first.
func TestNothingIsClaimedUntested(t *testing.T) {
	t.Parallel()
	made := madeModules(t)
	for _, module := range caddy.GetModules("http.handlers") {
		name := module.ID.Name()
		if strings.HasPrefix(name, "sandbox_") { // of a test that ran before
			continue
		}
		if !made.handlers[name] && !isOpen(t, `{"handle":[{"handler":"`+name+`"}]}`) {
			t.Errorf("handler %s: the model claims to know it, and no random configuration has it", name)
		}
		delete(made.handlers, name)
	}
	for _, module := range caddy.GetModules("http.matchers") {
		name := module.ID.Name()
		if !made.matchers[name] && !isOpen(t, `{"match":[{"`+name+`":{}}],"handle":[{"handler":"static_response"}]}`) {
			t.Errorf("matcher %s: the model claims to know it, and no random configuration has it", name)
		}
		delete(made.matchers, name)
	}
	for name := range maps.All(made.handlers) {
		t.Errorf("handler %s of the random configurations is not in the binary", name)
	}
	for name := range maps.All(made.matchers) {
		t.Errorf("matcher %s of the random configurations is not in the binary", name)
	}
	if !isOpen(t, `{"handle":[{"handler":"nobody"}]}`) || isOpen(t, `{"handle":[{"handler":"static_response"}]}`) {
		t.Error("this test cannot tell what is known")
	}
}

// isOpen says whether the model does not analyse a route.
func isOpen(t *testing.T, route string) bool {
	t.Helper()
	c, err := policy.Parse([]byte(`{"apps":{"http":{"servers":{"srv":{"routes":[` + route + `]}}}}}`))
	if err != nil { // it reads what is in it
		return false
	}
	return slices.ContainsFunc(c.Evaluate(c.Servers[0], policy.Request{Method: "GET", Host: "edge.test", Target: "/"}, nil), func(o policy.Outcome) bool { return len(o.Open) > 0 })
}

// modules are names of what configurations have.
type modules struct{ handlers, matchers map[string]bool }

// madeModules are those of a few hundred random configurations.
func madeModules(t *testing.T) modules {
	t.Helper()
	made := modules{make(map[string]bool), make(map[string]bool)}
	w := &world{upstreams: []string{"127.0.0.1:1"}, keys: []string{"one.json", "two.json"}, roots: []string{"/srv"}}
	for n := range 300 {
		g := w.generator(5, n)
		g.open = n%2 == 0
		text, err := json.Marshal(g.config())
		if err != nil {
			t.Fatal(err)
		}
		var config any
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		made.gather(config)
	}
	return made
}

func (m *modules) gather(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			m.gather(element)
		}
	case object:
		if name, ok := value["handler"].(string); ok {
			m.handlers[name] = true
		}
		for _, key := range []string{"match", "not"} {
			sets, _ := value[key].([]any)
			for _, set := range sets {
				for name := range set.(object) {
					m.matchers[name] = true
				}
			}
		}
		for _, member := range value {
			m.gather(member)
		}
	}
}
