package policy

import (
	"fmt"
	"strings"
)

// site makes a random Caddyfile, as operators write one: its directives come to the model as
// Caddy's adapter makes routes of them, in an order of its own.
func (g *generator) site() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin off\n\ttollgate {\n\t\torigin https://edge.test\n\t\tfailures off\n")
	for n, url := range []string{"https://one.test", "https://two.test"} {
		fmt.Fprintf(&b, "\t\tissuer %s {\n\t\t\taudience %s\n\t\t\tjwks_file %s\n\t\t}\n", url, []string{"api shared", "shared two"}[n], g.keys[n])
	}
	b.WriteString("\t}\n}\n(answer) {\n\theader X-Static 1\n\trespond {args[0]} {args[1]}\n}\n(forward) {\n\treverse_proxy {args[0]}\n}\n")
	b.WriteString("&(shared) {\n\theader X-Static 1\n\t@get method GET\n\trespond @get 202\n}\n")
	fmt.Fprintf(&b, "https://edge.test:8443, https://*.edge.test:8443 {\n\tlog\n%s", g.directives(2))
	if g.chance(50) {
		fmt.Fprintf(&b, "\thandle_errors %s{\n\t\theader X-Static 1\n\t\trespond %s\n\t}\n", one(g, []string{"", "404 ", "4xx "}), one(g, []string{"410", `"sorry"`}))
	}
	fmt.Fprintf(&b, "}\nhttps://other.test:8443 {\n\tlog\n%s}\n", g.directives(1))
	return b.String()
}

func (g *generator) directives(depth int) string {
	var b strings.Builder
	for range 2 + g.IntN(4) {
		b.WriteString(g.directive(depth))
	}
	return b.String()
}

// named gives a matcher of its own for a directive: its definition, and how it is used.
func (g *generator) named() (definition, use string) {
	switch g.IntN(5) {
	case 0:
		return "", ""
	case 1:
		return "", one(g, []string{"/a*", "/users/*", "/b", "*"}) + " "
	}
	g.groups++
	lines := one(g, []string{
		"method GET POST", "path /a* *.json\n\tmethod GET", "not path /users/*", "header X-Flag 1", "header !X-Mode", "query a=*", "remote_ip 10.0.0.0/8 192.0.2.1",
		"client_ip 2001:db8::/32", "protocol https", "path_regexp r ^/users/([a-z0-9-]+)$", "header_regexp X-Mode ^x", "host www.edge.test",
		"not {\n\tmethod GET\n\tpath /a*\n\t}", "expression {method} == 'GET'", "vars a b", "file /nobody",
	})
	return fmt.Sprintf("@m%d {\n\t%s\n}\n", g.groups, lines), fmt.Sprintf("@m%d ", g.groups)
}

func (g *generator) directive(depth int) string {
	definition, use := g.named()
	upstream := one(g, g.upstreams)
	block := func(name string) string {
		if depth == 0 {
			return fmt.Sprintf("import answer %d body\n", one(g, []int{200, 403}))
		}
		return fmt.Sprintf("%s {\n%s}\n", name, g.directives(depth-1))
	}
	with := func(text string) string { return definition + strings.ReplaceAll(text, "%s", use) }
	path := one(g, []string{"/a/*", "/users*", "/a*"})
	switch g.IntN(20) {
	case 0, 1:
		return definition + block("handle "+use)
	case 2:
		return block("handle_path " + path)
	case 3:
		return definition + block("route "+use)
	case 4, 5, 6:
		return definition + g.apiBlock(use)
	case 7:
		return fmt.Sprintf("%sreverse_proxy %s%s\n", definition, use, upstream)
	case 8:
		return "import forward " + upstream + "\n"
	case 9:
		return with(one(g, []string{"uri %sstrip_prefix /a\n", "uri %sstrip_suffix .json\n", "uri %sreplace a b\n", "uri %spath_regexp /users /b\n", "uri %squery a 1\n"}))
	case 10:
		return with(one(g, []string{"rewrite %s/users/7\n", "rewrite %s/a{path}\n", "method %sPOST\n", "try_files {path} /b\n"}))
	case 11:
		return with(one(g, []string{"respond %s403\n", "redir %shttps://edge.test/elsewhere\n", "error %s404\n", "abort %s\n"}))
	case 12:
		return with(one(g, []string{"request_header %sX-Flag 1\n", "request_header %s-X-Mode\n", "header %sX-More 1\n", "request_header %s+X-Flag x\n"}))
	case 13:
		return fmt.Sprintf("%sforward_auth %s%s {\n\turi /check\n\tcopy_headers X-Mode\n}\n", definition, use, upstream)
	case 14:
		return fmt.Sprintf("%sbasic_auth %s{\n\tuser %s\n}\n", definition, use, knownHash)
	case 15:
		return definition + "invoke " + use + "shared\n"
	case 16:
		return fmt.Sprintf("intercept {\n\t@bad status 4xx\n\t%s\n}\n", one(g, []string{"replace_status @bad 418", "handle_response @bad {\n\t\trespond 410\n\t}"}))
	case 17:
		return "map {path} {kind} {\n\t/a a\n\tdefault b\n}\n"
	case 18:
		return with(one(g, []string{"vars %sa b\n", "encode %sgzip\n", "templates %s\n", "request_body %s{\n\tmax_size 1MB\n}\n", "tracing {\n\tspan edge\n}\n", "log_append %scolor red\n", "push %s/a\n"}))
	default:
		return fmt.Sprintf("import answer %d body\n", one(g, []int{200, 204, 403}))
	}
}

func (g *generator) apiBlock(use string) string {
	if g.inAPI != nil {
		return "vars a b\n"
	}
	g.apis++
	g.inAPI = &object{}
	defer func() { g.inAPI = nil }()
	var b strings.Builder
	fmt.Fprintf(&b, "api site%d_%d %s{\n", g.number, g.apis, use)
	if g.chance(40) {
		b.WriteString("public\n")
	} else {
		b.WriteString("access_token\n")
		definition, use := g.named()
		fmt.Fprintf(&b, "%srequire %s{\n\t%s\n}\n", definition, use, one(g, []string{"scope read", "sender_constrained", "claim tier gold", "acr high"}))
	}
	if g.chance(30) {
		b.WriteString("methods GET POST\n")
	}
	b.WriteString(g.directives(1))
	b.WriteString("}\n")
	return b.String()
}
