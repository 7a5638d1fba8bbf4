package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

type object = map[string]any

// generator makes random configurations of what the model claims to know.
type generator struct {
	*rand.Rand
	number    uint64 // of the configuration: zones of two must not share counts
	upstreams []string
	keys      []string // files with the keys of issuers
	roots     []string // of folders
	apis      int
	groups    int
	zones     int
	shallow   int  // levels less
	roomy     bool // limits that nothing reaches
	open      bool // with what the model does not analyse
	limited   bool // each API has limits
	talking   bool // error routes have words of their own
	inAPI     *object
}

var (
	words     = []string{"a", "b", "users", "admin"}
	paths     = []string{"/", "/a", "/a/*", "/a*", "/A/b", "*", "/users", "/users/*", "*.json", "*admin*", "/a/*/c", "/users/?", "/a/b/", "//a", "/b"}
	regexps   = []string{"^/a$", "^/users/[a-z0-9-]+$", "^/(a|b)(/.*)?$", "admin", "^/A", "^/users(/[0-9]+)?$"}
	hosts     = []string{"edge.test", "*.edge.test", "www.edge.test", "other.test", "EDGE.test"}
	oddHosts  = []string{"edge.test", "edge.test:8443", "edge.test.", "::1", "*"}
	methods   = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	scopes    = []string{"read", "write", "pay"}
	addresses = []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"}
	claims    = []string{"gold", "silver"}
)

func one[T any](g *generator, values []T) T { return values[g.IntN(len(values))] }

func some[T any](g *generator, values []T) []T {
	n := 1 + g.IntN(2)
	var chosen []T
	for _, at := range g.Perm(len(values))[:n] {
		chosen = append(chosen, values[at])
	}
	return chosen
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) matcher(depth int) (string, any) {
	if g.open && g.chance(12) {
		return g.unsure()
	}
	kind := g.IntN(13)
	switch {
	case kind < 4:
		return "path", some(g, paths)
	case kind < 5:
		return "path_regexp", object{"name": "named", "pattern": one(g, regexps)}
	case kind < 7:
		return "method", some(g, append(methods, "get", "TRACE"))
	case kind < 8:
		return "host", g.hosts()
	case kind < 9:
		values := []any{[]string{"1"}, []string{"x*"}, []string{"*x"}, []string{"*x*"}, []string{"*"}, []string{}, nil}
		if g.chance(8) {
			return "header", object{"Host": some(g, []string{"edge.test", "edge.test:8443", "*:8443", "[::1]*"})}
		}
		return "header", object{one(g, []string{"X-Flag", "x-mode", "X-User-Id"}): one(g, values)}
	case kind < 10:
		if g.chance(50) {
			return "query", object{one(g, words): some(g, []string{"1", "*", "2"})}
		}
		return one(g, []string{"remote_ip", "client_ip"}), object{"ranges": some(g, addresses)}
	case kind < 11:
		if depth == 0 {
			return "protocol", one(g, []string{"http", "https"})
		}
		not := []object{g.set(depth - 1)}
		if g.chance(30) {
			not = append(not, g.set(depth-1))
		}
		return "not", not
	case kind < 12:
		return "header_regexp", object{one(g, []string{"X-Flag", "x-mode", "Host"}): object{"pattern": one(g, []string{"^x", "[0-9]", "^a?x$", "edge", ":[0-9]+$"})}}
	default:
		return "protocol", one(g, []string{"http", "https"})
	}
}

func (g *generator) hosts() []string {
	chosen := some(g, hosts)
	if g.chance(25) && (!g.roomy || g.chance(30)) { // each host is a multiple of the requests that diff looks at
		chosen = some(g, oddHosts)
	}
	if len(chosen) == 2 && strings.EqualFold(chosen[0], chosen[1]) {
		return chosen[:1]
	}
	return chosen
}

func (g *generator) set(depth int) object {
	set := object{}
	for range 1 + g.IntN(2) {
		name, value := g.matcher(depth)
		set[name] = value
	}
	if expression, ok := set["path_regexp"].(object); ok && len(set) > 1 {
		// Caddy looks at a set in any order, and keeps what an expression has found even where another
		// matcher of the set fails.
		expression["name"] = "other"
	}
	return set
}

