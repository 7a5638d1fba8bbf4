package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
)

// What the configuration says by itself to whom it does not let in.

// saysItself is what an answer says of that: a text that is no problem of an API's, and the fields
// that the random configurations have.
func saysItself(answer sandbox.Answer) string {
	text := answer.Body.String()
	if strings.HasPrefix(text, "file:") || strings.HasPrefix(answer.Header().Get("Content-Type"), "application/") || answer.Header().Get("X-Upstream") != "" {
		text = "" // of a folder, a problem, or a service
	}
	for _, field := range []string{"X-Static", "X-More", "X-Late"} {
		text += fmt.Sprintf("; %s %q", field, answer.Header()[field])
	}
	return edgesOwn.ReplaceAllString(text, "")
}

// edgesOwn is what messages of errors have that the edge and Caddy make up.
var edgesOwn = regexp.MustCompile(`[a-z_]+: [A-Z][^.]*\.(: )?|\{id=\w+\} \S+ \(\S+\): HTTP \d+(: )?`)

// sayings are what handlers can say.
var sayings = []string{"one", "two", "{http.error.message}", "{http.vars.w}", `{{placeholder "http.request.host"}}`, "{env.HOME}"}

// talks makes routes that refuse in their own words.
func (g *generator) talks(depth int) (routes []object) {
	for range 1 + g.IntN(3) {
		r := object{}
		if g.chance(50) {
			r["match"] = []object{{"path": some(g, paths)}}
		}
		r["handle"] = []object{g.talker(depth)}
		routes = append(routes, r)
	}
	return routes
}

func (g *generator) talker(depth int) object {
	said := func() object {
		return object{"handler": "static_response", "status_code": one(g, []any{403, 404, 410, ""}), "body": one(g, sayings), "headers": object{"X-Static": []string{one(g, sayings)}}}
	}
	switch kind := g.IntN(13); {
	case kind < 2:
		return said()
	case kind < 4:
		return object{"handler": "error", "status_code": one(g, []any{404, 403, 503}), "error": one(g, sayings)}
	case kind < 5:
		return object{"handler": "headers", "response": object{"set": object{"X-More": []string{one(g, sayings)}}}}
	case kind < 6:
		return object{"handler": "headers", "response": object{"deferred": true, "set": object{"X-Late": []string{one(g, sayings)}}}}
	case kind < 7:
		return object{"handler": "vars", "w": one(g, sayings[:2])}
	case kind < 8:
		return object{"handler": "templates"}
	case kind < 10 && depth > 0:
		return object{"handler": "subroute", "routes": g.talks(depth - 1), "errors": object{"routes": g.talks(depth - 1)}}
	case kind < 11 && depth > 0:
		return object{"handler": "intercept", "handle_response": []object{{
			"match": object{"status_code": one(g, [][]int{{4}, {401}, {404}, {403, 503}})}, "routes": []object{{"handle": []object{said()}}},
		}}}
	default:
		g.apis++
		routes := []object{{"handle": []object{{"handler": "access_token"}}}, {"match": []object{{"path": some(g, paths)}}, "handle": []object{g.proxy()}}}
		if g.chance(30) {
			routes = append(routes, object{"handle": []object{said()}})
		}
		return object{"handler": "api", "name": fmt.Sprintf("planted-%d", g.apis), "methods": []string{"GET"}, "routes": routes}
	}
}

// reword changes one thing that is said, or takes it away; or who says it first.
func (g *generator) reword(routes []object) []object {
	var lists []*[]object
	var texts []func()
	var visit func(list *[]object)
	visit = func(list *[]object) {
		lists = append(lists, list)
		for _, r := range *list {
			for _, h := range r["handle"].([]object) {
				for _, name := range []string{"body", "error", "w"} {
					if _, ok := h[name].(string); ok {
						texts = append(texts, func() { h[name] = one(g, sayings) })
					}
				}
				if h["handler"] == "api" {
					continue
				}
				if inner, ok := h["routes"].([]object); ok {
					visit(&inner)
					h["routes"] = inner
				}
				if caught, ok := h["errors"].(object); ok {
					inner := caught["routes"].([]object)
					visit(&inner)
				}
			}
		}
	}
	visit(&routes)
	list := *one(g, lists)
	a, b := g.IntN(len(list)), g.IntN(len(list))
	switch g.IntN(4) {
	case 0:
		list[a], list[b] = list[b], list[a]
	case 1:
		list[a]["handle"] = []object{{"handler": "vars", "other": 1}}
	default:
		if len(texts) > 0 {
			one(g, texts)()
		}
	}
	return routes
}

// TestWordsAreHeldToTheEdge makes pairs of random configurations that say something to whom
// they refuse. Where the comparison calls two equal, random requests are told the same by both;
// and most of its examples show what it says. WORDS and SEED are its settings.
func TestWordsAreHeldToTheEdge(t *testing.T) {
	w := newWorld(t)
	seed := uint64(setting(t, "SEED", 5))
	t.Logf("SEED=%d", seed)
	equal, other := 0, 0
	pairs := setting(t, "WORDS", 150)
	for n := range pairs {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(n))), number: seed<<20 + 1<<18 + uint64(n), upstreams: w.upstreams, keys: w.keys, roots: w.roots, talking: true}
		config := g.config()
		server := config["apps"].(object)["http"].(object)["servers"].(object)["srv"].(object)
		delete(server, "named_routes")
		routes := append(g.talks(2), object{"handle": []object{{"handler": "static_response", "status_code": 404, "body": "last"}}})
		errors := g.talks(1)
		write := func() []byte {
			server["routes"], server["errors"] = routes, object{"routes": errors}
			text, _ := json.Marshal(config) // of plain values
			return text
		}
		before := write()
		if g.chance(50) {
			routes = g.reword(routes)
		} else {
			errors = g.reword(errors)
		}
		after := write()
		if _, err := newEdge(before); err != nil {
			t.Fatalf("pair %d: %v\n%s", n, err, before)
		}
		d := compared(t, before, after)
		if len(d.Changes) == 0 && d.Complete {
			equal++
			if said := w.same(g, before, after, server["tls_connection_policies"] != nil, 40); said != "" {
				t.Fatalf("pair %d is called equal: %s\n%s\n%s", n, said, before, after)
			}
			continue
		}
		other++
		for _, c := range d.Changes {
			if c.Method != "" && c.Failing == "" && (c.Part == "body" || c.Part == "answer") {
				w.elsewhere(c, before, after)
			}
		}
	}
	t.Logf("%d equal, %d not; of %d examples %d are answered in the same words", equal, other, w.told, w.untold)
	if pairs >= 150 && (equal < pairs/10 || other < pairs/5 || w.untold > w.told/5) {
		t.Error("the pairs have no variety, or too much is told that nobody hears")
	}
}
