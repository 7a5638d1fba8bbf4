package policy

import "fmt"

// keys are what limits count by. Some have no value in some requests.
var keys = []string{
	"{http.vars.client_ip}", "{http.request.remote.host}", "{http.auth.client.id}", "{http.auth.user.id} {http.request.host}", "{http.auth.token.tier}",
	"{http.request.header.X-Flag}", "{http.request.uri.query.a}-{http.request.header.X-Mode}", "{http.api.name}{http.request.uri.path}", "all",
	"{http.request.uri.path.1}", "{http.request.uri.path.file}", "{http.regexp.named.1}", "{http.vars.mode}", "{http.request.method}",
}

// limits makes a route with a rate_limit.
func (g *generator) limits() object {
	r := object{"handle": []object{g.rateLimit()}}
	g.match(r)
	return r
}

func (g *generator) rateLimit() object {
	zones := object{}
	for range 1 + g.IntN(2) {
		g.zones++
		zones[fmt.Sprintf("z%d-%d", g.number, g.zones)] = g.zone()
	}
	return object{"handler": "rate_limit", "rate_limits": zones}
}

// zone makes a limit of any kind, whose window outlasts the test.
func (g *generator) zone() object {
	const day = 24 * 3600_000_000_000
	z := object{"max_events": g.events(), "key": one(g, keys)}
	switch kind := g.IntN(10); {
	case kind < 5:
		z["window"] = day
	case kind < 7:
		z["kind"], z["window"] = "gcra", day
		if g.chance(50) && !g.roomy { // a million a day would fill it up meanwhile
			z["burst"] = one(g, []int{2, 5, 20})
		}
	case kind < 9:
		z["kind"], z["period"] = "calendar", "month"
	default:
		z["kind"] = "concurrency"
	}
	if g.chance(40) {
		z["cost"] = g.cost(z["kind"] == "concurrency")
	}
	if g.chance(60) {
		z["empty_key"] = one(g, []string{"deny", "share", "skip"})
	}
	if g.chance(15) {
		z["shadow"] = true
	}
	if g.chance(20) {
		z["on_failure"] = one(g, []string{"share", "closed", "open"})
	}
	if g.chance(20) {
		z["ipv4_prefix"], z["ipv6_prefix"] = one(g, []int{8, 24, 32}), one(g, []int{32, 128})
	}
	if g.chance(30) {
		z["match"] = []object{g.set(1)}
	}
	return z
}

func (g *generator) cost(concurrent bool) object {
	switch kind := g.IntN(5); {
	case kind < 1:
		return object{"value": "2"}
	case kind < 2 && !concurrent:
		return object{"value": "2", "response_field": "X-Cost"}
	}
	c := object{"value": one(g, []string{"{http.request.uri.query.a}", "{http.request.header.X-Flag}", "1{http.request.header.X-Flag}", "{http.request.uri.query.b}", "{http.request.uri.path.1}"})}
	if g.chance(60) {
		c["default"] = one(g, []int{0, 1, 3})
	}
	return c
}

func (g *generator) events() int {
	if g.roomy {
		return 1_000_000
	}
	return one(g, []int{2, 3, 5, 20, 1000})
}
