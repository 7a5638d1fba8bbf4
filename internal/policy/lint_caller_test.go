package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// trial is a configuration that a check trips over, or a near miss.
type trial struct {
	check, text string
	trips       bool
}

func tryChecks(t *testing.T, trials map[string]trial) {
	t.Helper()
	for name, test := range trials {
		c, err := Parse([]byte(test.text))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, test.text)
		}
		found := Lint(c, LintOptions{})
		if has := slices.ContainsFunc(found, func(f Finding) bool { return f.Check == test.check }); has != test.trips {
			t.Errorf("%s: %s found %v, want %v: %v\n%s", name, test.check, has, test.trips, fmt.Sprint(found), test.text)
		}
	}
}

// TestWhatTheCallerWritesIsFollowed: by whatever way the caller's words get to where they
// must not, and nothing else.
func TestWhatTheCallerWritesIsFollowed(t *testing.T) {
	t.Parallel()
	const (
		templates = `{"handler":"templates"},`
		asked     = `{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}`
		folder    = `{"handler":"file_server"}`
		byQuery   = "{http.request.uri.query.u}"
	)
	vars := func(name, value string) string { return `{"handler":"vars","` + name + `":"` + value + `"}` }
	mapped := func(source, mapping string) string { // {to}, by one mapping
		return `{"handler":"map","source":"` + source + `","destinations":["{to}"],"mappings":[{` + mapping + `}]}`
	}
	says := func(body string) string { return `{"handler":"static_response","body":"` + body + `"}` }
	sends := func(location string) string {
		return `{"handler":"static_response","status_code":302,"headers":{"Location":["` + location + `"]}}`
	}
	found := func(expression string) string {
		return `"match":[{"path_regexp":{"name":"v","pattern":"` + expression + `"}}]`
	}
	on := func(match, handlers string) string { return `{"match":[{` + match + `}],"handle":[` + handlers + `]}` }
	of := func(handlers string) string { return readOnly(handle(handlers)) }
	outside := func(handlers string) string { return edge(handle(handlers)) }
	failing := func(main, errors string) string {
		return strings.Replace(edge(handle(main)), `"routes":`, `"errors":{"routes":[`+handle(errors)+`]},"routes":`, 1)
	}
	byHosts := func(text string) string {
		return strings.Replace(text, `{"handle":[{"handler":"api"`, `{"match":[{"host":["a.test","b.test"]}],"handle":[{"handler":"api"`, 1)
	}
	setting := func(field, value string) string {
		return `{"handler":"headers","request":{"set":{"` + field + `":["` + value + `"]}}},`
	}
	late := func(name, value string) string {
		return `{"handler":"map","source":"{http.request.method}","destinations":["{` + name + `}"],"defaults":["` + value + `"]},`
	}
	instead := func(path, handlers string) string {
		return `{"handler":"intercept","handle_response":[{"routes":[` + on(`"path":["`+path+`"]`, handlers) + `]}]},`
	}
	tryChecks(t, map[string]trial{
		"a template has the path":                   {"template-by-choice", of(templates + says("not found: {http.request.uri.path}")), true},
		"a template has the URI":                    {"template-by-choice", of(templates + says("{http.request.orig_uri}")), true},
		"a template has a variable":                 {"template-by-choice", of(vars("x", byQuery) + "," + templates + says("{http.vars.x}")), true},
		"a template has a fixed variable":           {"template-by-choice", of(vars("x", "a") + "," + templates + says("{http.vars.x}")), false},
		"a template has what a map makes":           {"template-by-choice", of(mapped(byQuery, `"input_regexp":"(.*)","outputs":["$1"]`) + "," + templates + says("{to}")), true},
		"a template has what a map has":             {"template-by-choice", of(mapped(byQuery, `"input_regexp":"(.*)","outputs":["a"]`) + "," + templates + says("{to}")), false},
		"a template has who asks":                   {"template-by-choice", of(templates + says("{http.request.host} {http.request.uuid} {http.auth.user.id} {time.now.year} {http.error.status_code}")), false},
		"a template has an error's message":         {"template-by-choice", failing(folder, templates+says("{http.error.message}")), true},
		"a template hands a parameter on":           {"template-by-choice", of(templates + says("{{placeholder `http.request.uri.query.x` | include}}")), true},
		"a template by the Host":                    {"template-by-choice", of(templates + says("{{include .Host}}")), true},
		"a template by one of two hosts":            {"template-by-choice", byHosts(of(templates + says("{{include .Host}}"))), false},
		"a template in a remark":                    {"template-by-choice", of(templates + says("{{/* include .Req */}}x")), false},
		"a template of the caller's body":           {"template-by-choice", of(templates + says("{http.request.body}")), true},
		"a template of a body":                      {"template-by-choice", of(`{"handler":"request_body","set":"a"},` + templates + says("{http.request.body}")), false},
		"a template of one that is rewritten later": {"template-by-choice", edge(on(`"path":["/t/*"]`, `{"handler":"templates"}`) + "," + handle(instead("/s/*", says(byQuery))+`{"handler":"rewrite","uri":"/s/x?{http.request.uri.query}"},`+says("a"))), true},
		"a template of one that stays where it is":  {"template-by-choice", edge(on(`"path":["/t/*"]`, `{"handler":"templates"}`) + "," + handle(instead("/s/*", says(byQuery))+says("a"))), false},
		"a template hands one on, in short":         {"template-by-choice", of(templates + says("{{ph `http.request.uri.query.x` | include}}")), true},
		"a template reads by the path":              {"template-by-choice", of(templates + says("{{include (placeholder `http.request.uri.path`)}}")), true},
		"a template tells a parameter":              {"template-by-choice", of(templates + says("{{placeholder `http.request.uri.query.x`}}")), false},
		"a template keeps a parameter":              {"template-by-choice", of(templates + says("{{$f := .Req.URL.Query.Get `f`}}{{include $f}}")), true},
		"a template means it by a dot":              {"template-by-choice", of(templates + says("{{with .Req.URL.Query.Get `f`}}{{include .}}{{end}}")), true},
		"a template keeps one, and has another":     {"template-by-choice", of(templates + says("{{$f := .Req.URL.Query.Get `f`}}{{$f}}{{include `a`}}")), false},
		"a template tells a field of that name":     {"template-by-choice", of(templates + says("{{.Req.Header.Get `include`}}")), false},
		"a template by what the caller names":       {"template-by-choice", of(templates + says("{{placeholder (.Req.Header.Get `X`)}}")), true},
		"a template of another path":                {"template-by-choice", readOnly(on(`"path":["/t/*"]`, `{"handler":"templates"}`) + "," + on(`"path":["/s/*"]`, says("hi "+byQuery))), false},
		"a template of a path within":               {"template-by-choice", readOnly(on(`"path":["/s/t/*"]`, `{"handler":"templates"}`) + "," + on(`"path":["/s/*"]`, says("hi "+byQuery))), true},
		"a template of one that is rewritten":       {"template-by-choice", readOnly(on(`"path":["/t/*"]`, templates+`{"handler":"rewrite","uri":"/s/x"}`) + "," + on(`"path":["/s/*"]`, says("hi "+byQuery))), true},
		"a template of another method":              {"template-by-choice", edge(on(`"method":["GET"]`, `{"handler":"templates"}`) + "," + on(`"method":["POST"]`, says("hi "+byQuery))), false},
		"a template of another of a group":          {"template-by-choice", edge(`{"group":"g","match":[{"header":{"A":["b"]}}],"handle":[{"handler":"templates"}]},{"group":"g","handle":[` + says("hi "+byQuery) + `]}`), false},
		"a template of another group":               {"template-by-choice", edge(`{"group":"g","match":[{"header":{"A":["b"]}}],"handle":[{"handler":"templates"}]},{"group":"h","handle":[` + says("hi "+byQuery) + `]}`), true},

		"sent by the path":                 {"open-redirect", outside(sends("{http.request.uri.path}/")), true},
		"sent by a canonical path":         {"open-redirect", of(sends("{http.request.uri.path}/")), false},
		"sent by a path that is fixed":     {"open-redirect", outside(`{"handler":"rewrite","uri":"/fixed"},` + sends("{http.request.uri.path}/")), false},
		"sent by one that is now and then": {"open-redirect", edge(on(`"header":{"A":["b"]}`, `{"handler":"rewrite","uri":"/fixed"}`) + "," + handle(sends("{http.request.uri.path}/"))), true},
		"sent by the rest of a path":       {"open-redirect", outside(`{"handler":"rewrite","uri":"/a/` + byQuery + `"},{"handler":"rewrite","strip_path_prefix":"/a"},` + sends("{http.request.uri.path}")), true},
		"sent by what a path has":          {"open-redirect", outside(`{"handler":"rewrite","uri":"/a/` + byQuery + `"},` + sends("/{http.request.uri.path.file}")), true},
		"sent by the root":                 {"open-redirect", outside(`{"handler":"rewrite","uri":"/"},` + sends("{http.request.uri}")), false},
		"sent by a rewritten path":         {"open-redirect", outside(`{"handler":"rewrite","uri":"` + byQuery + `"},` + sends("{http.request.uri.path}")), true},
		"sent by the path, elsewhere":      {"open-redirect", outside(sends("https://a.test{http.request.uri}")), false},
		"sent below a path":                {"open-redirect", outside(sends("/new{http.request.uri}")), false},
		"sent by what an expression has":   {"open-redirect", readOnly(`{` + found(`^/go/(.*)$`) + `,"handle":[` + sends("https://{http.regexp.v.1}") + `]}`), true},
		"sent by one of two":               {"open-redirect", readOnly(`{` + found(`^/go/(a[.]test|b[.]test)$`) + `,"handle":[` + sends("https://{http.regexp.v.1}/") + `]}`), false},
		"sent by a segment":                {"open-redirect", of(sends("https://{http.request.uri.path.0}/")), true},
		"sent by a variable":               {"open-redirect", of(vars("to", byQuery) + "," + sends("{http.vars.to}")), true},
		"sent by a fixed variable":         {"open-redirect", of(vars("to", "https://a.test/?u="+byQuery) + "," + sends("{http.vars.to}")), false},
		"sent by a map":                    {"open-redirect", of(mapped(byQuery, `"input_regexp":"^(.*)$","outputs":["${1}"]`) + "," + sends("{to}")), true},
		"sent by a map of hosts":           {"open-redirect", of(mapped("{http.request.uri.path}", `"input":"/a","outputs":["https://a.test/"]`) + "," + sends("{to}")), false},
		"sent by a field, with a map":      {"open-redirect", of(mapped(byQuery, `"input_regexp":"^(.*)$","outputs":["${1}"]`) + `,{"handler":"headers","response":{"set":{"location":["{to}"]}}},{"handler":"static_response","status_code":302}`), true},
		"sent by the proxy's field":        {"open-redirect", readOnly(upstream(`,"headers":{"response":{"set":{"Location":["` + byQuery + `"]}}}`)), true},
		"sent to somebody's mailbox":       {"open-redirect", of(sends("mailto:" + byQuery)), false},
		"sent to a page":                   {"open-redirect", of(sends("page-" + byQuery)), false},
		"sent to a page of here":           {"open-redirect", of(sends("./" + byQuery)), false},
		"sent with a parameter":            {"open-redirect", of(sends("?u=" + byQuery)), false},
		"sent by what begins like http":    {"open-redirect", of(sends("http" + byQuery)), true},
		"sent by what is behind https":     {"open-redirect", of(sends("https:" + byQuery)), true},
		"sent behind a backslash":          {"open-redirect", of(sends(`/\\` + byQuery)), true},
		"sent by who asks":                 {"open-redirect", of(sends("https://a.test@" + byQuery)), true},
		"sent by the scheme":               {"open-redirect", of(sends("{http.request.scheme}://a.test/" + byQuery)), false},
		"sent to a base, as it is":         {"open-redirect", of(sends("{env.BASE}" + byQuery)), true},
		"sent to a base, with the path":    {"open-redirect", of(sends("{env.BASE}{http.request.uri}")), false},
		"sent in a parameter":              {"open-redirect", of(sends("/login?u=https://" + byQuery)), false},

		"a secret in a variable":            {"secret-told", of(vars("x", "{env.KEY}") + "," + says("{http.vars.x}")), true},
		"a secret in another variable":      {"secret-told", of(vars("y", "{env.KEY}") + "," + vars("x", "a") + "," + says("{http.vars.x}")), false},
		"a secret by a map":                 {"secret-told", of(mapped("{http.request.method}", `"input":"GET","outputs":["{env.KEY}"]`) + "," + says("{to}")), true},
		"a secret in an error's message":    {"secret-told", failing(`{"handler":"error","error":"{env.KEY}","status_code":500}`, says("{http.error.message}")), true},
		"a secret in an error":              {"secret-told", failing(`{"handler":"error","error":"{env.KEY}","status_code":500}`, says("{http.error}")), true},
		"an error that says nothing":        {"secret-told", failing(`{"handler":"error","error":"no","status_code":500}`, says("{http.error.message}")), false},
		"a secret, when something fails":    {"secret-told", failing(vars("x", "{env.KEY}")+","+asked, says("{http.vars.x}")), true},
		"a secret of a template, by name":   {"secret-told", of(templates + says("{{placeholder `env.KEY`}}")), true},
		"a secret in a cookie":              {"secret-told", of(setting("Cookie", "a={env.KEY}; b=1") + says("{http.request.cookie.a}")), true},
		"a secret in another cookie":        {"secret-told", of(setting("Cookie", "a={env.KEY}; b=1") + says("{http.request.cookie.b}")), false},
		"a secret in a part of the Host":    {"secret-told", of(setting("Host", "{env.KEY}") + says("{http.request.host.labels.0}")), true},
		"a secret in the path":              {"secret-told", of(`{"handler":"rewrite","uri":"/{env.KEY}"},` + says("{http.request.uri.path}")), true},
		"a secret in the URI":               {"secret-told", of(`{"handler":"rewrite","uri":"/{env.KEY}"},` + says("{http.request.uri}")), true},
		"a secret in a path's segment":      {"secret-told", of(`{"handler":"rewrite","uri":"/a/{env.KEY}"},` + says("{http.request.uri.path.1}")), true},
		"a secret that was in the path":     {"secret-told", of(`{"handler":"rewrite","uri":"/{env.KEY}"},{"handler":"rewrite","uri":"/a"},` + says("{http.request.uri.path}")), false},
		"a secret in the path as sent":      {"secret-told", of(`{"handler":"rewrite","uri":"/{env.KEY}"},` + says("{http.request.orig_uri.path}")), false},
		"a secret in a body":                {"secret-told", of(`{"handler":"request_body","set":"{env.KEY}"},` + says("{http.request.body}")), true},
		"a secret in what is found":         {"secret-told", readOnly(handle(setting("X", "{env.KEY}")+`{"handler":"vars","a":"b"}`) + `,{"match":[{"header_regexp":{"X":{"name":"v","pattern":"(.*)"}}}],"handle":[` + says("{http.regexp.v.1}") + `]}`), true},
		"a secret by a later map":           {"secret-told", of(late("b", "{c}") + late("c", "{env.KEY}") + says("{b}")), true},
		"a secret by much later maps":       {"secret-told", failing(late("a", "{b}")+late("b", "{c}")+late("c", "{d}")+late("d", "{env.KEY}")+asked, says("{a}")), true},
		"a map of itself":                   {"secret-told", of(late("a", "{a}") + says("{a}")), false},
		"a map of a field, set later":       {"secret-told", of(late("a", "{http.request.header.X}") + setting("X", "{env.KEY}") + says("{a}")), true},
		"a map of a field, set anew":        {"secret-told", of(setting("X", "a") + mapped("{http.request.header.X}", `"input_regexp":"(.*)","outputs":["$1"]`) + "," + says("{to}")), false},
		"a template of a secret field":      {"secret-told", of(setting("X-J", "{env.KEY}") + templates + says("{{.Req.Header.Get `X-J`}}")), true},
		"a template of another field":       {"secret-told", of(setting("X-J", "{env.KEY}") + templates + says("{{.Req.Header.Get `X-K`}}")), false},
		"a template of a secret cookie":     {"secret-told", of(setting("Cookie", "a={env.KEY}") + templates + says("{{.Cookie `a`}}")), true},
		"a template of a secret Host":       {"secret-told", of(setting("Host", "{env.KEY}") + templates + says("{{.Host}}")), true},
		"a template of a secret path":       {"secret-told", of(`{"handler":"rewrite","uri":"/{env.KEY}"},` + templates + says("{{.Req.URL.Path}}")), true},
		"a secret in a remark":              {"secret-told", of(templates + says("{{/* env }} `KEY` */}}{{- /* env */ -}}")), false},
		"a secret behind a remark":          {"secret-told", of(templates + says("{{/* a */}}{{env `KEY`}}")), true},
		"a secret behind a text":            {"secret-told", of(templates + says("{{print `}}` (env `KEY`)}}")), true},
		"a secret behind a letter":          {"secret-told", of(templates + says(`{{print '\"'}}{{env \"KEY\"}}`)), true},
		"a secret, by the short name":       {"secret-told", of(templates + says("{{ph `env.KEY`}}")), true},
		"a secret, by a name behind a pipe": {"secret-told", of(templates + says("{{`env.KEY` | placeholder}}")), true},
		"a secret, by a name that is made":  {"secret-told", of(templates + says("{{placeholder (print `env.` `KEY`)}}")), true},
		"a secret in a text":                {"secret-told", of(templates + says("{{expandenv `$KEY`}}")), true},
		"a variable with a short name":      {"secret-told", of(templates + says("{{$ph := `a`}}{{$ph}}")), false},
		"a field of a secret's name":        {"secret-told", of(templates + says("{{.Req.Header.Get `env`}}")), false},

		"a path by a variable":             {"path-by-choice", of(vars("p", byQuery) + `,{"handler":"rewrite","uri":"/{http.vars.p}"},` + asked), true},
		"a path by part of the path":       {"path-by-choice", readOnly(`{` + found(`^/a/(.*)$`) + `,"handle":[{"handler":"rewrite","uri":"/b/{http.regexp.v.1}"},` + asked + `]}`), false},
		"a path by part of a field":        {"path-by-choice", readOnly(`{"match":[{"header_regexp":{"X":{"name":"v","pattern":"(.*)"}}}],"handle":[{"handler":"rewrite","uri":"/b/{http.regexp.v.1}"},` + asked + `]}`), true},
		"a path that is written over":      {"path-by-choice", of(`{"handler":"rewrite","uri":"/` + byQuery + `"},{"handler":"rewrite","uri":"/fixed"},` + asked), false},
		"a path that is written over once": {"path-by-choice", readOnly(handle(`{"handler":"rewrite","uri":"/`+byQuery+`"}`) + "," + on(`"header":{"A":["b"]}`, `{"handler":"rewrite","uri":"/fixed"}`) + "," + services), true},
		"a path that is written upon":      {"path-by-choice", of(`{"handler":"rewrite","uri":"/` + byQuery + `"},{"handler":"rewrite","uri":"/b{http.request.uri}"},` + asked), true},
		"a path with its query":            {"path-by-choice", of(`{"handler":"rewrite","uri":"/b{http.request.uri.prefixed_query}"},` + asked), false},
		"a path with a part by choice":     {"path-by-choice", of(`{"handler":"rewrite","uri_substring":[{"find":"/a","replace":"/` + byQuery + `"}]},` + asked), true},

		"a Host by a variable":          {"host-by-choice", of(vars("h", byQuery) + `,{"handler":"reverse_proxy","headers":{"request":{"set":{"Host":["{http.vars.h}"]}}}}`), true},
		"a Host that is written over":   {"host-by-choice", of(`{"handler":"headers","request":{"set":{"Host":["` + byQuery + `"]}}},{"handler":"headers","request":{"set":{"Host":["a.test"]}}},` + asked), false},
		"a Host over what is by choice": {"host-by-choice", of(`{"handler":"headers","request":{"set":{"Host":["` + byQuery + `"]}}},{"handler":"reverse_proxy","headers":{"request":{"set":{"Host":["{http.reverse_proxy.upstream.hostport}"]}}}}`), false},
		"a Host by a segment":           {"host-by-choice", readOnly(headerUp(`"set":{"Host":["{http.request.uri.path.0}.test"]}`)), true},
		"a Host by what is put in":      {"host-by-choice", readOnly(headerUp(`"replace":{"Host":[{"search":"a","replace":"` + byQuery + `"}]}`)), true},

		"a folder that is written over":      {"folder-by-choice", of(vars("root", "/srv/"+byQuery) + "," + vars("root", "/srv/a") + "," + folder), false},
		"a folder by its own variable":       {"folder-by-choice", of(vars("root", "/srv") + `,{"handler":"file_server","root":"{http.vars.root}"}`), false},
		"a folder by a part of a host":       {"folder-by-choice", byHosts(of(`{"handler":"file_server","root":"/srv/{http.request.host.labels.1}"}`)), false},
		"a folder by a part of any host":     {"folder-by-choice", of(`{"handler":"file_server","root":"/srv/{http.request.host.labels.1}"}`), true},
		"a folder by one of two":             {"folder-by-choice", readOnly(`{` + found(`^/(a|b)/`) + `,"handle":[{"handler":"file_server","root":"/srv/{http.regexp.v.1}"}]}`), false},
		"a folder by one of any":             {"folder-by-choice", readOnly(`{` + found(`^/([^/]+)/`) + `,"handle":[{"handler":"file_server","root":"/srv/{http.regexp.v.1}"}]}`), true},
		"a folder by another path's":         {"folder-by-choice", edge(on(`"path":["/a/*"]`, vars("root", byQuery)) + "," + on(`"path":["/b/*"]`, vars("root", "/srv")+","+folder)), false},
		"a service by a variable":            {"upstream-by-choice", of(vars("to", "127.0.0.1:1") + `,{"handler":"reverse_proxy","upstreams":[{"dial":"{http.vars.to}"}]}`), false},
		"a service by a chosen variable":     {"upstream-by-choice", of(vars("to", byQuery) + `,{"handler":"reverse_proxy","upstreams":[{"dial":"{http.vars.to}"}]}`), true},
		"a service by a field of the edge":   {"upstream-by-choice", of(`{"handler":"headers","request":{"set":{"X-To":["127.0.0.1:1"]}}},{"handler":"reverse_proxy","upstreams":[{"dial":"{http.request.header.X-To}"}]}`), false},
		"a service by a field, now and then": {"upstream-by-choice", readOnly(on(`"header":{"A":["b"]}`, `{"handler":"headers","request":{"set":{"X-To":["127.0.0.1:1"]}}}`) + "," + handle(`{"handler":"reverse_proxy","upstreams":[{"dial":"{http.request.header.X-To}"}]}`)), true},
	})
}

// TestEarlyDataIsOfAListener: each has its own protocols, or those of the server.
func TestEarlyDataIsOfAListener(t *testing.T) {
	t.Parallel()
	listening := func(members string) string {
		return strings.Replace(site(post, fine), `"protocols":["h1","h2"],"listen":["127.0.0.1:443"]`, members, 1)
	}
	tryChecks(t, map[string]trial{
		"null is the server's, which says nothing": {"early-data", listening(`"listen":[":1",":2"],"listen_protocols":[["h1"],null]`), true},
		"null is the server's":                     {"early-data", listening(`"protocols":["h1"],"listen":[":1"],"listen_protocols":[null]`), false},
		"none is the server's":                     {"early-data", listening(`"protocols":["h3"],"listen":[":1"],"listen_protocols":[[]]`), true},
		"an empty name adds the server's":          {"early-data", listening(`"protocols":["h2","h3"],"listen":[":1"],"listen_protocols":[["h1",""]]`), true},
		"no listener does":                         {"early-data", listening(`"protocols":["h1","h3"],"listen":[":1"],"listen_protocols":[["h1"]]`), false},
		"no list at all":                           {"early-data", listening(`"listen":[":1"],"listen_protocols":null`), true},
	})
}
