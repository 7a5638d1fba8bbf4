package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// countedBy is an API with a limit, behind handlers.
func countedBy(before, key, cost string) string {
	if cost != "" {
		cost = `,"cost":{"value":"` + cost + `"}`
	}
	return site(`"methods":["GET"],"public":true,`, `{"handle":[`+before+`{"handler":"rate_limit","rate_limits":{"z":{"key":"`+key+`","window":"1m","max_events":10`+cost+`}}}]},`+services)
}

// TestWhatHandlersMakeOfKeysIsSeen changes what is in front of a limit, which stays as it is
// written, so that who calls counts otherwise: diff finds it, or says that it cannot follow.
func TestWhatHandlersMakeOfKeysIsSeen(t *testing.T) {
	t.Parallel()
	const path, query = "{http.request.uri.path}", "{http.request.uri.query.q}"
	const other = "{http.request.uri.query.r}"
	vars := func(value string) string { return `{"handler":"vars","v":"` + value + `"},` }
	field := func(value string) string { return `{"handler":"headers","request":{"set":{"X-L":["` + value + `"]}}},` }
	rewrite := func(uri string) string { return `{"handler":"rewrite","uri":"` + uri + `"},` }
	const byVar, byField, byPath, byQuery, byCookie = "{http.vars.v}", "{http.request.header.X-L}", "{http.request.uri.path.1}", "{http.request.uri.query.k}", "{http.request.cookie.k}"
	cookie := func(value string) string {
		return `{"handler":"headers","request":{"set":{"Cookie":["k=` + value + `"]}}},`
	}
	host := func(value string) string {
		return `{"handler":"headers","request":{"set":{"Host":["` + value + `"]}}},`
	}
	for _, c := range []struct{ old, new, key, cost string }{
		{vars("1"), vars(path), byVar, ""}, {vars(query), vars(other), byVar, ""}, {vars(query), vars(other), "1", byVar},
		{field("1"), field(path), byField, ""}, {field(query), field(other), byField, ""}, {field(query), field(other), "1", byField}, {field("1"), "", byField, ""},
		{cookie("1"), cookie(path), byCookie, ""}, {host("a.test"), host("{http.request.uri.path.0}.test"), "{http.request.host}", ""},
		{field("1") + vars(byField), field(path) + vars(byField), byVar, ""},
		{rewrite("/p/1"), rewrite("/p" + path), byPath, ""}, {rewrite("/p/1"), "", byPath, ""}, {rewrite("/p/" + query), rewrite("/p/" + other), byPath, ""},
		{rewrite("/p/" + query), rewrite("/p/" + other), "1", byPath}, {rewrite("/p"), "", path, ""},
		{`{"handler":"rewrite","path_regexp":[{"find":"^/v1/.*","replace":"/x"}]},`, `{"handler":"rewrite","strip_path_prefix":"/v1"},`, path, ""},
		{rewrite("/?k=1"), rewrite("/?k=" + query), byQuery, ""}, {rewrite("/?k=" + query), rewrite("/?k=" + other), byQuery, ""}, {rewrite("/?k=1"), rewrite("/?k={http.request.header.X-A}"), byQuery, ""},
		{rewrite("/?k=1"), rewrite("/?k={http.request.remote.host}"), byQuery, ""}, {rewrite("/?k=" + query), rewrite("/?k=" + other), "1", byQuery},
		{`{"handler":"rewrite","method":"GET"},`, "", "{http.request.method}", ""},
	} {
		d := Diff(parsed(t, countedBy(c.old, c.key, c.cost)), parsed(t, countedBy(c.new, c.key, c.cost)), time.Unix(1e9, 0))
		if d.Complete && !slices.ContainsFunc(d.Changes, func(c *Change) bool { return c.Direction == Widened && strings.HasPrefix(c.What, "limit ") }) {
			t.Errorf("%+v: not found: %+v", c, d)
		}
	}
	for _, c := range []struct{ before, key string }{
		{vars("1"), byVar}, {field("1"), byField}, {rewrite("/p/1"), byPath}, {`{"handler":"rewrite","strip_path_prefix":"/v1"},`, path}, {rewrite("/?k=1"), byQuery}, {"", path}, {"", byQuery},
	} {
		model := parsed(t, countedBy(c.before, c.key, ""))
		if d := Diff(model, model, time.Unix(1e9, 0)); !d.Complete || len(d.Changes) > 0 {
			t.Errorf("%+v: the same is another: %+v", c, d)
		}
	}
}

// TestWhoHasNoKeyIsFound has limits by another part of the URL: who has that part alone is let
// in from then on, and was refused.
func TestWhoHasNoKeyIsFound(t *testing.T) {
	t.Parallel()
	const uri = "http.request.uri"
	found := func(expr string) string {
		return `"match":[{"path_regexp":{"name":"p","pattern":"` + expr + `"}}],`
	}
	for _, c := range []struct{ old, new, oldCost, newCost, match string }{
		{old: "path.2", new: "path.1"}, {old: "path.1", new: "path.file"}, {old: "path.file", new: "path.0"}, {old: "query.q", new: "query"}, {old: "query.q", new: "query.r"},
		{old: "query", new: "path"}, {old: "path", new: "path", oldCost: "query.q", newCost: "query.r"}, {old: "path", new: "path", oldCost: "path.0", newCost: "path.1"}, {old: "path", new: "path", oldCost: "path.file", newCost: "path.0"},
		{old: "path", new: "path", oldCost: "query", newCost: "query.q"}, {match: found("^/a(/b)?(/c)?$")},
	} {
		key := func(part string) string { return fmt.Sprintf("{%s.%s}", uri, part) }
		before, after := countedBy("", key(c.old), ""), countedBy("", key(c.new), "")
		if c.oldCost != "" {
			before, after = countedBy("", key(c.old), key(c.oldCost)), countedBy("", key(c.new), key(c.newCost))
		}
		if c.match != "" {
			before, after = countedBy("", "{http.regexp.p.1}", ""), countedBy("", "{http.regexp.p.2}", "")
			before, after = strings.Replace(before, `{"handle"`, `{`+c.match+`"handle"`, 1), strings.Replace(after, `{"handle"`, `{`+c.match+`"handle"`, 1)
		}
		d := Diff(parsed(t, before), parsed(t, after), time.Unix(1e9, 0))
		if n := slices.IndexFunc(d.Changes, func(c *Change) bool { return c.What == "was refused and is let in" }); n < 0 && (d.Complete || c.match == "") {
			t.Errorf("%+v: not found: %+v", c, d)
		}
	}
	always := strings.Replace(countedBy("", "{http.regexp.p.1}", ""), `{"handle"`, `{`+found("^/([a-z]+)/x{2}(/.*)?$")+`"handle"`, 1)
	if d := Diff(parsed(t, always), parsed(t, always), time.Unix(1e9, 0)); !d.Complete {
		t.Errorf("a group that is always there is not followed: %+v", d)
	}
}
