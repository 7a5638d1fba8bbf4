package policy

import "github.com/open-tollgate/tollgate/internal/policy"

// sharp is a change of a rule that every configuration of plant reaches, and what it has to be called.
type sharp struct {
	name   string
	make   func(p *planted)
	want   policy.Direction
	series bool // of requests that show it

	chooses bool // the caller chooses what the edge has said before
}

// planted is an API in front of everything else, so that nothing shadows it.
type planted struct {
	routes       *[]object // of the server
	route, api   object
	token, scope object
	zone         object
	proxy        object
	shown, files object // another API, and its folder
	other        string // root
	network      object // of a matcher
}

// sharps are the changes that nobody may miss. Each is tried backwards as well.
var sharps = []sharp{
	{"a require is gone", func(p *planted) { p.inside(0, 2, 3, 4) }, policy.Widened, false, false},
	{"a scope more", func(p *planted) { p.scope["scopes"] = []string{"read", "write"} }, policy.Narrowed, false, false},
	{"one overlaps another in a path", func(p *planted) { p.swap(4) }, policy.Widened, false, false},
	{"one overlaps another in a field that is there twice", func(p *planted) { p.swap(6) }, policy.Widened, false, false},
	{"one overlaps another in two parameters", func(p *planted) { p.swap(8) }, policy.Widened, false, false},
	{"one overlaps another behind a prefix", func(p *planted) { p.swap(10) }, policy.Widened, false, false},
	{"a larger network", func(p *planted) { p.network["ranges"] = []string{"10.7.0.0/16"} }, policy.Widened, false, false},
	{"its route moves behind a public one", func(p *planted) {
		list := *p.routes
		list[0], list[1] = list[1], list[0]
	}, policy.Widened, false, false},
	{"a wider path", func(p *planted) { p.route["match"] = []object{{"path": []string{"/a", "/a/*", "/planted"}}} }, policy.Widened, false, false},
	{"public", func(p *planted) {
		p.api["public"], p.zone["key"] = true, "{http.vars.client_ip}"
		p.inside(2, 3, 4)
	}, policy.Widened, false, false},
	{"a limit is gone", func(p *planted) { p.inside(0, 1, 3, 4) }, policy.Widened, true, false},
	{"another audience", func(p *planted) { p.token["audiences"] = []string{"shared"} }, policy.Narrowed, false, false},
	{"a method more", func(p *planted) { p.api["methods"] = []string{"GET", "POST"} }, policy.Widened, false, false},
	{"written otherwise", func(p *planted) {
		p.route["match"] = []object{{"path": []string{"/a/*"}}, {"path": []string{"/a", "/a/*"}}}
	}, "", false, false},
	{"a condition that always holds", func(p *planted) {
		p.route["match"] = []object{{"path": []string{"/a", "/a/*"}, "not": []object{{"path": []string{"/b"}}}}}
	}, "", false, false},
	{"more events", func(p *planted) { p.zone["max_events"] = 12 }, policy.Widened, true, false},
	{"a shorter window", func(p *planted) { p.zone["window"] = 200_000_000 }, policy.Widened, true, false},
	{"users count apart", func(p *planted) { p.zone["key"] = "{http.auth.client.id} {http.auth.user.id}" }, policy.Widened, true, false},
	{"all count together", func(p *planted) { p.zone["key"] = "all" }, policy.Narrowed, true, false},
	{"a request costs less", func(p *planted) { delete(p.zone, "cost") }, policy.Widened, true, false},
	{"in shadow", func(p *planted) { p.zone["shadow"] = true }, policy.Widened, true, false},
	{"a limit for others", func(p *planted) { p.zone["match"] = []object{{"method": []string{"POST"}}} }, policy.Widened, true, false},
	{"a limit for some paths", func(p *planted) { p.zone["match"] = []object{{"path": []string{"/a/x*"}}} }, policy.Widened, true, false},
	{"open while Redis is away", func(p *planted) { p.zone["on_failure"] = "open" }, policy.Widened, false, false},
	{"paced, with a smaller burst", func(p *planted) { p.zone["kind"], p.zone["burst"] = "gcra", 4 }, policy.Narrowed, true, false},
	{"a limit written otherwise", func(p *planted) {
		p.zone["kind"], p.zone["empty_key"], p.zone["on_failure"], p.zone["window"] = "sliding", "deny", "share", "60m"
	}, "", false, false},
	{"it is rewritten", func(p *planted) { p.before(object{"handler": "rewrite", "uri": "/admin{http.request.uri}"}) }, policy.Moved, false, false},
	{"a prefix is stripped", func(p *planted) { p.before(object{"handler": "rewrite", "strip_path_prefix": "/a"}) }, policy.Moved, false, false},
	{"a parameter is set", func(p *planted) {
		p.before(object{"handler": "rewrite", "query": object{"set": []object{{"key": "admin", "val": "1"}}}})
	}, policy.Moved, false, false},
	{"rewritten by the service's own", func(p *planted) { p.proxy["rewrite"] = object{"uri": "/b"} }, policy.Moved, false, false},
	{"a rewrite that changes nothing", func(p *planted) { p.before(object{"handler": "rewrite", "uri": "{http.request.uri.path}"}) }, "", false, false},
	{"another value of a field", func(p *planted) {
		p.proxy["headers"] = object{"request": object{"set": object{"x-flag": []string{"2"}}}}
	}, policy.Moved, false, false},
	{"a field set elsewhere", func(p *planted) {
		p.inside(0, 1, 2, 4)
		p.proxy["headers"] = object{"request": object{"set": object{"x-flag": []string{"1"}}}}
	}, "", false, false},
	{"the caller chooses a field", func(p *planted) { p.inside(0, 1, 2, 4) }, policy.Widened, false, true},
	{"another Host", func(p *planted) {
		p.proxy["headers"] = object{"request": object{"set": object{"Host": []string{"inner.test"}}}}
	}, policy.Narrowed, false, true},
	{"another folder", func(p *planted) { p.files["root"] = p.other }, policy.Moved, false, false},
	{"another file", func(p *planted) {
		p.shown["routes"] = append([]object{{"handle": []object{{"handler": "rewrite", "uri": "/users/x-1"}}}}, p.shown["routes"].([]object)...)
	}, policy.Moved, false, false},
	{"folders are listed", func(p *planted) { p.files["browse"] = object{} }, policy.Widened, false, false},
	{"its answer is not told", func(p *planted) {
		ask := p.asking(object{"handler": "static_response", "status_code": 410})
		*p.routes = append([]object{{"match": []object{{"path": []string{"/planted"}}}, "terminal": true, "handle": []object{ask}}}, *p.routes...)
	}, policy.Widened, false, false},
	{"it is asked before the token is", func(p *planted) {
		p.route["handle"] = []object{p.asking(object{"handler": "vars", "a": "b"}), p.api}
	}, policy.Widened, false, false},
	{"the same folder, by a variable", func(p *planted) {
		root := p.files["root"]
		delete(p.files, "root")
		p.shown["routes"] = append([]object{{"handle": []object{{"handler": "vars", "root": root}}}}, p.shown["routes"].([]object)...)
	}, "", false, false},
}