func (g *generator) match(r object) {
	if g.chance(65) {
		depth := one(g, []int{1, 1, 1, 3})
		sets := []object{g.set(depth)}
		if g.chance(20) {
			sets = append(sets, g.set(1))
		}
		r["match"] = sets
	}
}

func (g *generator) routes(depth int) []object {
	var routes []object
	group := fmt.Sprintf("group%d", g.groups)
	g.groups++
	for range 1 + g.IntN(4) {
		r := object{}
		g.match(r)
		if g.chance(40) {
			r["group"] = group
		}
		if g.chance(15) {
			r["terminal"] = true
		}
		var handle []object
		for range 1 + g.IntN(2) {
			handle = append(handle, g.handler(depth))
		}
		r["handle"] = handle
		routes = append(routes, r)
	}
	return routes
}

func (g *generator) handler(depth int) object {
	if g.open && g.chance(15) {
		return g.opaque()
	}
	switch kind := g.IntN(22); {
	case kind < 5 && depth > 0:
		sub := object{"handler": "subroute", "routes": g.routes(depth - 1)}
		if g.inAPI == nil && g.chance(15) { // within, it does not load
			sub["errors"] = object{"routes": g.errorRoutes()}
		}
		return sub
	case kind < 10 && g.inAPI == nil:
		return g.api(depth)
	case kind < 12:
		return g.rewrite()
	case kind < 13:
		return object{"handler": "headers", "request": g.changes()}
	case kind < 14:
		return object{"handler": "static_response", "status_code": one(g, []any{200, 204, 403, 302, ""}), "headers": object{"X-Static": []string{"1"}}}
	case kind < 15:
		return object{"handler": "error", "status_code": one(g, []any{400, 404, 500, 418, 503})}
	case kind < 16:
		return object{"handler": "invoke", "name": "named"}
	case kind < 17:
		if g.chance(30) {
			return g.rateLimit()
		}
		if g.chance(50) {
			return object{"handler": "vars", "a": one(g, []any{"b", "{http.request.uri.path.file}", 7}), "root": one(g, g.roots)}
		}
		return g.passing()
	case kind < 18:
		return g.intercept()
	case kind < 19:
		if g.chance(50) {
			return g.folder()
		}
		return g.odd()
	default:
		return g.proxy()
	}
}

func (g *generator) errorRoutes() []object {
	codes := "{http.error.status_code} in [404, 403]"
	if g.chance(50) {
		codes = "{http.error.status_code} >= 400 && {http.error.status_code} <= 499"
	}
	return []object{{
		"match":  []object{{"expression": codes}},
		"handle": []object{one(g, []object{{"handler": "static_response", "body": "sorry", "headers": object{"X-Static": []string{"1"}}}, {"handler": "static_response", "status_code": 410}, {"handler": "headers"}})},
	}}
}

func (g *generator) api(depth int) object {
	g.apis++
	api := object{"handler": "api", "name": fmt.Sprintf("api%d-%d", g.number, g.apis)}
	g.inAPI = &api
	defer func() { g.inAPI = nil }()
	if g.chance(40) {
		api["methods"] = some(g, methods)
	}
	if g.chance(15) {
		api["strip"] = []string{"X-Flag"}
	}
	inside := g.routes(max(depth-1, 0))
	if g.chance(35) {
		api["public"] = true
		if g.chance(40) {
			inside = append([]object{g.published()}, inside...)
		}
		if g.chance(50) || g.limited {
			inside = append([]object{g.limits()}, inside...)
		}
		api["routes"] = inside
		return api
	}
	token := object{"handler": "access_token"}
	if g.chance(30) {
		token["issuers"] = []string{"https://one.test"}
	}
	if g.chance(30) {
		token["audiences"] = []string{"shared"}
	}
	if g.apis == 1 && g.chance(50) {
		api["resource"] = "https://edge.test/r"
	}
	first := []object{{"handle": []object{token}}}
	if g.chance(15) {
		first = append(first, object{"handle": []object{{"handler": "identity_assertion", "audience": "users"}}})
	}
	for range g.IntN(3) {
		r := object{"handle": []object{g.require()}}
		g.match(r)
		first = append(first, r)
	}
	if g.chance(50) || g.limited {
		first = append(first, g.limits())
	}
	api["routes"] = append(first, inside...)
	return api
}

