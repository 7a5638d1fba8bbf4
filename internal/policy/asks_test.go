package policy

import (
	"strings"
	"testing"
)

// TestWhatRewritesMakeOfQueries lets in who has a parameter, behind a rewrite that makes one
// of something else: this is never called equal as a whole. What repeats the query, or says
// nothing of it, is followed.
func TestWhatRewritesMakeOfQueries(t *testing.T) {
	t.Parallel()
	uri := func(text string) string { return `{"handler":"rewrite","uri":"` + text + `"},` }
	const wanted = `{"query":{"k":["zap"]}}`
	for _, before := range []string{
		uri("?k={http.request.uri.query.a}"), uri("/x?k={http.request.uri.query.a}"), uri("?k={http.request.host}"), uri("?k={http.request.hostport}"),
		uri("?k={http.request.method}"), uri("?k={http.request.header.X}"), uri("?k={http.request.uri.path}"), uri("{http.request.uri.path}?k={http.request.uri.path.0}"),
		uri("?k={http.request.remote.host}"), uri("?k={http.vars.client_ip}"), uri("?k={http.request.cookie.a}"), uri("?k={http.request.scheme}"),
		uri("?{http.request.header.X}"), uri("{http.request.header.X}"), uri("/x{http.request.uri}&k=zap"), uri("?k={http.request.uri.query.a}&{http.request.uri.query}"),
		`{"handler":"vars","y":"{http.request.uri.query.a}"},` + uri("?k={http.vars.y}"),
		`{"handler":"rewrite","query":{"rename":[{"key":"a","val":"k"}]}},`, `{"handler":"rewrite","query":{"set":[{"key":"k","val":"{http.request.uri.query.a}"}]}},`,
		`{"handler":"rewrite","uri_substring":[{"find":"a=","replace":"k="}]},`,
		uri("?k={http.request.uri.query.a}") + uri("/x"), uri("?k={http.request.uri.query.a}") + uri("/x?{http.request.uri.query}"),
	} {
		if d := comparedServers(t, shut(before), guarded(wanted, before)); d.Complete && !d.Has(Widened) {
			t.Errorf("%s: called equal", before)
		}
	}
	for _, before := range []string{
		"", uri("/x?{http.request.uri.query}"), uri("/x{http.request.uri}"), uri("{http.request.uri.path}?{http.request.uri.query}"), uri("/x"), uri("?{http.request.uri.query}"),
		`{"handler":"rewrite","strip_path_prefix":"/x"},`, `{"handler":"rewrite","method":"GET"},`, uri("/x?{http.request.uri.query}") + uri("/y{http.request.uri}"),
		uri("?k={http.request.uri.query.a}") + uri("?k=zap&b=1"), uri("/x?k=zap&b=1"),
	} {
		for _, set := range []string{wanted, `{"query":{"k":["zap"]},"not":[{"query":{"k":["zip"]}}]}`, `{"query":{"k":["zap"],"b":["1"]},"not":[{"query":{"b":["2"]}}]}`} {
			if d := comparedServers(t, shut(before), guarded(set, before)); !d.Complete || !d.Has(Widened) {
				t.Errorf("%s %s: %+v", before, set, d)
			}
		}
		inside := `"routes":[{"handle":[` + before + `{"handler":"vars","a":"b"}]},{"match":[{"query":{"k":["zap"]}}],"handle":[{"handler":"subroute","routes":[{"match":[{"query":{"b":["1"]}}],"handle":[` + toService + `]}]}]},` + elseNo + `]`
		if d := comparedServers(t, shut(before), inside); !d.Complete || !d.Has(Widened) {
			t.Errorf("%s: one parameter after the other: %+v", before, d)
		}
	}
	const told = `"routes":[{"handle":[{"handler":"rewrite","uri":"?ip={X}"},` + toService + `]}]`
	if d := comparedServers(t, strings.ReplaceAll(told, "X", "http.request.remote.host"), strings.ReplaceAll(told, "X", "http.vars.client_ip")); !d.Complete || len(d.Changes) > 0 {
		t.Errorf("without proxies a client is who sends: %+v", d)
	}
}

// TestWhatRewritesMakeOfMethods is the same for the method, and for a path that was the same
// of every request before.
func TestWhatRewritesMakeOfMethods(t *testing.T) {
	t.Parallel()
	const byField = `{"handler":"rewrite","method":"{http.request.header.X}"},`
	again := func(members string) string {
		return `{"handler":"rewrite","uri":"/fixed"},{"handler":"rewrite",` + members + `},`
	}
	for before, set := range map[string]string{
		byField: `{"method":["DELETE"]}`,
		again(`"uri":"/{http.request.header.X}{http.request.uri.path}"`):                              `{"path":["/zap/fixed"]}`,
		again(`"path_regexp":[{"find":"fixed","replace":"{http.request.header.X}"}]`):                 `{"path":["/zap"]}`,
		again(`"uri_substring":[{"find":"fixed","replace":"{http.request.header.X}"}]`):               `{"path_regexp":{"pattern":"zap"}}`,
		again(`"strip_path_prefix":"{http.request.header.X}"`):                                        `{"path":["/xed"]}`,
		again(`"strip_path_suffix":"{http.request.header.X}"`):                                        `{"path":["/fix"]}`,
		again(`"uri":"/{http.request.header.X}"`) + `{"handler":"rewrite","strip_path_prefix":"/z"},`: `{"path":["/ap"]}`,
	} {
		if d := comparedServers(t, shut(before), guarded(set, before)); d.Complete && !d.Has(Widened) {
			t.Errorf("%s: called equal", before)
		}
	}
	const api = `"routes":[{"handle":[` + byField + `{"handler":"api","name":"a","public":true,"methods":["GET"],"routes":[{"handle":[%s]}]}]}]`
	if d := comparedServers(t, strings.ReplaceAll(api, "%s", `{"handler":"static_response","status_code":403}`), strings.ReplaceAll(api, "%s", toService)); d.Complete && !d.Has(Widened) {
		t.Errorf("an API's methods: called equal: %+v", d)
	}
	for before, set := range map[string]string{
		`{"handler":"rewrite","method":"POST"},` + byField + `{"handler":"rewrite","method":"GET"},`: `{"method":["GET"]}`,
		again(`"uri":"/y{http.request.uri.path}"`):                                                   `{"path":["/y/fixed"]}`,
	} {
		if d := comparedServers(t, shut(before), guarded(set, before)); !d.Complete || !d.Has(Widened) {
			t.Errorf("%s: %+v", before, d)
		}
	}
}