// asking is the service, in whose place another handler answers, or leads on.
func (p *planted) asking(then object) object {
	ask := object{"handle_response": []object{{"routes": []object{{"handle": []object{then}}}}}}
	for _, member := range []string{"handler", "upstreams", "transport"} {
		ask[member] = p.proxy[member]
	}
	return ask
}

// swap has a route come after the next one.
func (p *planted) swap(n int) {
	list := *p.routes
	list[n], list[n+1] = list[n+1], list[n]
}

// overlaps are pairs of routes, of which the first refuses and the second lets in: what
// both are for, nobody has written down. The last one is for a network alone.
func (p *planted) overlaps(g *generator) (routes []object) {
	public := func(name string) []object {
		return []object{{"handler": "api", "name": name, "public": true, "methods": []string{"GET"}, "routes": []object{{"handle": []object{g.proxy()}}}}}
	}
	refused := []object{{"handler": "static_response", "status_code": 403}}
	stripped := func(matcher string, handlers []object) object {
		return object{"match": []object{{"path": []string{"/p1/*"}}}, "handle": []object{{"handler": "subroute", "routes": []object{
			{"handle": []object{{"handler": "rewrite", "strip_path_prefix": "/p1"}}},
			{"match": []object{{"path": []string{matcher}}}, "terminal": true, "handle": handlers},
			{"handle": []object{{"handler": "rewrite", "uri": "/p1{http.request.uri}"}}},
		}}}}
	}
	route := func(match object, handlers []object) object {
		return object{"match": []object{match}, "terminal": true, "handle": handlers}
	}
	at := func(path string, more string, what any) object { return object{"path": []string{path}, more: what} }
	p.network = object{"ranges": []string{"10.7.7.0/24"}}
	return []object{
		route(object{"path": []string{"/o1/me/*"}}, refused), route(object{"path_regexp": object{"pattern": "^/o1/[a-z]+/orders$"}}, public("o1")),
		route(at("/o2", "header", object{"X-Mode": []string{"lock"}}), refused), route(at("/o2", "header", object{"X-Mode": []string{"free"}}), public("o2")),
		route(at("/o3", "query", object{"lock": []string{"1"}}), refused), route(at("/o3", "query", object{"free": []string{"*"}}), public("o3")),
		stripped("/me/*", refused), stripped("*/orders", public("o4")),
		route(at("/o5", "remote_ip", p.network), public("o5")), route(object{"path": []string{"/o*"}}, refused),
	}
}

