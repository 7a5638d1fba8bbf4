package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// fillers are configurations with a text in which placeholders are filled in, in the place of SAID.
func fillers() map[string]string {
	const (
		body    = `{"handler":"static_response","status_code":403,"body":"SAID"}`
		byVar   = `{"handler":"static_response","status_code":403,"body":"{http.vars.v}"}`
		message = `{"handle":[{"handler":"static_response","body":"{http.error.message}"}]}`
		set     = `{"handler":"headers","request":{"set":{"X-User":["SAID"]}}}`
	)
	return map[string]string{
		"a field":              edge(handle(set) + "," + services),
		"a field, in an api":   site(`"public":true,`, handle(set)+","+services),
		"a field of its proxy": edge(headerUp(`"set":{"X-User":["SAID"]}`)),
		"a Host":               edge(headerUp(`"set":{"Host":["aSAID"]}`)),
		"a deleted field":      edge(headerUp(`"delete":["X-SAID"]`)),
		"a field of an answer": edge(handle(`{"handler":"headers","response":{"set":{"X-A":["SAID"]}}},`+body) + "," + services),
		"a Location":           edge(handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["https://a.testSAID"]}}`)),
		"a body":               edge(handle(body)),
		"a message":            strings.Replace(edge(handle(`{"handler":"error","error":"SAID","status_code":403}`)), `"routes":[`, `"errors":{"routes":[`+message+`]},"routes":[`, 1),
		"a variable":           edge(handle(`{"handler":"vars","v":"SAID"},` + byVar)),
		"a map":                edge(handle(`{"handler":"map","source":"SAID","destinations":["{m}"],"mappings":[{"input":"x","outputs":["y"]}],"defaults":["z"]}`) + "," + handle(strings.Replace(body, "SAID", "{m}", 1))),
		"a folder":             edge(handle(`{"handler":"file_server","root":"/srv/SAID"}`)),
		"a folder of a route":  edge(handle(`{"handler":"vars","root":"/srv/SAID"},{"handler":"file_server"}`)),
		"a service":            edge(handle(`{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1SAID"}]}`)),
		"a resource":           edge(handle(`{"handler":"rewrite","uri":"/x/SAID"}`) + "," + services),
		"its proxy's resource": edge(upstream(`,"rewrite":{"uri":"/x/SAID"}`)),
	}
}

// TestWhatIsFilledInIsSeen has another part of the URL filled in: diff finds each, compares all,
// and finds nothing where nothing is another.
func TestWhatIsFilledInIsSeen(t *testing.T) {
	t.Parallel()
	const uri = "{http.request.uri"
	for name, config := range fillers() {
		for _, c := range [][2]string{
			{"", uri + ".query.u}"}, {"p", "p" + uri + ".query.u}"}, {uri + ".query.u}", uri + ".query.v}"}, {"/", "/" + uri + ".query}"}, {"/x", "/x" + uri + ".prefixed_query}"},
			{"x" + uri + "}", "x" + uri + ".path}"}, {"p", "p" + uri + ".path.3}"}, {uri + ".path.1}", uri + ".path.2}"}, {"/a", "/" + uri + ".path.1}"},
			{"/" + uri + ".path.0}", uri + ".path}"}, {"/" + uri + ".path.0}/" + uri + ".path.1}", "/" + uri + ".path.1}/" + uri + ".path.0}"}, {uri + ".path.file}", uri + ".path.0}"}, {uri + ".path.dir}", "/"},
		} {
			before, after := parsed(t, strings.ReplaceAll(config, "SAID", c[0])), parsed(t, strings.ReplaceAll(config, "SAID", c[1]))
			kept := strings.HasSuffix(name, "resource") && strings.Contains(c[1], "x"+uri) && !strings.Contains(c[1], uri+".query") // as the query is, where a rewrite has none
			if d := Diff(before, after, time.Unix(1e9, 0)); (len(d.Changes) == 0) != kept || !d.Complete {
				t.Errorf("%s: %q and %q: not found: %v %v %v", name, c[0], c[1], d.Changes, d.Open, d.Cut)
			}
			if d := Diff(after, after, time.Unix(1e9, 0)); len(d.Changes) > 0 || !d.Complete {
				t.Errorf("%s: %q: the same is another: %v %v %v", name, c[1], d.Changes, d.Open, d.Cut)
			}
		}
	}
}

// TestWhatIsFilledInBesideMatchers has parameters filled in beside others that matchers look at,
// and beside whole queries; and behind rewrites that are not followed back.
func TestWhatIsFilledInBesideMatchers(t *testing.T) {
	t.Parallel()
	const fields = `{"handler":"headers","request":{"set":{"X-Q":["{http.request.uri.query}"],"X-U":["{http.request.uri.query.SAID}"]}}}`
	behind := func(rewrite string) string {
		return edge(handle(`{"handler":"rewrite",`+rewrite+`}`) + "," + handle(fields) + "," + services)
	}
	for _, c := range []struct {
		config string
		open   bool
	}{
		{edge(handle(fields) + "," + services), false},
		{edge(`{"match":[{"query":{"m":["1"]}}],"handle":[` + fields + `]},` + services), false},
		{edge(`{"match":[{"query":{"u":["1"]}}],"handle":[` + fields + `]},` + services), false},
		{edge(`{"match":[{"not":[{"query":{"u":["*"]}}]}],"handle":[` + fields + `]},` + services), false},
		{behind(`"uri":"/x?{http.request.uri.query}"`), false},
		{behind(`"uri":"/x?u=1"`), false},
		{behind(`"uri":"/x?{http.request.uri.query}&k=1"`), true},
		{behind(`"query":{"rename":[{"key":"a","val":"u"}]}`), true},
	} {
		before, after := parsed(t, strings.ReplaceAll(c.config, "SAID", "u")), parsed(t, strings.ReplaceAll(c.config, "SAID", "v"))
		if d := Diff(before, after, time.Unix(1e9, 0)); len(d.Changes) == 0 || d.Complete == c.open {
			t.Errorf("%s: not found: %v %v %v", c.config, d.Changes, d.Open, d.Cut)
		}
	}
}

// TestWhatIsNotFilledInCostsNothing counts requests: none is added for other placeholders, and for
// twenty parameters no more than for two.
func TestWhatIsNotFilledInCostsNothing(t *testing.T) {
	t.Parallel()
	atoms := func(text string) int {
		c := parsed(t, edge(handle(`{"handler":"static_response","body":"`+text+`"}`)))
		return Diff(c, c, time.Unix(1e9, 0)).Atoms
	}
	if without, with := atoms("a"), atoms("{http.request.host}{http.request.header.X-A}{http.request.orig_uri}{http.request.uri.path}{env.A}"); with != without {
		t.Errorf("%d requests, and %d without anything", with, without)
	}
	many := ""
	for n := range 20 {
		many += fmt.Sprintf("{http.request.uri.query.p%d}", n)
	}
	if few, all := atoms("{http.request.uri.query.a}{http.request.uri.query.b}"), atoms(many); all != few {
		t.Errorf("%d requests for twenty parameters, and %d for two", all, few)
	}
}

// TestWhatIsReplacedInWhatIsFilledIn replaces a text in a field that is made of something else:
// who has that there is found, or it is said that nobody could be tried.
func TestWhatIsReplacedInWhatIsFilledIn(t *testing.T) {
	t.Parallel()
	replaced := func(made, search, with string) string {
		return edge(handle(`{"handler":"headers","request":{`+made+`}},{"handler":"headers","request":{"replace":{"X-User":[{"search":"`+search+`","replace":"`+with+`"}]}}}`) + "," + services)
	}
	set := func(value string) string { return `"set":{"X-User":["` + value + `"]}` }
	for _, c := range []struct {
		made, search string
		want         Direction
	}{
		{set("{http.request.header.X-A}"), "edge", Moved}, {set("p-{http.request.header.X-A}"), "p-edge", Moved}, {set("{http.request.header.X-A}/{http.request.header.X-B}"), "edge", Moved},
		{set("{http.request.host}"), "edge", Moved}, {set("{http.request.method}"), "PURGE", Moved}, {`"delete":["X-B"]`, "{http.request.header.X-A}", Moved}, {`"delete":["X-B"]`, "{http.request.header.X-A}-x", Moved},
		{set("{http.request.uri.query.u}"), "edge", Widened}, {set("{http.request.uri.path}"), "edge", Widened}, {set("{http.request.uri.path.1}"), "edge", Widened},
	} {
		before, after := parsed(t, replaced(c.made, c.search, "a")), parsed(t, replaced(c.made, c.search, "b"))
		if d := Diff(before, after, time.Unix(1e9, 0)); !d.Has(c.want) {
			t.Errorf("%+v: not found: %v %v %v", c, d.Changes, d.Open, d.Cut)
		}
		if d := Diff(after, after, time.Unix(1e9, 0)); len(d.Changes) > 0 || !d.Complete {
			t.Errorf("%+v: the same is another: %v %v %v", c, d.Changes, d.Open, d.Cut)
		}
	}
	if d := Diff(parsed(t, replaced(set("me"), "edge", "a")), parsed(t, replaced(set("me"), "edge", "b")), time.Unix(1e9, 0)); len(d.Changes) > 0 {
		t.Errorf("what is nowhere in it is replaced: %v", d.Changes)
	}
}

// TestWhatExpressionsFindIsSeen has another group of an expression filled in.
func TestWhatExpressionsFindIsSeen(t *testing.T) {
	t.Parallel()
	path := func(expr string) string { return `{"path_regexp":{"name":"p","pattern":"` + expr + `"}}` }
	field := func(expr string) string { return `{"header_regexp":{"X-A":{"name":"p","pattern":"` + expr + `"}}}` }
	for name, config := range fillers() {
		if strings.HasPrefix(name, "a message") || strings.HasSuffix(name, "in an api") {
			continue // its handlers are not in the first route
		}
		for _, c := range [][3]string{
			{field("^a(.?)(.?)$"), "p.1", "p.2"}, {field("^([a-c]+)-([a-c]+)$"), "1", "2"}, {field("^k(=[0-9]{2})?(?:;(x)|;(y))*$"), "p.2", "p.3"},
			{path("^/([a-z]+)/([a-z]+)$"), "p.1", "p.2"}, {path("^/v(?:/(?P<first>[0-9]))?(?:/([0-9]))?$"), "first", "p.2"}, {path("^/(a|b)/(a|b)$"), "1", "2"},
		} {
			matched := strings.Replace(config, `{"handle":[`, `{"match":[`+c[0]+`],"handle":[`, 1)
			said := func(group string) *Config {
				return parsed(t, strings.ReplaceAll(matched, "SAID", "{http.regexp."+group+"}"))
			}
			before, after := said(c[1]), said(c[2])
			if d := Diff(before, after, time.Unix(1e9, 0)); len(d.Changes) == 0 || !d.Complete {
				t.Errorf("%s: %v: not found: %v %v %v", name, c, d.Changes, d.Open, d.Cut)
			}
			if d := Diff(after, after, time.Unix(1e9, 0)); len(d.Changes) > 0 || !d.Complete {
				t.Errorf("%s: %v: the same is another: %v %v %v", name, c, d.Changes, d.Open, d.Cut)
			}
		}
	}
}