func (g *generator) require() object {
	r := object{"handler": "require"}
	switch g.IntN(7) {
	case 0:
		r["claims"] = object{"tier": some(g, claims)}
	case 1:
		r["sender_constrained"] = true
	case 2:
		r["dpop"], r["scopes"] = true, some(g, scopes)
	case 3:
		r["acr"] = []string{"high"}
	case 4:
		r["max_age"] = 3600_000_000_000
	case 5:
		r["authorization_details"] = []string{"payment"}
	default:
		r["scopes"] = some(g, scopes)
	}
	return r
}

// config makes a whole configuration.
func (g *generator) config() object {
	tls := g.chance(80)
	server := object{
		"listen": []string{"127.0.0.1:8443"}, "automatic_https": object{"disable": true}, "logs": object{},
		"routes": g.routes(3 - g.shallow),
		"named_routes": object{
			"named": object{"handle": []object{{"handler": "static_response", "status_code": 202}}},
			"outer": object{"match": []object{g.set(1)}, "handle": []object{g.rewrite(), {"handler": "invoke", "name": "named"}}},
		},
	}
	if tls {
		server["tls_connection_policies"] = []object{{}}
	}
	g.believe(server)
	if g.chance(20) {
		server["errors"] = object{"routes": g.errorRoutes()}
	}
	one := object{"url": "https://one.test", "audiences": []string{"api", "shared"}, "jwks_file": g.keys[0]}
	two := object{"url": "https://two.test", "audiences": []string{"shared", "two"}, "jwks_file": g.keys[1], "algorithms": []string{"ES256"}}
	if g.chance(20) {
		one["algorithms"] = []string{"PS256", "EdDSA"}
	}
	return object{
		"admin":   object{"disabled": true},
		"logging": object{"logs": object{"default": object{"level": "INFO"}}},
		"apps": object{
			"http": object{"servers": object{"srv": server}},
			"tollgate": object{
				"failures": object{"off": true}, "origins": []string{"https://edge.test"}, "issuers": []object{one, two},
				"assertion": object{"issuer": "https://assertions.test"},
			},
		},
	}
}

// mutate changes one thing of a configuration, or how it is written and nothing of what it means.
func (g *generator) mutate(config object) {
	server := config["apps"].(object)["http"].(object)["servers"].(object)["srv"].(object)
	var lists [][]object
	var requires, sets []object
	var visit func(routes []object)
	visit = func(routes []object) {
		lists = append(lists, routes)
		for _, r := range routes {
			if match, ok := r["match"].([]object); ok {
				sets = append(sets, match...)
			}
			for _, h := range r["handle"].([]object) {
				if h["handler"] == "require" {
					requires = append(requires, h)
				}
				if inner, ok := h["routes"].([]object); ok {
					visit(inner)
				}
			}
		}
	}
	visit(server["routes"].([]object))
	list := one(g, lists)
	r := one(g, list)
	protects := func(r object) bool { return r["handle"].([]object)[0]["handler"] == "access_token" }
	switch g.IntN(8) {
	case 0:
		if len(requires) > 0 {
			h := one(g, requires)
			h["scopes"] = some(g, scopes)
		}
	case 1:
		if len(sets) > 0 {
			one(g, sets)["method"] = some(g, methods)
		}
	case 2:
		if len(sets) > 0 {
			one(g, sets)["path"] = some(g, paths)
		}
	case 3:
		if !protects(r) {
			r["terminal"] = true
		}
	case 4:
		if a, b := g.IntN(len(list)), g.IntN(len(list)); !protects(list[a]) && !protects(list[b]) {
			list[a], list[b] = list[b], list[a]
		}
	case 5:
		if len(requires) > 0 {
			delete(one(g, requires), "scopes")
			one(g, requires)["acr"] = []string{"high", "low"}
			for _, h := range requires {
				if len(h) == 1 {
					h["dpop"] = true
				}
			}
		}
	case 6:
		for _, set := range sets {
			if m, ok := set["method"].([]string); ok { // the same, written otherwise
				set["method"] = append([]string{m[len(m)-1]}, m...)
			}
		}
	default:
		if !protects(r) {
			delete(r, "match")
		}
	}
}
