package policy

import "github.com/open-tollgate/tollgate/internal/policy"

// sharp is a change of a rule that every configuration of plant reaches, and what it has to be called.
type sharp struct {
	name string
	make func(p *planted)
	want policy.Direction
}

// planted is an API in front of everything else, so that nothing shadows it.
type planted struct {
	routes       *[]object // of the server
	route, api   object
	token, scope object
}

// sharps are the changes that nobody may miss. Each is tried backwards as well.
var sharps = []sharp{
	{"a require is gone", func(p *planted) { p.inside(0, 2, 3, 4) }, policy.Widened},
	{"a scope more", func(p *planted) { p.scope["scopes"] = []string{"read", "write"} }, policy.Narrowed},
	{"its route moves behind a public one", func(p *planted) {
		list := *p.routes
		list[0], list[1] = list[1], list[0]
	}, policy.Widened},
	{"a wider path", func(p *planted) { p.route["match"] = []object{{"path": []string{"/a", "/a/*", "/planted"}}} }, policy.Widened},
	{"public", func(p *planted) {
		p.api["public"] = true
		p.inside(2, 3, 4)
	}, policy.Widened},
	{"a limit is gone", func(p *planted) { p.inside(0, 1, 3, 4) }, policy.Widened},
	{"another audience", func(p *planted) { p.token["audiences"] = []string{"shared"} }, policy.Narrowed},
	{"a method more", func(p *planted) { p.api["methods"] = []string{"GET", "POST"} }, policy.Widened},
	{"written otherwise", func(p *planted) {
		p.route["match"] = []object{{"path": []string{"/a/*"}}, {"path": []string{"/a", "/a/*"}}}
	}, ""},
	{"a condition that always holds", func(p *planted) {
		p.route["match"] = []object{{"path": []string{"/a", "/a/*"}, "not": []object{{"path": []string{"/b"}}}}}
	}, ""},
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
	zone := object{"z": object{"window": 3600_000_000_000, "max_events": 1_000_000, "key": "{http.vars.client_ip}"}}
	p.api = object{"handler": "api", "name": "planted", "methods": []string{"GET"}, "routes": []object{
		{"handle": []object{p.token}},
		{"handle": []object{p.scope}},
		{"handle": []object{{"handler": "rate_limit", "rate_limits": zone}}},
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
