package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// site makes a configuration of the handlers of one API, and of what else is said.
func site(api, handlers string) string {
	return edge(fmt.Sprintf(`{"handle":[{"handler":"api","name":"pay",%s"routes":[%s]}]}`, api, handlers))
}

func edge(routes string) string {
	return with(routes, `"protocols":["h1","h2"],"listen":["127.0.0.1:443"],"tls_connection_policies":[{}]`, `"audiences":["a"]`, "")
}

func with(routes, server, issuer, more string) string {
	return fmt.Sprintf(`{%s"apps":{"http":{"servers":{"s":{%s,"routes":[%s]}}},"tollgate":{"audit":{"dir":"/a"},"issuers":[{"url":"https://i",%s}]}}}`, more, server, routes, issuer)
}

const (
	token    = `{"handle":[{"handler":"access_token"}]},`
	scoped   = `{"handle":[{"handler":"require","scopes":["x"]}]},`
	bound    = `{"handle":[{"handler":"require","scopes":["x"],"dpop":true}]},`
	limits   = `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"key":"{http.auth.client.id}","window":"1m","max_events":5}}}]},`
	services = `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]}`
	keyed    = `{"match":[{"header":{"Idempotency-Key":["*"]}}],"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]}`
	post     = `"methods":["POST"],`
	get      = `"methods":["GET"],`
)

func money(handlers string) string {
	return strings.Replace(site(post, handlers), `"name":"pay"`, `"name":"payments"`, 1)
}

func proxy(upstream, transport string) string {
	return site(post, token+scoped+limits+`{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"`+upstream+`"}],"transport":{"protocol":"http"`+transport+`}}]}`)
}

func zone(options string) string {
	return money(token + bound + `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"window":"1m","max_events":5,` + options + `}}}]},` + keyed)
}

func clientCertificate(proxies string, trusted bool) string {
	text := strings.Replace(site(post, token+scoped+limits+services), `"issuers"`, `"client_certificate":{"header":"Client-Cert","proxies":["`+proxies+`"]},"issuers"`, 1)
	if trusted {
		text = strings.Replace(text, `"routes"`, `"trusted_proxies":{"source":"static","ranges":["10.0.0.7"]},"routes"`, 1)
	}
	return text
}

// readOnly is an API with nothing else to find.
func readOnly(routes string) string { return site(get, token+limits+routes) }

