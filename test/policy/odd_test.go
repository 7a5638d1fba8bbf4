package policy

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// matched has the first service answer where a set of matchers does, and nobody else.
func matched(set string) string {
	return `"routes":[` + strings.Replace(toFirst, `{`, `{"match":[`+set+`],`, 1) + `,` + forbidden + `]`
}

// after has handlers in front of that.
func after(handlers, set string) string {
	return strings.Replace(matched(set), `[`, `[{"handle":[`+handlers+`]},`, 1)
}

const (
	forbidden  = `{"handle":[{"handler":"static_response","status_code":403}]}`
	numbered   = `{"handler":"map","source":"x","destinations":["{1}"],"defaults":["DEFAULT"]}`
	flagIsZ    = `{"header":{"X-Flag":["z"]}}`
	proxied    = `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]},`
	setNothing = `{"handler":"headers","request":{"set":{"X-A":["1"]}}}`
)

// odd are configurations that hardly anybody writes, each with a request that the edge lets in.
var odd = []struct {
	name, server string
	request      policy.Request
}{
	{"a host that is not ASCII", matched(`{"host":["bücher.test"]}`), policy.Request{Host: "xn--bcher-kva.test"}},
	{"a placeholder that is a number", matched(`{"path":["/foo{1}"]}`), policy.Request{Target: "/foo"}},
	{"a placeholder with a space", matched(`{"path":["/foo{http.request.uri.query.a b}"]}`), policy.Request{Target: "/foo"}},
	{"a placeholder without a name", matched(`{"path":["/foo{}"]}`), policy.Request{Target: "/foo"}},
	{"a placeholder of a header's value", matched(`{"header":{"X-Flag":["{}"]}}`), policy.Request{Header: http.Header{"X-Flag": {""}}}},
	{"braces that are escaped in JSON", matched(`{"path":["/foo\u007bhttp.request.uri.query.a\u007d"]}`), policy.Request{Target: "/foo"}},
	{"a field by a map's number", after(strings.Replace(numbered, "DEFAULT", "z", 1)+`,{"handler":"headers","request":{"set":{"X-Flag":["{1}"]}}}`, flagIsZ), policy.Request{}},
	{"a field's name by a map's number", after(strings.Replace(numbered, "DEFAULT", "X-Flag", 1)+`,{"handler":"headers","request":{"set":{"{1}":["z"]}}}`, flagIsZ), policy.Request{}},
	{"the Host by a map's number", after(strings.Replace(numbered, "DEFAULT", "Host", 1)+`,{"handler":"headers","request":{"set":{"{1}":["z.test"]}}}`, `{"host":["z.test"]}`), policy.Request{}},
	{"early hints", `"routes":[{"handle":[{"handler":"static_response","status_code":103}]},` + toFirst + `]`, policy.Request{}},
	{"an error of a status from the request", `"routes":[{"handle":[{"handler":"error","status_code":"{http.request.header.X-Flag}"}]}]` + errorsLead("402"), policy.Request{Header: http.Header{"X-Flag": {"402"}}}},
	{"an answer of a status from the request", `"routes":[{"handle":[{"handler":"static_response","status_code":"{http.request.header.X-Flag}"}]}]` + errorsLead("500"), policy.Request{}},
	{"an answer of a status that is none", `"routes":[{"handle":[{"handler":"static_response","status_code":"x"}]}]` + errorsLead("500"), policy.Request{}},
	{"statuses of other lengths", `"routes":[{"handle":[{"handler":"error","status_code":404}]}],"errors":{"routes":[` + strings.Replace(toFirst, `{`, `{"match":[{"expression":"{http.error.status_code} >= 50 && {http.error.status_code} <= 1000"}],`, 1) + `]}`, policy.Request{}},
	{"many named routes", `"named_routes":{"n":{"handle":[` + setNothing + `]}},"routes":[{"handle":[` + strings.Repeat(`{"handler":"invoke","name":"n"},`, 101) + setNothing + `]},` + toFirst + `]`, policy.Request{}},
	{"more named routes than are followed", `"named_routes":{"n":{"handle":[` + setNothing + `]}},"routes":[{"handle":[` + strings.Repeat(`{"handler":"invoke","name":"n"},`, 1001) + setNothing + `]},` + toFirst + `]`, policy.Request{}},
	{"a Host with a port", after(setNothing, `{"not":[{"header":{"Host":["edge.test"]}}]}`), policy.Request{Host: "edge.test:8443"}},
	{"a Host with a port, among fields", after(setNothing, `{"header":{"Host":["edge.test:8443"]}}`), policy.Request{Host: "edge.test:8443"}},
	{"an address as Host", matched(`{"host":["::1"]}`), policy.Request{Host: "[::1]:8443"}},
	{"a name with a port, in brackets", matched(`{"host":["edge.test:8443"]}`), policy.Request{Host: "[edge.test:8443]"}},
	{"a port that a handler looks for", after(`{"handler":"headers","request":{"replace":{"Host":[{"search_regexp":"^(.*):9000$","replace":"$1.internal"}]}}}`, `{"host":["edge.test.internal"]}`), policy.Request{Host: "edge.test:9000"}},
	{"a port in a path", after(`{"handler":"rewrite","uri":"/{http.request.hostport}"}`, `{"path":["/edge.test:8443"]}`), policy.Request{Host: "edge.test:8443"}},
	{"a proxy and its client", proxied + matched(`{"remote_ip":{"ranges":["10.0.0.1"]},"client_ip":{"ranges":["192.0.2.7"]}}`), policy.Request{Remote: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X-Forwarded-For": {"192.0.2.7"}}}},
	{"the first of several clients", proxied + matched(`{"client_ip":{"ranges":["192.0.2.7"]}}`), policy.Request{Remote: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X-Forwarded-For": {"nobody, 192.0.2.7:1", "198.51.100.1"}}}},
	{"the last client that is no proxy", `"trusted_proxies_strict":1,` + proxied + matched(`{"client_ip":{"ranges":["198.51.100.1"]}}`), policy.Request{Remote: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X-Forwarded-For": {"192.0.2.7", "198.51.100.1, 10.0.0.9, x"}}}},
	{"a proxy that says nothing", proxied + matched(`{"client_ip":{"ranges":["10.0.0.1"]}}`), policy.Request{Remote: netip.MustParseAddr("10.0.0.1")}},
	{"a field that is dropped, of a proxy", `"client_ip_headers":["x_real_ip"],` + proxied + matched(`{"client_ip":{"ranges":["192.0.2.7"]}}`), policy.Request{Remote: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X_real_ip": {"192.0.2.7"}}}},
	{"a client's address that a service is told", proxied + after(`{"handler":"headers","request":{"set":{"X-Flag":["{http.vars.client_ip}"]}}}`, `{"header":{"X-Flag":["192.0.2.7"]}}`), policy.Request{Remote: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X-Forwarded-For": {"192.0.2.7"}}}},
	{"a field with an underscore", after(setNothing, `{"not":[{"header":{"X_Flag":["1"]}}]}`), policy.Request{Header: http.Header{"X_flag": {"1"}}}},
	{"a field with a dot", after(setNothing, `{"not":[{"header":{"X.Flag":["1"]}}]}`), policy.Request{Header: http.Header{"X.flag": {"1"}}}},
	{"a field with an underscore that is expected", `"expected_underscore_headers":["X_Fl*"],` + matched(`{"header":{"X_Flag":["1"]}}`), policy.Request{Header: http.Header{"X_flag": {"1"}}}},
	{"a field with a hyphen where another is expected", `"expected_underscore_headers":["X_Fl*"],` + after(setNothing, `{"not":[{"header":{"X-Flag":["1"]}}]}`), policy.Request{Header: http.Header{"X-Flag": {"1"}}}},
	{"a subroute with nothing but error routes", `"routes":[{"handle":[{"handler":"subroute","errors":{"routes":[` + forbidden + `]}},{"handler":"error","status_code":404}]}]` + errorsLead("404"), policy.Request{}},
	{"an expression with an escaped brace", after(`{"handler":"headers","request":{"replace":{"X-Flag":[{"search_regexp":"^\\{a","replace":"z"}]}}}`, flagIsZ), policy.Request{Header: http.Header{"X-Flag": {"{a"}}}},
	{"a field that an API has taken away, at a second one", `"routes":[{"handle":[{"handler":"api","name":"planted","strip":["X-Flag"],"routes":[{"handle":[{"handler":"access_token"}]}]}]}],"errors":{"routes":[{"handle":[{"handler":"api","name":"second","public":true,"routes":[` +
		strings.Replace(toFirst, `{`, `{"match":[{"header":{"X-Flag":null}}],`, 1) + `]}]}]}`, policy.Request{Header: http.Header{"X-Flag": {"z"}}}},
	{"the Host that the same handler sets", after(`{"handler":"headers","request":{"set":{"Host":["y"]},"replace":{"X-Flag":[{"search_regexp":"^a$","replace":"{http.request.host}"}]}}}`, flagIsZ), policy.Request{Host: "z", Header: http.Header{"X-Flag": {"a"}}}},
	{"an expression that counts", after(`{"handler":"headers","request":{"replace":{"X-Flag":[{"search_regexp":"^a{2}$","replace":"z"}]}}}`, flagIsZ), policy.Request{Header: http.Header{"X-Flag": {"aa"}}}},
	{"an expression that is filled in", after(`{"handler":"headers","request":{"replace":{"X-Flag":[{"search_regexp":"^{http.request.method}$","replace":"z"}]}}}`, flagIsZ), policy.Request{Header: http.Header{"X-Flag": {"GET"}}}},
	{"an address with a zone", matched(`{"remote_ip":{"ranges":["fe80::/10"]}}`), policy.Request{Remote: netip.MustParseAddr("fe80::1%eth0")}},
	{"a cost of more than a limit in shadow holds", after(`{"handler":"rate_limit","rate_limits":{"a":{"key":"x","window":"1m","max_events":5,"cost":{"value":"{http.request.header.X-Cost}"},"shadow":true},"b":{"key":"y","window":"1m","max_events":5}}}`, `{}`), policy.Request{Header: http.Header{"X-Cost": {"6"}}}},
	{"a parameter without a name", after(`{"handler":"rewrite","query":{"delete":["{http.request.uri.query.z}"]}}`, `{"query":{"":["1"]}}`), policy.Request{Target: "/a?=1"}},
}

// TestLeewayIsKnown has a token that is let in after its end.
func TestLeewayIsKnown(t *testing.T) {
	w := newWorld(t)
	api := `"routes":[{"handle":[{"handler":"api","name":"planted","routes":[{"handle":[{"handler":"access_token"}]},` + toFirst + `]}]}]`
	config := bytes.ReplaceAll(w.server("{"+api+"}"), []byte(`"url":"https://one.test"`), []byte(`"leeway":"1m","url":"https://one.test"`))
	end := time.Now().Add(-20 * time.Second)
	m := plain(policy.Request{Token: &policy.Token{Issuer: "https://one.test", Audience: []string{"api"}, Algorithm: w.issuers[0].Key().Algorithm, Expires: end}, SentAs: policy.Bearer})
	r := w.parsed(&m)
	r.Header.Set("Authorization", "Bearer "+w.issuers[0].Token(tokentest.Claim("aud", "api"), tokentest.Claim("exp", end.Unix())))
	if got := w.answerTo(config, r); got.Header().Get("X-Upstream") == "" {
		t.Fatalf("the edge does not let the token in: %d %s", got.Code, got.Reason)
	}
	model, err := policy.Parse(config)
	if err != nil {
		t.Fatal(err)
	}
	if all := model.Evaluate(model.Servers[0], m, &policy.Judge{Now: time.Now()}); !all[0].Admits() {
		t.Errorf("the model does not: %s", all[0].String())
	}
}

// TestOddConfigurations wants of the model to know each way in that the edge has.
func TestOddConfigurations(t *testing.T) {
	w := newWorld(t)
	for _, c := range odd {
		config := w.server("{" + c.server + "}")
		if strings.Contains(c.server, `\u007b`) {
			config = []byte(strings.NewReplacer("foo{", `foo\u007b`, "query.a}", `query.a\u007d`).Replace(string(config)))
		}
		m := plain(c.request)
		upstream := w.answerTo(config, w.parsed(&m)).Header().Get("X-Upstream")
		if upstream == "" {
			t.Errorf("%s: the edge does not let the request in", c.name)
		}
		model, err := policy.Parse(config)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		known := false
		all := model.Evaluate(model.Servers[0], m, &policy.Judge{Now: time.Now()})
		for _, o := range all {
			known = known || o.Kind == policy.Forwarded && w.nameOf(o.Upstreams[0]) == upstream
		}
		if !known {
			t.Errorf("%s: the model does not know of a way in: %+v\n%s", c.name, all, config)
		}
	}
}
