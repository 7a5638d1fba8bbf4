package policy

import "github.com/open-tollgate/tollgate/internal/policy"

// sharp is a change of a rule that every configuration of plant reaches, and what it has to be called.
type sharp struct {
	name   string
	make   func(p *planted)
	want   policy.Direction
	series bool // of requests that show it
}

// planted is an API in front of everything else, so that nothing shadows it.
type planted struct {
	routes       *[]object // of the server
	route, api   object
	token, scope object
	zone         object
}

// sharps are the changes that nobody may miss. Each is tried backwards as well.
var sharps = []sharp{
	{"a require is gone", func(p *planted) { p.inside(0, 2, 3, 4) }, policy.Widened, false},
	{"a scope more", func(p *planted) { p.scope["scopes"] = []string{"read", "write"} }, policy.Narrowed, false},
	{"its route moves behind a public one", func(p *planted) {
		list := *p.routes
		list[0], list[1] = list[1], list[0]
	}, policy.Widened, false},
	{"a wider path", func(p *planted) { p.route["match"] = []object{{"path": []string{"/a", "/a/*", "/planted"}}} }, policy.Widened, false},
	{"public", func(p *planted) {
		p.api["public"], p.zone["key"] = true, "{http.vars.client_ip}"
		p.inside(2, 3, 4)
	}, policy.Widened, false},
	{"a limit is gone", func(p *planted) { p.inside(0, 1, 3, 4) }, policy.Widened, true},
	{"another audience", func(p *planted) { p.token["audiences"] = []string{"shared"} }, policy.Narrowed, false},
	{"a method more", func(p *planted) { p.api["methods"] = []string{"GET", "POST"} }, policy.Widened, false},
	{"written otherwise", func(p *planted) {
		p.route["match"] = []object{{"path": []string{"/a/*"}}, {"path": []string{"/a", "/a/*"}}}
	}, "", false},
	{"a condition that always holds", func(p *planted) {
		p.route["match"] = []object{{"path": []string{"/a", "/a/*"}, "not": []object{{"path": []string{"/b"}}}}}
	}, "", false},
	{"more events", func(p *planted) { p.zone["max_events"] = 12 }, policy.Widened, true},
	{"a shorter window", func(p *planted) { p.zone["window"] = 200_000_000 }, policy.Widened, true},
	{"users count apart", func(p *planted) { p.zone["key"] = "{http.auth.client.id} {http.auth.user.id}" }, policy.Widened, true},
	{"all count together", func(p *planted) { p.zone["key"] = "all" }, policy.Narrowed, true},
	{"a request costs less", func(p *planted) { delete(p.zone, "cost") }, policy.Widened, true},
	{"in shadow", func(p *planted) { p.zone["shadow"] = true }, policy.Widened, true},
	{"a limit for others", func(p *planted) { p.zone["match"] = []object{{"method": []string{"POST"}}} }, policy.Widened, true},
	{"a limit for some paths", func(p *planted) { p.zone["match"] = []object{{"path": []string{"/a/x*"}}} }, policy.Widened, true},
	{"open while Redis is away", func(p *planted) { p.zone["on_failure"] = "open" }, policy.Widened, false},
	{"paced, with a smaller burst", func(p *planted) { p.zone["kind"], p.zone["burst"] = "gcra", 4 }, policy.Narrowed, true},
	{"a limit written otherwise", func(p *planted) {
		p.zone["kind"], p.zone["empty_key"], p.zone["on_failure"], p.zone["window"] = "sliding", "deny", "share", "60m"
	}, "", false},
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
	p.zone = object{"window": 3600_000_000_000, "max_events": 8, "cost": object{"value": "2"}, "key": "{http.auth.client.id}"}
	p.api = object{"handler": "api", "name": "planted", "methods": []string{"GET"}, "routes": []object{
		{"handle": []object{p.token}},
		{"handle": []object{p.scope}},
		{"handle": []object{{"handler": "rate_limit", "rate_limits": object{"z": p.zone}}}},
		{"handle": []object{{"handler": "headers", "request": object{"set": object{"X-Flag": []string{"1"}}}}}},
		{"handle": []object{g.proxy()}},
	}}
	p.route = object{"match": []object{{"path": []string{"/a", "/a/*"}}}, "terminal": true, "handle": []object{p.api}}
	shadowed := object{"match": []object{{"path": []string{"/a"}}}, "terminal": true, "handle": []object{
		object{"handler": "api", "name": "shadowed", "public": true, "methods": []string{"GET"}, "routes": []object{{"handle": []object{g.proxy()}}}},
	}}
	// What the planted API does not take is not found, whatever the random routes behind would do with it.
	nothing := object{"match": []object{{"path": []string{"/planted"}}}, "terminal": true, "handle": []object{
		object{"handler": "api", "name": "nothing", "public": true},
	}}
	routes := append([]object{p.route, shadowed, nothing}, server["routes"].([]object)...)
	server["routes"] = routes
	p.routes = &routes
	return p
}