func redir(to string) string {
	return handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["` + to + `"]}}`)
}

func rewritten2(uri string) string {
	return handle(`{"handler":"rewrite","uri":"`+uri+`"}`) + "," + services
}

const fine = token + scoped + limits + services

func TestEachCheckHasATripAndANearMiss(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ trips, misses string }{
		"public-write":                 {site(`"public":true,`+post, limits+services), site(`"public":true,`+get, limits+services)},
		"outside-api":                  {edge(services), edge(`{"handle":[{"handler":"static_response","status_code":404}]}`)},
		"weak-algorithm":               {with("", `"listen":[]`, `"audiences":["a"],"algorithms":["ES256","RS256"]`, ""), with("", `"listen":[]`, `"audiences":["a"],"algorithms":["PS256"]`, "")},
		"no-audience":                  {with("", `"listen":[]`, `"audiences":[]`, ""), edge("")},
		"write-without-scope":          {site(post, token+limits+services), site(get, token+limits+services)},
		"money-unbound":                {money(token + scoped + limits + keyed), money(token + bound + limits + keyed)},
		"no-limit":                     {site(post, token+scoped+services), site(post, fine)},
		"money-without-idempotency":    {money(token + bound + limits + services), money(token + bound + limits + keyed)},
		"limit-by-choice":              {zone(`"key":"{http.request.header.X-App}"`), zone(`"key":"{http.auth.client.id}"`)},
		"cost-by-choice":               {zone(`"key":"all","cost":{"value":"{http.request.header.X-Cost}"}`), zone(`"key":"all","cost":{"value":"1","response_field":"X-Cost"}`)},
		"upstream-by-choice":           {proxy("{http.request.header.X-To}", `,"tls":{}`), proxy("{env.TO}", `,"tls":{}`)},
		"folder-by-choice":             {readOnly(handle(`{"handler":"file_server","root":"{http.request.header.X-Root}"}`)), readOnly(handle(`{"handler":"file_server","root":"{env.ROOT}"}`))},
		"path-by-choice":               {readOnly(rewritten2("{http.request.uri.query.u}")), readOnly(rewritten2("/index?p={http.request.uri.query.u}"))},
		"host-by-choice":               {readOnly(headerUp(`"set":{"Host":["{http.request.header.X-Up}"]}`)), readOnly(headerUp(`"set":{"Host":["{http.request.host}"]}`))},
		"open-redirect":                {readOnly(redir("{http.request.uri.query.u}")), readOnly(redir("https://a.test/?u={http.request.uri.query.u}"))},
		"secret-told":                  {readOnly(handle(`{"handler":"static_response","body":"{env.KEY}"}`)), readOnly(redir("https://{env.DOMAIN}/"))},
		"template-by-choice":           {readOnly(handle(`{"handler":"templates"},{"handler":"static_response","body":"{http.request.uri.query.q}"}`)), readOnly(handle(`{"handler":"static_response","body":"{http.request.uri.query.q}"}`))},
		"proxy-is-anybody":             {strings.Replace(site(post, fine), `"routes"`, `"trusted_proxies":{"source":"static","ranges":["0.0.0.0/0"]},"routes"`, 1), strings.Replace(site(post, fine), `"routes"`, `"trusted_proxies":{"source":"static","ranges":["203.0.113.0/24"]},"routes"`, 1)},
		"early-data":                   {strings.Replace(site(post, fine), `"protocols":["h1","h2"],`, "", 1), site(post, fine)},
		"client-by-choice":             {clientCertificate("10.0.0.7/32", true), strings.Replace(clientCertificate("10.0.0.7/32", true), `"routes"`, `"trusted_proxies_strict":1,"routes"`, 1)},
		"guesses-unlimited":            {strings.Replace(site(post, fine), `"issuers"`, `"failures":{"off":true},"issuers"`, 1), site(post, fine)},
		"stale-revocations":            {strings.Replace(site(post, fine), `"issuers"`, `"redis":"redis://r","revocations":{"stale":"open"},"issuers"`, 1), strings.Replace(site(post, fine), `"issuers"`, `"redis":"redis://r","issuers"`, 1)},
		"credentials-logged":           {strings.Replace(site(post, fine), `"routes"`, `"logs":{"should_log_credentials":true},"routes"`, 1), strings.Replace(site(post, fine), `"routes"`, `"logs":{},"routes"`, 1)},
		"loose-sni":                    {strings.Replace(site(post, fine), `"tls_connection_policies":[{}]`, `"strict_sni_host":false,"tls_connection_policies":[{"client_authentication":{"ca":{"provider":"file"}}},{}]`, 1), strings.Replace(site(post, fine), `"tls_connection_policies":[{}]`, `"tls_connection_policies":[{"client_authentication":{"ca":{"provider":"file"}}},{}]`, 1)},
		"plain-redis":                  {strings.Replace(site(post, fine), `"issuers"`, `"redis":"redis://10.0.0.5:6379","issuers"`, 1), strings.Replace(site(post, fine), `"issuers"`, `"redis":"redis://127.0.0.1:6379","issuers"`, 1)},
		"open-limit-on-money":          {zone(`"key":"all","on_failure":"open"`), zone(`"key":"all","on_failure":"share"`)},
		"certificate-header-untrusted": {clientCertificate("10.0.0.0/8", true), clientCertificate("10.0.0.7/32", true)},
		"plain-upstream":               {proxy("10.1.1.1:80", ""), proxy("10.1.1.1:443", `,"tls":{}`)},
		"insecure-upstream":            {proxy("10.1.1.1:443", `,"tls":{"insecure_skip_verify":true}`), proxy("10.1.1.1:443", `,"tls":{}`)},
		"admin-reachable":              {`{"admin":{"listen":"0.0.0.0:2019"}}`, `{"admin":{"listen":"localhost:2019"}}`},
		"old-tls":                      {with("", `"listen":[],"tls_connection_policies":[{"protocol_min":"tls1.1"}]`, `"audiences":["a"]`, ""), with("", `"listen":[],"tls_connection_policies":[{"protocol_min":"tls1.2"}]`, `"audiences":["a"]`, "")},
		"plain-listener":               {strings.Replace(strings.Replace(site(post, fine), `,"tls_connection_policies":[{}]`, "", 1), "127.0.0.1:443", ":80", 1), strings.Replace(site(post, fine), `,"tls_connection_policies":[{}]`, "", 1)},
		"no-audit":                     {strings.Replace(site(post, fine), `"audit":{"dir":"/a"},`, "", 1), site(post, fine)},
		"not-analysed":                 {site(post, token+scoped+limits+`{"match":[{"expression":"true"}],"handle":[{"handler":"reverse_proxy"}]}`), site(post, fine)},
		"handled-refusal":              {strings.Replace(site(post, fine), `"routes":[{"handle":[{"handler":"api"`, `"errors":{"routes":[`+services+`]},"routes":[{"handle":[{"handler":"api"`, 1), site(post, fine)},
	}
	for _, check := range Checks() {
		test, ok := tests[check.ID]
		if !ok {
			t.Errorf("%s has no test", check.ID)
			continue
		}
		for text, want := range map[string]bool{test.trips: true, test.misses: false} {
			c, err := Parse([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v\n%s", check.ID, err, text)
			}
			found := Lint(c, LintOptions{})
			if has := slices.ContainsFunc(found, func(f Finding) bool { return f.Check == check.ID }); has != want {
				t.Errorf("%s: found %v, want %v: %v\n%s", check.ID, has, want, found, text)
			}
		}
	}
}

func TestSuppressionsHaveAReasonAndAnEnd(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(site(post, token+limits+services)))
	if err != nil {
		t.Fatal(err)
	}
	options := LintOptions{Suppress: []Suppression{{Check: "write-without-scope", API: "p*", Reason: "because", Expires: "2026-12-01"}, {Check: "no-limit", Reason: "none", Expires: "2026-12-01"}}}
	if err := options.Check(); err != nil {
		t.Fatal(err)
	}
	findings := Lint(c, options)
	expired, unused := options.Apply(findings, time.Date(2026, 12, 1, 23, 0, 0, 0, time.UTC))
	if len(expired) != 0 || len(unused) != 1 || findings[0].Suppressed == "" {
		t.Errorf("on the last day: %v %v %v", expired, unused, findings)
	}
	again := Lint(c, options)
	if expired, _ := options.Apply(again, time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)); len(expired) != 2 || again[0].Suppressed != "" {
		t.Errorf("a day later: %v %v", expired, again)
	}
	for name, bad := range map[string]Suppression{
		"no reason": {Check: "no-limit", Expires: "2026-12-01"}, "no end": {Check: "no-limit", Reason: "x"}, "no such check": {Check: "none", Reason: "x", Expires: "2026-12-01"},
	} {
		if (&LintOptions{Suppress: []Suppression{bad}}).Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSiteRules(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(site(post, fine)))
	if err != nil {
		t.Fatal(err)
	}
	rule := SiteRule{ID: "ours", Severity: Error, Summary: "ours", APIs: "pay*"}
	rule.Require.SenderConstrained = true
	options := LintOptions{Rules: []SiteRule{rule}}
	if found := Lint(c, options); len(found) != 1 || found[0].Check != "ours" {
		t.Errorf("found %v", found)
	}
	options.Rules[0].Require.SenderConstrained, options.Rules[0].Require.Limit = false, true
	if found := Lint(c, options); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

func TestSARIFIsWellFormed(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(site(post, token+services)))
	if err != nil {
		t.Fatal(err)
	}
	ours := SiteRule{ID: "ours", Severity: Note, Summary: "has to be bound", Cure: "bind it"}
	ours.Require.SenderConstrained = true
	options := LintOptions{Rules: []SiteRule{ours}}
	var out bytes.Buffer
	if err := WriteSARIF(&out, Lint(c, options), options, "a folder/100%:1"); err != nil {
		t.Fatal(err)
	}
	var sarif struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID, Level string
				Locations     []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &sarif); err != nil {
		t.Fatal(err)
	}
	if sarif.Version != "2.1.0" || len(sarif.Runs) != 1 || len(sarif.Runs[0].Tool.Driver.Rules) != len(Checks())+1 || len(sarif.Runs[0].Results) != 3 {
		t.Errorf("%+v", sarif)
	}
	for _, r := range sarif.Runs[0].Results {
		uri := r.Locations[0].PhysicalLocation.ArtifactLocation.URI
		if u, err := url.Parse(uri); err != nil || u.Path != "a folder/100%:1" || u.Scheme != "" {
			t.Errorf("%q is another file: %v", uri, err)
		}
		if !slices.ContainsFunc(sarif.Runs[0].Tool.Driver.Rules, func(rule struct{ ID string }) bool { return rule.ID == r.RuleID }) {
			t.Errorf("%s has no rule", r.RuleID)
		}
	}
}

// TestMistakesInSiteRules: a rule that can find nothing is a mistake, and not a pass.
func TestMistakesInSiteRules(t *testing.T) {
	t.Parallel()
	rule := func(change func(*SiteRule)) LintOptions {
		r := SiteRule{ID: "ours", Severity: Error, APIs: "pay*"}
		r.Require.Limit = true
		change(&r)
		return LintOptions{Rules: []SiteRule{r}}
	}
	for name, bad := range map[string]LintOptions{
		"no pattern":              rule(func(r *SiteRule) { r.APIs = "pay[" }),
		"asks for nothing":        rule(func(r *SiteRule) { r.Require.Limit = false }),
		"no such word":            rule(func(r *SiteRule) { r.Require.Audit = "requierd" }),
		"a check's id":            rule(func(r *SiteRule) { r.ID = "no-audit" }),
		"no pattern to suppress":  {Suppress: []Suppression{{Check: "no-audit", API: "[", Reason: "x", Expires: "2026-12-01"}}},
		"no such check to switch": {Disable: []string{"none"}},
	} {
		if bad.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c, err := Parse([]byte(site(post, fine)))
	if err != nil {
		t.Fatal(err)
	}
	typo, audit := rule(func(r *SiteRule) { r.APIs = "pya*" }), rule(func(r *SiteRule) { r.Require.Audit = "on" })
	if idle := typo.Idle(c); len(idle) != 1 || len(audit.Idle(c)) != 0 {
		t.Errorf("idle: %v", idle)
	}
	if found := Lint(c, audit); audit.Check() != nil || len(found) != 0 {
		t.Errorf("the audit log is on, and %v", found)
	}
}

// TestWaysToTheAdminAPI does not run beside others, for what is in the environment.
func TestWaysToTheAdminAPI(t *testing.T) {
	found := func(text string) bool {
		t.Helper()
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(Lint(c, LintOptions{}), func(f Finding) bool { return f.Check == "admin-reachable" })
	}
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"a route":                 {proxy("127.0.0.1:2019", ""), true},
		"another service":         {proxy("127.0.0.1:2020", ""), false},
		"a service elsewhere":     {proxy("10.0.0.1:2019", ""), false},
		"a route to its socket":   {strings.Replace(proxy("unix//run/admin", ""), "{", `{"admin":{"listen":"unix//run/admin"},`, 1), true},
		"to another socket":       {strings.Replace(proxy("unix//run/other", ""), "{", `{"admin":{"listen":"unix//run/admin"},`, 1), false},
		"a route, and it is off":  {strings.Replace(proxy("127.0.0.1:2019", ""), "{", `{"admin":{"disabled":true},`, 1), false},
		"a loader":                {`{"admin":{"config":{"load":{"module":"http"}}}}`, true},
		"a loader, and it is off": {`{"admin":{"disabled":true,"config":{"load":{"module":"http"}}}}`, true},
		"no loader":               {`{"admin":{"config":{"persist":false}}}`, false},
		"nothing":                 {`{}`, false},
	} {
		if found(test.text) != test.want {
			t.Errorf("%s: want %v", name, test.want)
		}
	}
	plain := hashOf(t, `{}`)
	t.Setenv("CADDY_ADMIN", "0.0.0.0:2019")
	if !found(`{}`) || found(`{"admin":{"listen":"localhost:2019"}}`) {
		t.Error("where the environment has the admin API is not seen")
	}
	if hashOf(t, `{}`) == plain || hashOf(t, `{}`) != hashOf(t, `{"admin":{"listen":"0.0.0.0:2019"}}`) || hashOf(t, `{"admin":{"listen":"localhost:2019"}}`) != plain {
		t.Error("the hash is not that of where it listens")
	}
}
