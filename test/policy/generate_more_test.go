package policy

import "os"

// passing makes a handler that changes nothing about who gets where.
func (g *generator) passing() object {
	return one(g, []object{
		{"handler": "vars", "a": "b"}, {"handler": "push"}, {"handler": "templates"}, {"handler": "timeouts", "read_timeout": 60_000_000_000},
		{"handler": "encode", "encodings": object{"gzip": object{}}}, {"handler": "request_body", "max_size": 1_000_000},
		{"handler": "log_append", "key": "color", "value": "red"}, {"handler": "intercept"}, {"handler": "tracing", "span": "edge"},
		{"handler": "map", "source": "{http.request.uri.path}", "destinations": []string{"{kind}"}, "mappings": []object{{"input": "/a", "outputs": []string{"a"}}}},
		{"handler": "headers", "response": object{"set": object{"X-More": []string{"1"}}}},
	})
}

// believe has a server take some for proxies, whose word about the client counts.
func (g *generator) believe(server object) {
	if !g.chance(35) || g.roomy && g.chance(60) {
		return
	}
	source := object{"source": "static", "ranges": some(g, []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/64", "::/0"})}
	server["trusted_proxies"] = source
	if g.chance(50) {
		server["trusted_proxies_strict"] = 1
	}
	if g.chance(40) {
		server["client_ip_headers"] = one(g, [][]string{{"X-Real-Ip"}, {"x-real-ip", "X-Forwarded-For"}, {}})
	}
}

// published makes a route with what the edge says of itself, for a public API.
func (g *generator) published() object {
	r := object{"handle": []object{{"handler": one(g, []string{"resource_metadata", "resource_metadata", "assertion_keys"})}}}
	g.match(r)
	return r
}

// odd makes a handler that few configurations have.
func (g *generator) odd() object {
	return one(g, []object{
		{"handler": "copy_response"}, {"handler": "copy_response_headers", "exclude": []string{"X-Upstream"}}, {"handler": "static_response", "abort": true}, g.asking(), g.asking(),
		{"handler": "invoke", "name": "outer"}, {"handler": "invoke", "name": "nobody"},
	})
}

// asking makes one that asks a service, and has routes answer in its place.
func (g *generator) asking() object {
	p := g.proxy()
	p["handle_response"] = []object{{"routes": g.answers()}}
	return p
}

// intercept makes one that puts other answers in the place of some.
func (g *generator) intercept() object {
	var responses []object
	for range 1 + g.IntN(2) {
		r := object{}
		if g.chance(85) {
			r["match"] = object{"status_code": one(g, [][]int{{4}, {2, 403}, {404}, {5}, {200}, {401, 429}})}
		}
		if g.chance(25) {
			r["status_code"] = one(g, []any{418, "503"})
		} else {
			r["routes"] = g.answers()
		}
		responses = append(responses, r)
	}
	return object{"handler": "intercept", "handle_response": responses}
}

// answers makes routes for an answer: they give another one, or leave it as it is.
func (g *generator) answers() []object {
	r := object{"handle": []object{one(g, []object{
		g.proxy(), {"handler": "static_response", "status_code": 410, "headers": object{"X-Static": []string{"1"}}},
		{"handler": "static_response", "headers": object{"X-Static": []string{"1"}}}, {"handler": "vars", "a": "b"},
	})}}
	g.match(r)
	if g.chance(20) {
		r["terminal"] = true
	}
	return []object{r}
}

// opaque makes a handler that the model does not analyse, or not to the end.
func (g *generator) opaque() object {
	asking := g.proxy()
	asking["handle_response"] = []object{
		{"match": object{"status_code": []int{2}, "headers": one(g, []object{{}, {"X-Nobody": []string{}}})}, "routes": []object{
			{"handle": []object{one(g, []object{{"handler": "headers", "request": object{"delete": []string{"X-Flag"}}}, {"handler": "vars", "a": "b"}})}},
			{"handle": []object{one(g, []object{
				{"handler": "headers", "request": object{"set": object{"X-Mode": []string{"{http.reverse_proxy.header.X-Upstream}"}}}},
				{"handler": "copy_response"}, {"handler": "copy_response_headers", "exclude": []string{"X-Upstream"}}, {"handler": "rewrite", "method": "POST"},
			})}},
		}},
		{"status_code": 418},
	}
	return one(g, []object{
		asking, asking, asking,
		{"handler": "file_server", "root": os.DevNull, "pass_thru": true},
		{"handler": "authentication", "providers": object{"http_basic": object{"accounts": []object{{"username": "u", "password": knownHash}}}}},
		{"handler": "vars", "client_ip": "192.0.2.1"},
		{"handler": "headers", "request": object{"add": object{"X-Flag": []string{"x"}}}}, {"handler": "headers", "request": object{"delete": []string{"X-*"}}},
		{"handler": "headers", "request": object{"replace": object{"X-Mode": []object{{"search": "x", "replace": "y"}}}}},
		{"handler": "headers", "request": object{"set": object{"Host": []string{"other.test"}}}}, {"handler": "headers", "request": object{"set": object{"X-Flag": []string{"{http.request.header.X-Mode}"}}}},
		{"handler": "rewrite", "uri_substring": []object{{"find": "a", "replace": "b"}}}, {"handler": "rewrite", "path_regexp": []object{{"find": "^/users", "replace": "/admin"}}},
		{"handler": "rewrite", "query": object{"set": []object{{"key": "a", "val": "1"}}}}, {"handler": "rewrite", "uri": "/{http.request.host}"},
		{"handler": "rewrite", "method": "{http.request.header.X-Mode}"}, {"handler": "rewrite", "uri": "{http.matchers.file.relative}"},
		{"handler": "static_response", "status_code": "{http.request.header.X-Nobody}", "headers": object{"X-Static": []string{"1"}}},
		{"handler": "intercept", "handle_response": []object{{"match": object{"headers": object{"X-Upstream": []string{"0"}}}, "routes": g.answers()}}},
	})
}

// knownHash is a password's, of the least cost; nobody sends the password.
const knownHash = "$2a$04$SFZqDOQ3C5Dg4v2FS9NDpOqvJ0uYUmZtZ1nFhP1cQ0W7M8mR3VxdK"

// unsure makes a matcher that the model does not analyse.
func (g *generator) unsure() (string, any) {
	switch g.IntN(8) {
	case 0:
		return "expression", one(g, []string{"{http.request.method} == 'GET'", "path('/a*')", "{http.request.host} == 'edge.test'"})
	case 1:
		return "vars", object{"{http.request.method}": []string{"GET"}}
	case 2:
		return "vars_regexp", object{"{http.request.uri.path}": object{"pattern": "^/a"}}
	case 3:
		return "file", object{"root": os.DevNull, "try_files": []string{"{http.request.uri.path}"}}
	case 4:
		return "tls", object{"handshake_complete": true}
	case 5:
		return "url_pattern", object{"pattern": "/users/:id"}
	case 6:
		return "protocol", one(g, []string{"grpc", "http/1.1", "http/2+"})
	default:
		values := object{
			"path": []string{"/a%20b", "/{http.request.host}"}, "host": []string{"{http.request.header.X-Flag}"}, "method": []string{"{http.request.header.X-Mode}"},
			"header": object{"X-Flag": []string{"{http.request.header.X-Mode}"}}, "query": object{"a": []string{"{http.request.header.X-Flag}"}},
		}
		name := one(g, []string{"path", "host", "method", "header", "query"})
		return name, values[name]
	}
}