// before puts a handler in front of the service.
func (p *planted) before(h object) {
	all := p.api["routes"].([]object)
	last := len(all) - 1
	p.api["routes"] = append(append([]object{}, all[:last]...), object{"handle": []object{h}}, all[last])
}

// inside keeps some of the routes of the API.
func (p *planted) inside(keep ...int) {
	all := p.api["routes"].([]object)
	var kept []object
	for _, n := range keep {
		kept = append(kept, all[n])
	}
	p.api["routes"] = kept
}

// plant puts an API, and a public one that it shadows, in front of the routes of a configuration.
func (g *generator) plant(config object) *planted {
	server := config["apps"].(object)["http"].(object)["servers"].(object)["srv"].(object)
	server["tls_connection_policies"] = []object{{}}
	p := &planted{token: object{"handler": "access_token"}, scope: object{"handler": "require", "scopes": []string{"read"}}}
	p.proxy = object{"handler": "reverse_proxy", "upstreams": []object{{"dial": one(g, g.upstreams)}}, "transport": object{"protocol": "http", "keep_alive": object{"enabled": false}}}
	p.files, p.other = object{"handler": "file_server", "root": g.roots[0]}, g.roots[1]
	p.shown = object{"handler": "api", "name": "shown", "public": true, "methods": []string{"GET"}, "routes": []object{{"handle": []object{p.files}}}}
	p.zone = object{"window": 3600_000_000_000, "max_events": 8, "cost": object{"value": "2"}, "key": "{http.auth.client.id}"}
	p.api = object{"handler": "api", "name": "planted", "methods": []string{"GET"}, "routes": []object{
		{"handle": []object{p.token}},
		{"handle": []object{p.scope}},
		{"handle": []object{{"handler": "rate_limit", "rate_limits": object{"z": p.zone}}}},
		{"handle": []object{{"handler": "headers", "request": object{"set": object{"X-Flag": []string{"1"}}}}}},
		{"handle": []object{p.proxy}},
	}}
	p.route = object{"match": []object{{"path": []string{"/a", "/a/*"}}}, "terminal": true, "handle": []object{p.api}}
	shadowed := object{"match": []object{{"path": []string{"/a"}}}, "terminal": true, "handle": []object{
		object{"handler": "api", "name": "shadowed", "public": true, "methods": []string{"GET"}, "routes": []object{{"handle": []object{g.proxy()}}}},
	}}
	// What the planted API does not take is not found, whatever the random routes behind would do with it.
	nothing := object{"match": []object{{"path": []string{"/planted"}}}, "terminal": true, "handle": []object{
		object{"handler": "api", "name": "nothing", "public": true},
	}}
	shown := object{"match": []object{{"path": []string{"/users/7"}}}, "terminal": true, "handle": []object{p.shown}}
	routes := append([]object{p.route, shadowed, nothing, shown}, append(p.overlaps(g), server["routes"].([]object)...)...)
	server["routes"] = routes
	p.routes = &routes
	return p
}
