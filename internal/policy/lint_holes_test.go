package policy

import (
	"strings"
	"testing"
)

// TestChecksLeaveNoHole has configurations that are as bad as those of
// TestEachCheckHasATripAndANearMiss, in another way of writing, and what only looks so.
func TestChecksLeaveNoHole(t *testing.T) {
	t.Parallel()
	const strict = `"match":[{"method":["POST"],"header":{"X-Strict":["yes"]}}]`
	at := func(match, handler string) string { return `{` + match + `,"handle":[` + handler + `]},` }
	limit := func(match string) string {
		return `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"key":"{http.auth.client.id}","window":"1m","max_events":5,"match":` + match + `}}}]},`
	}
	counted := func(options string) string {
		return `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"window":"1m","max_events":5,` + options + `}}}]},`
	}
	const need = `{"handler":"require","scopes":["x"],"dpop":true}`
	both := `"methods":["GET","POST"],`
	rewrite := `{"handle":[{"handler":"rewrite","method":"DELETE"}]},`
	op := `"match":[{"path":["/op"]}]`
	http3 := strings.Replace(site(post, fine), `"protocols":["h1","h2"],`, "", 1)
	server := func(text, member string) string { return strings.Replace(text, `"listen":`, member+`,"listen":`, 1) }
	verified := func(text string) string {
		return strings.Replace(text, `"tls_connection_policies":[{}]`, `"tls_connection_policies":[{"client_authentication":{"ca":{"provider":"file"}}}]`, 1)
	}
	option := func(member string) string {
		return strings.Replace(site(post, fine), `"issuers"`, member+`,"issuers"`, 1)
	}
	dial := func(address string) string { return proxy(address, `,"tls":{}`) }
	lookedUp := func(source string) string {
		return strings.Replace(dial("10.0.0.1:1"), `"upstreams":[{"dial":"10.0.0.1:1"}]`, `"dynamic_upstreams":{`+source+`}`, 1)
	}
	const files = `{"handle":[{"handler":"file_server"}]}`
	tryChecks(t, map[string]trial{
		"a scope with a header alone":          {"write-without-scope", site(post, token+at(strict, need)+limits+services), true},
		"a scope for all that write":           {"write-without-scope", site(both, token+at(`"match":[{"method":["POST"]}]`, need)+limits+services), false},
		"a scope for one of two that write":    {"write-without-scope", site(`"methods":["PUT","POST"],`, token+at(`"match":[{"method":["POST"]}]`, need)+limits+services), true},
		"a scope by either of two":             {"write-without-scope", site(post, token+at(`"match":[{"header":{"A":["b"]}},{"method":["POST","PUT"]}]`, need)+limits+services), false},
		"a scope by the operation's matcher":   {"write-without-scope", site(post, token+at(op, need)+limits+strings.Replace(services, `{`, `{`+op+`,`, 1)), false},
		"a scope by another matcher":           {"write-without-scope", site(post, token+at(op, need)+limits+services), true},
		"no scope for what nobody knows":       {"write-without-scope", site(post, token+limits+`{"handle":[{"handler":"exec"}]}`), true},
		"bound with a header alone":            {"money-unbound", money(token + scoped + at(strict, need) + limits + keyed), true},
		"bound for all that write":             {"money-unbound", money(token + scoped + at(`"match":[{"method":["POST"]}]`, need) + limits + keyed), false},
		"a limit with a header alone":          {"no-limit", site(post, token+scoped+limit(`[{"method":["POST"],"header":{"X":["y"]}}]`)+services), true},
		"a limit for writes, of what reads":    {"no-limit", site(get, token+scoped+limit(`[{"method":["POST"]}]`)+services), true},
		"a limit for one of two":               {"no-limit", site(both, token+scoped+limit(`[{"method":["POST"]}]`)+services), true},
		"a limit for both":                     {"no-limit", site(both, token+scoped+limit(`[{"method":["POST","GET"]}]`)+services), false},
		"no limit for what nobody knows":       {"no-limit", site(post, token+scoped+`{"handle":[{"handler":"exec"}]}`), true},
		"an idempotency key that is not":       {"money-without-idempotency", money(token + bound + limits + strings.Replace(keyed, `{"header":{"Idempotency-Key":["*"]}}`, `{"not":[{"header":{"Idempotency-Key":["*"]}}]}`, 1)), true},
		"an idempotency key that is absent":    {"money-without-idempotency", money(token + bound + limits + strings.Replace(keyed, `["*"]`, `null`, 1)), true},
		"an idempotency key, or none":          {"money-without-idempotency", money(token + bound + limits + strings.Replace(keyed, `"match":[`, `"match":[{"path":["/a"]},`, 1)), true},
		"an idempotency key by expression":     {"money-without-idempotency", money(token + bound + limits + strings.Replace(keyed, `"header":{"Idempotency-Key":["*"]}`, `"header_regexp":{"idempotency-key":{"pattern":"."}}`, 1)), false},
		"a read that is sent as a write":       {"public-write", site(`"public":true,`+get, limits+rewrite+services), true},
		"a read that is now and then":          {"public-write", site(`"public":true,`+get, limits+at(op, `{"handler":"rewrite","method":"DELETE"}`)+services), true},
		"a read that the proxy sends as one":   {"public-write", site(`"public":true,`+get, limits+strings.Replace(services, `"upstreams"`, `"rewrite":{"method":"POST"},"upstreams"`, 1)), true},
		"a read that is sent as a read":        {"public-write", site(`"public":true,`+get, limits+strings.Replace(services, `"upstreams"`, `"rewrite":{"method":"HEAD"},"upstreams"`, 1)), false},
		"a write for what nobody knows":        {"public-write", site(`"public":true,`+post, limits+`{"handle":[{"handler":"exec"}]}`), true},
		"a write that no method is left for":   {"public-write", site(`"public":true,`+get, limits+strings.Replace(services, `{`, `{"match":[{"method":["POST"]}],`, 1)), false},
		"files, which are only read":           {"public-write", site(`"public":true,`, limits+`{"handle":[{"handler":"file_server"}]}`), false},
		"a limit by a number of its own":       {"limit-by-choice", zone(`"key":"{http.request.uuid}"`), true},
		"a limit by the connection":            {"limit-by-choice", zone(`"key":"{http.request.remote}"`), true},
		"a limit by what vars has set":         {"limit-by-choice", zone(`"key":"{http.vars.x}"`), true},
		"a limit by each token":                {"limit-by-choice", zone(`"key":"{http.auth.token.jti}"`), true},
		"a limit by a claim":                   {"limit-by-choice", zone(`"key":"{http.auth.token.tenant}"`), false},
		"a limit by a part that is chosen":     {"limit-by-choice", zone(`"key":"{http.auth.client.id} {http.request.uri.path}"`), true},
		"a limit by an address":                {"limit-by-choice", zone(`"key":"{http.vars.client_ip} {http.request.method}"`), false},
		"a limit by any certificate":           {"limit-by-choice", zone(`"key":"{http.request.tls.client.fingerprint}"`), true},
		"a limit by a certificate":             {"limit-by-choice", verified(zone(`"key":"{http.request.tls.client.fingerprint}"`)), false},
		"a cost by what vars has set":          {"cost-by-choice", zone(`"key":"all","cost":{"value":"{http.vars.x}"}`), true},
		"a cost with something before it":      {"cost-by-choice", zone(`"key":"all","cost":{"value":"0{http.request.header.X}"}`), true},
		"a cost by a claim":                    {"cost-by-choice", zone(`"key":"all","cost":{"value":"{http.auth.token.weight}"}`), false},
		"a service by a header":                {"upstream-by-choice", dial("{http.request.header.X-To}"), true},
		"a service by a part of its name":      {"upstream-by-choice", dial("{http.request.uri.query.tenant}.test:443"), true},
		"a service by the environment":         {"upstream-by-choice", dial("{env.SERVICE}:443"), false},
		"a service by a claim":                 {"upstream-by-choice", dial("{http.auth.token.tenant}.test:443"), false},
		"a service by a header, looked up":     {"upstream-by-choice", lookedUp(`"source":"a","name":"{http.request.header.X-To}","port":"443"`), true},
		"a service by a name, looked up":       {"upstream-by-choice", lookedUp(`"source":"multi","sources":[{"source":"srv","name":"{http.request.host}"}]`), true},
		"a service by a claim, looked up":      {"upstream-by-choice", lookedUp(`"source":"a","name":"{http.auth.token.tenant}.test","port":"443"`), false},
		"a service behind any proxy":           {"upstream-by-choice", proxy("10.0.0.1:1", `,"forward_proxy_url":"http://{http.request.header.X-Via}"`), true},
		"a service behind any network proxy":   {"upstream-by-choice", proxy("10.0.0.1:1", `,"network_proxy":{"from":"url","url":"http://{http.request.header.X-Via}"}`), true},
		"a service behind one proxy":           {"upstream-by-choice", proxy("10.0.0.1:1", `,"network_proxy":{"from":"url","url":"http://{env.VIA}"}`), false},
		"a folder by a variable":               {"folder-by-choice", readOnly(handle(`{"handler":"vars","root":"/srv/{http.request.cookie.a}"}`) + "," + files), true},
		"a folder by a variable, now and then": {"folder-by-choice", readOnly(at(op, `{"handler":"vars","root":"{http.request.header.A}"}`) + files), true},
		"a folder by a name, of any host":      {"folder-by-choice", readOnly(handle(`{"handler":"vars","root":"/srv/{http.request.host}"}`) + "," + files), true},
		"a folder by a name, of one":           {"folder-by-choice", strings.Replace(readOnly(handle(`{"handler":"vars","root":"/srv/{http.request.host}"}`)+","+files), `{"handle":[{"handler":"api"`, `{"match":[{"host":["a.test"]}],"handle":[{"handler":"api"`, 1), false},
		"a folder of its own, beside that":     {"folder-by-choice", readOnly(handle(`{"handler":"vars","root":"{http.request.header.A}"}`) + "," + handle(`{"handler":"file_server","root":"/srv"}`)), false},
		"a file by a parameter":                {"path-by-choice", readOnly(at(`"match":[{"file":{"try_files":["{http.request.uri.query.p}"]}}]`, `{"handler":"rewrite","uri":"{http.matchers.file.relative}"}`) + files), true},
		"a file by its path":                   {"path-by-choice", readOnly(at(`"match":[{"file":{"try_files":["{http.request.uri.path}","/index.html"]}}]`, `{"handler":"rewrite","uri":"{http.matchers.file.relative}"}`) + files), false},
		"a path by the proxy's own":            {"path-by-choice", readOnly(upstream(`,"rewrite":{"uri":"/{http.request.header.A}"}`)), true},
		"a path by itself":                     {"path-by-choice", readOnly(rewritten2("/a{http.request.uri}")), false},
		"a Host, in front":                     {"host-by-choice", readOnly(handle(`{"handler":"headers","request":{"set":{"host":["{http.request.cookie.a}.test"]}}}`) + "," + services), true},
		"a Host of a token":                    {"host-by-choice", readOnly(headerUp(`"set":{"Host":["{http.auth.token.tenant}.test"]}`)), false},
		"another field":                        {"host-by-choice", readOnly(headerUp(`"set":{"X-Host":["{http.request.header.A}"]}`)), false},
		"sent away by a part of the host":      {"open-redirect", readOnly(redir("https://a.test{http.request.uri.query.u}/x")), true},
		"sent away without a scheme":           {"open-redirect", readOnly(redir("/{http.request.uri.query.u}")), true},
		"sent away by a field":                 {"open-redirect", readOnly(handle(`{"handler":"headers","response":{"set":{"location":["{http.request.uri.query.u}"]}}},{"handler":"static_response","status_code":302}`)), true},
		"sent to the same host":                {"open-redirect", readOnly(redir("https://{http.request.host}{http.request.uri}")), false},
		"sent to a path":                       {"open-redirect", readOnly(redir("/x/{http.request.uri.query.u}")), false},
		"sent away by a network":               {"open-redirect", readOnly(redir("https://{env.DOMAIN}/{http.request.header.A}")), false},
		"a secret in a field":                  {"secret-told", readOnly(handle(`{"handler":"headers","response":{"set":{"X-Key":["{file./etc/key}"]}}}`) + "," + services), true},
		"a secret in a field of the proxy's":   {"secret-told", readOnly(upstream(`,"headers":{"response":{"set":{"X-Key":["{env.KEY}"]}}}`)), true},
		"a secret in a refusal":                {"secret-told", edge(handle(`{"handler":"static_response","status_code":404,"body":"{env.KEY}"}`)), true},
		"a secret of a template":               {"secret-told", readOnly(handle(`{"handler":"templates"},{"handler":"static_response","body":"{{env \"KEY\"}}"}`)), true},
		"a secret for the service":             {"secret-told", readOnly(headerUp(`"set":{"X-Key":["{env.KEY}"]}`)), false},
		"a template that asks by a field":      {"template-by-choice", readOnly(handle(`{"handler":"templates"},{"handler":"static_response","body":"{{.Req.Header.Get \"X\" | httpInclude}}"}`)), true},
		"a template that tells a field":        {"template-by-choice", readOnly(handle(`{"handler":"templates"},{"handler":"static_response","body":"{{.Req.Header.Get \"X\"}}"}`)), false},
		"a template that asks by itself":       {"template-by-choice", readOnly(handle(`{"handler":"templates"},{"handler":"static_response","body":"{{httpInclude \"/a\"}}"}`)), false},
		"a template behind another answer":     {"template-by-choice", readOnly(at(op, `{"handler":"templates"},{"handler":"static_response","body":"a"}`) + handle(`{"handler":"static_response","body":"{http.request.uri.query.q}"}`)), false},
		"services that are looked up":          {"plain-upstream", strings.Replace(proxy("10.0.0.1:1", ""), `"upstreams":[{"dial":"10.0.0.1:1"}]`, `"dynamic_upstreams":{"source":"a"}`, 1), true},
		"services that are looked up, by TLS":  {"plain-upstream", strings.Replace(dial("10.0.0.1:1"), `"upstreams":[{"dial":"10.0.0.1:1"}]`, `"dynamic_upstreams":{"source":"a"}`, 1), false},
		"a port of this machine":               {"plain-upstream", proxy(":8080", ""), false},
		"the admin API by its port":            {"admin-reachable", proxy(":2019", ""), true},
		"the admin API by no address":          {"admin-reachable", proxy("0.0.0.0:2019", ""), true},
		"the admin API by its socket":          {"admin-reachable", strings.Replace(proxy("unix//run/admin", ""), "{", `{"admin":{"listen":"unix//run/admin|0200"},`, 1), true},
		"the admin API by its socket and h2c":  {"admin-reachable", strings.Replace(proxy("unix+h2c//run/admin", ""), "{", `{"admin":{"listen":"unix//run/admin"},`, 1), true},
		"everybody as a proxy":                 {"proxy-is-anybody", server(site(post, fine), `"trusted_proxies":{"source":"static","ranges":["0.0.0.0/0"]}`), true},
		"everybody in two halves":              {"proxy-is-anybody", server(site(post, fine), `"trusted_proxies":{"source":"static","ranges":["8000::/1","::/1"]}`), true},
		"private networks as proxies":          {"proxy-is-anybody", server(site(post, fine), `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8","fd00::/8"]}`), false},
		"early data":                           {"early-data", server(http3, `"allow_0rtt":true`), true},
		"no early data":                        {"early-data", server(http3, `"allow_0rtt":false`), false},
		"early data as nobody says it is off":  {"early-data", http3, true},
		"HTTP/3 on one listener":               {"early-data", server(site(post, fine), `"listen_protocols":[["h1","h3"]]`), true},
		"early data of nobody":                 {"early-data", server(site(post, fine), `"allow_0rtt":true`), false},
		"the first of several clients":         {"client-by-choice", server(site(post, fine), `"trusted_proxies":{"source":"cloud"}`), true},
		"a field of the proxy's own":           {"client-by-choice", server(site(post, fine), `"trusted_proxies":{"source":"cloud"},"client_ip_headers":["CF-Connecting-IP"]`), false},
		"a field that nobody believes":         {"client-by-choice", server(site(post, fine), `"trusted_proxies":{"source":"static"}`), false},
		"failures off":                         {"guesses-unlimited", option(`"failures":{"off":true}`), true},
		"failures":                             {"guesses-unlimited", option(`"failures":{}`), false},
		"stale open":                           {"stale-revocations", option(`"redis":"redis://r","revocations":{"stale":"open"}`), true},
		"stale open, without Redis":            {"stale-revocations", option(`"revocations":{"stale":"open"}`), false},
		"a limit by each of a /64":             {"limit-by-choice", zone(`"key":"{http.vars.client_ip}","ipv6_prefix":128`), true},
		"a limit by each /64":                  {"limit-by-choice", zone(`"key":"{http.vars.client_ip}","ipv6_prefix":64`), false},
		"a limit that nobody is counted in":    {"no-limit", site(`"public":true,`+get, counted(`"key":"{http.auth.client.id}","empty_key":"skip"`)+services), true},
		"a limit that all are counted in":      {"no-limit", site(get, token+counted(`"key":"{http.auth.client.id}","empty_key":"skip"`)+services), false},
		"a limit that costs nothing":           {"no-limit", site(get, token+counted(`"key":"{http.auth.client.id}","cost":{"value":"0"}`)+services), true},
		"a limit that costs afterwards":        {"no-limit", site(get, token+counted(`"key":"{http.auth.client.id}","cost":{"value":"0","response_field":"X-Cost"}`)+services), false},
		"Redis over TLS":                       {"plain-redis", option(`"redis":"rediss://10.0.0.5:6379"`), false},
		"a cluster of Redis":                   {"plain-redis", option(`"redis":"redis://127.0.0.1:6379?addr=10.0.0.6:6379"`), true},
		"Redis at a socket":                    {"plain-redis", option(`"redis":"unix:///run/redis.sock"`), false},
		"not analysed, in one of two":          {"not-analysed", site(post, fine[:len(fine)-len(services)]+strings.Replace(services, `{`, `{"match":[{"path":["/a"]},{"expression":"true"}],`, 1)), true},
		"not analysed, within not":             {"not-analysed", site(post, fine[:len(fine)-len(services)]+strings.Replace(services, `{`, `{"match":[{"not":[{"expression":"true"}]}],`, 1)), true},
	})
}
