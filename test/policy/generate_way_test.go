package policy

import "strings"

// What changes a request on its way, and where it may end beside services.

// values of header fields, and texts that rewrites put in.
var (
	values = []string{"1", "xx", "", "{http.request.header.X-Mode}", "{http.request.uri.path}", "{http.request.uri}", "{http.auth.user.id}",
		"{http.request.method}", "{http.vars.a}", "{http.request.host}", "{http.request.hostport}", "{http.vars.client_ip}", "{http.regexp.named.1}", "{http.api.name}"}
	rewrites = []object{
		{"strip_path_prefix": "/a"}, {"strip_path_prefix": "users/"}, {"strip_path_prefix": "/a//b"}, {"strip_path_prefix": "/%61"},
		{"strip_path_suffix": ".json"}, {"strip_path_suffix": "/b"}, {"strip_path_suffix": "%41"},
		{"uri": "/users/7"}, {"uri": "/a{http.request.uri.path}"}, {"uri": "/admin{http.request.uri}"}, {"uri": "?a=1"}, {"uri": "/b?{http.request.uri.query}"},
		{"uri": "/b?x={http.request.uri.query}&{http.request.uri.query}"}, {"uri": "/b?user={http.auth.user.id}&p={http.request.uri.path}"},
		{"uri": "/b?a==b&&c#d"}, {"uri": "/a%20b"}, {"uri": "/b{http.request.header.X-Flag}"}, {"uri": "/a/{http.request.uri.path.0}/{http.request.uri.path.file}"},
		{"uri": "/users/{http.regexp.named.1}{http.request.uri.prefixed_query}"}, {"uri": "{http.request.uri.path.dir}x"}, {"uri": "/{http.vars.a}"}, {"uri": "/a/{http.request.hostport}"},
		{"method": "get"}, {"uri": "/b?b=2", "method": "POST"}, {"method": "{http.request.method}"},
		{"uri_substring": []object{{"find": "a", "replace": "b"}}}, {"uri_substring": []object{{"find": "/users", "replace": "/admin", "limit": 1}, {"find": "//", "replace": "/"}}},
		{"path_regexp": []object{{"find": "^/users/([0-9]+)", "replace": "/a/$1"}}}, {"path_regexp": []object{{"find": "[A-Z]", "replace": "x"}, {"find": "/+$", "replace": "/b"}}},
		{"query": object{"set": []object{{"key": "a", "val": "{http.request.uri.path}"}}, "delete": []string{"b"}}},
		{"query": object{"rename": []object{{"key": "a", "val": "b"}}, "add": []object{{"key": "b", "val": "3"}}}},
		{"query": object{"replace": []object{{"key": "*", "search": "1", "replace": "9"}, {"key": "a", "search_regexp": "[12]", "replace": "z"}}}},
		{"strip_path_prefix": "/a", "uri_substring": []object{{"find": "x", "replace": "y"}}, "query": object{"delete": []string{"a"}}},
	}
)

// asking are rewrites that depend on more of a request than its path: each is a multiple of
// the requests that diff has to look at.
func asking(r object) bool {
	uri, _ := r["uri"].(string)
	return r["method"] != nil || r["query"] != nil || r["uri_substring"] != nil || strings.Contains(uri, "?") || strings.Contains(uri, "query") ||
		strings.Contains(uri, "header") || strings.HasSuffix(uri, "uri}")
}

func (g *generator) rewrite() object {
	r := object{"handler": "rewrite"}
	chosen := one(g, rewrites)
	for g.roomy && asking(chosen) && g.chance(85) {
		chosen = one(g, rewrites)
	}
	for name, value := range chosen {
		r[name] = value
	}
	return r
}

// changes are what is done to header fields.
func (g *generator) changes() object {
	ops := object{}
	for range 1 + g.IntN(2) {
		field := one(g, []string{"X-Flag", "x-mode", "X-Role", "X-User-Id"})
		switch g.IntN(6) {
		case 0, 1:
			ops["set"] = object{field: []string{one(g, values)}}
		case 2:
			ops["add"] = object{field: some(g, values)}
		case 3:
			ops["delete"] = []string{one(g, []string{field, "X-F*", "*-Mode", "*ro*", "x-*"})}
		case 4:
			ops["replace"] = object{field: []object{one(g, []object{{"search": "x", "replace": "y"}, {"search_regexp": "^a+", "replace": one(g, values)}})}}
		default:
			if g.chance(10) {
				ops["replace"] = object{"Host": []object{{"search_regexp": "^(.+):8443$", "replace": "www.$1"}}}
				continue
			}
			ops["set"] = object{"Host": []string{one(g, []string{"inner.test", "{http.request.host}", "{http.request.header.X-Mode}"})}}
		}
	}
	return ops
}

func (g *generator) proxy() object {
	p := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": one(g, g.upstreams)}},
		"transport": object{"protocol": "http", "keep_alive": object{"enabled": false}}}
	if g.chance(25) {
		p["headers"] = object{"request": g.changes()}
	}
	if g.chance(10) {
		r := g.rewrite()
		delete(r, "handler")
		p["rewrite"] = r
	}
	return p
}

// folder answers with files; its root is its own, or that of a variable.
func (g *generator) folder() object {
	files := object{"handler": "file_server"}
	if g.chance(60) {
		files["root"] = one(g, g.roots)
	}
	return files
}
