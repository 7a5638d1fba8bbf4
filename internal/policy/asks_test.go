package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWhatRewritesMakeOfQueries lets in who has a parameter, behind a rewrite that makes one
// of something else: this is never called equal as a whole. What repeats the query, or says
// nothing of it, is followed.
func TestWhatRewritesMakeOfQueries(t *testing.T) {
	t.Parallel()
	uri := func(text string) string { return `{"handler":"rewrite","uri":"` + text + `"},` }
	const wanted = `{"query":{"k":["zap"]}}`
	for _, before := range []string{
		uri("?k={http.request.uri.query.a}"), uri("/x?k={http.request.uri.query.a}"), uri("?k={http.request.host}"), uri("?k={http.request.hostport}"),
		uri("?k={http.request.method}"), uri("?k={http.request.header.X}"), uri("?k={http.request.uri.path}"), uri("{http.request.uri.path}?k={http.request.uri.path.0}"),
		uri("?k={http.request.remote.host}"), uri("?k={http.vars.client_ip}"), uri("?k={http.request.cookie.a}"), uri("?k={http.request.scheme}"),
		uri("?{http.request.header.X}"), uri("{http.request.header.X}"), uri("/x{http.request.uri}&k=zap"), uri("?k={http.request.uri.query.a}&{http.request.uri.query}"),
		`{"handler":"vars","y":"{http.request.uri.query.a}"},` + uri("?k={http.vars.y}"),
		`{"handler":"rewrite","query":{"rename":[{"key":"a","val":"k"}]}},`, `{"handler":"rewrite","query":{"set":[{"key":"k","val":"{http.request.uri.query.a}"}]}},`,
		`{"handler":"rewrite","uri_substring":[{"find":"a=","replace":"k="}]},`,
		uri("?k={http.request.uri.query.a}") + uri("/x"), uri("?k={http.request.uri.query.a}") + uri("/x?{http.request.uri.query}"),
	} {
		if d := comparedServers(t, shut(before), guarded(wanted, before)); d.Complete && !d.Has(Widened) {
			t.Errorf("%s: called equal", before)
		}
	}
	for _, before := range []string{
		"", uri("/x?{http.request.uri.query}"), uri("/x{http.request.uri}"), uri("{http.request.uri.path}?{http.request.uri.query}"), uri("/x"), uri("?{http.request.uri.query}"),
		`{"handler":"rewrite","strip_path_prefix":"/x"},`, `{"handler":"rewrite","method":"GET"},`, uri("/x?{http.request.uri.query}") + uri("/y{http.request.uri}"),
		uri("?k={http.request.uri.query.a}") + uri("?k=zap&b=1"), uri("/x?k=zap&b=1"),
	} {
		for _, set := range []string{wanted, `{"query":{"k":["zap"]},"not":[{"query":{"k":["zip"]}}]}`, `{"query":{"k":["zap"],"b":["1"]},"not":[{"query":{"b":["2"]}}]}`} {
			if d := comparedServers(t, shut(before), guarded(set, before)); !d.Complete || !d.Has(Widened) {
				t.Errorf("%s %s: %+v", before, set, d)
			}
		}
		inside := `"routes":[{"handle":[` + before + `{"handler":"vars","a":"b"}]},{"match":[{"query":{"k":["zap"]}}],"handle":[{"handler":"subroute","routes":[{"match":[{"query":{"b":["1"]}}],"handle":[` + toService + `]}]}]},` + elseNo + `]`
		if d := comparedServers(t, shut(before), inside); !d.Complete || !d.Has(Widened) {
			t.Errorf("%s: one parameter after the other: %+v", before, d)
		}
	}
	const told = `"routes":[{"handle":[{"handler":"rewrite","uri":"?ip={X}"},` + toService + `]}]`
	if d := comparedServers(t, strings.ReplaceAll(told, "X", "http.request.remote.host"), strings.ReplaceAll(told, "X", "http.vars.client_ip")); !d.Complete || len(d.Changes) > 0 {
		t.Errorf("without proxies a client is who sends: %+v", d)
	}
}

// TestWhatRewritesMakeOfMethods is the same for the method, and for a path that was the same
// of every request before.
func TestWhatRewritesMakeOfMethods(t *testing.T) {
	t.Parallel()
	const byField = `{"handler":"rewrite","method":"{http.request.header.X}"},`
	again := func(members string) string {
		return `{"handler":"rewrite","uri":"/fixed"},{"handler":"rewrite",` + members + `},`
	}
	for before, set := range map[string]string{
		byField: `{"method":["DELETE"]}`,
		again(`"uri":"/{http.request.header.X}{http.request.uri.path}"`):                              `{"path":["/zap/fixed"]}`,
		again(`"path_regexp":[{"find":"fixed","replace":"{http.request.header.X}"}]`):                 `{"path":["/zap"]}`,
		again(`"uri_substring":[{"find":"fixed","replace":"{http.request.header.X}"}]`):               `{"path_regexp":{"pattern":"zap"}}`,
		again(`"strip_path_prefix":"{http.request.header.X}"`):                                        `{"path":["/xed"]}`,
		again(`"strip_path_suffix":"{http.request.header.X}"`):                                        `{"path":["/fix"]}`,
		again(`"uri":"/{http.request.header.X}"`) + `{"handler":"rewrite","strip_path_prefix":"/z"},`: `{"path":["/ap"]}`,
	} {
		if d := comparedServers(t, shut(before), guarded(set, before)); d.Complete && !d.Has(Widened) {
			t.Errorf("%s: called equal", before)
		}
	}
	const api = `"routes":[{"handle":[` + byField + `{"handler":"api","name":"a","public":true,"methods":["GET"],"routes":[{"handle":[%s]}]}]}]`
	if d := comparedServers(t, strings.ReplaceAll(api, "%s", `{"handler":"static_response","status_code":403}`), strings.ReplaceAll(api, "%s", toService)); d.Complete && !d.Has(Widened) {
		t.Errorf("an API's methods: called equal: %+v", d)
	}
	for before, set := range map[string]string{
		`{"handler":"rewrite","method":"POST"},` + byField + `{"handler":"rewrite","method":"GET"},`: `{"method":["GET"]}`,
		again(`"uri":"/y{http.request.uri.path}"`):                                                   `{"path":["/y/fixed"]}`,
	} {
		if d := comparedServers(t, shut(before), guarded(set, before)); !d.Complete || !d.Has(Widened) {
			t.Errorf("%s: %+v", before, d)
		}
	}
}

// TestAHostIsTriedAsItIsSent lets in by what expressions find in a Host with its port, beside
// what matchers of hosts say: each is found, or said not to be followed.
func TestAHostIsTriedAsItIsSent(t *testing.T) {
	t.Parallel()
	field := func(pattern string) string { return `"header_regexp":{"Host":{"pattern":"` + pattern + `"}}` }
	const edge, wild = `,"host":["edge.test"]`, `,"host":["*.test"]`
	for _, c := range []struct{ set, like string }{
		{field(`:8[0-9]{3}$`), `^[^:]+:8\d{3}$`}, {field(`:8[0-9]{3}$`) + edge, `^edge\.test:8\d{3}$`}, {field(`:7\\d\\d7$`) + edge, `^edge\.test:7\d\d7$`},
		{field(`:\\d{4}$`), `:\d{4}$`}, {field(`^.*:8\\d\\d\\d$`), `:8\d{3}$`}, {field(`:(80|90)[13]$`), `:(80|90)[13]$`}, {field(`^[a-z.]+:8\\d\\d\\d$`), `^[a-z.]+:8\d{3}$`},
		{field(`^\\[::1\\]:8443$`), `^\[::1\]:8443$`}, {field(`:8\\d\\d3$`) + `,"host":["::1"]`, `^\[::1\]:8\d\d3$`},
		{field(`^a.*:7\\d\\d7$`) + wild, `^a[^:.]*\.test:7\d\d7$`}, {field(`:[a-z]{3}$`), `:[a-z]{3}$`}, {field(`^[x-z]\\.test:9\\d{2}$`) + `,"host":["a.test","b.test","c.test","x.test"]`, `^x\.test:9\d\d$`},
		{field(`^\\[`), `^\[.*:.*\]`}, {field(`\\]:8443$`), `^\[.*:.*\]:8443$`}, {field(`\\]$`), `^\[.*:.*\]$`},
		{field(`^[^:]+$`) + edge, `^edge\.test$`}, {field(`^edge[.]test[.]$`), `^edge\.test\.$`}, {field(`[!$]`), `[!$]`},
		{`"not":[{` + field(`^[A-Za-z0-9.-]+(:[0-9]+)?$`) + `}]`, `[^A-Za-z0-9.-]`},
	} {
		d := comparedServers(t, shut(""), guarded("{"+c.set+"}", ""))
		n := slices.IndexFunc(d.Changes, func(c *Change) bool { return c.Direction == Widened })
		switch {
		case n < 0 || !d.Complete:
			t.Errorf("%s: not found to be wider, or not complete: %+v", c.set, d)
		case !regexp.MustCompile(c.like).MatchString(d.Changes[n].Witness.Host) || !isHost(d.Changes[n].Witness.Host):
			t.Errorf("%s: %q", c.set, d.Changes[n].Witness.Host)
		}
	}
	for _, set := range []string{field(`^\\[[a-z]`), field(`^\\[`) + edge, field(`:.*:\\d`), `"not":[{` + field(`(?i)^edge[.]test(:.*)?$`) + `}]` + edge, field(`^[^\\[]*\\]`)} {
		if d := comparedServers(t, shut(""), guarded("{"+set+"}", "")); d.Complete && !d.Has(Widened) {
			t.Errorf("%s: called equal", set)
		}
	}
	for _, set := range []string{`"header":{"Host":["[::1]*"]},"host":["*.edge.test"]`, field(`^\\[.*\\].*\\]:1$`) + wild, field(`^\\[.*\\].+\\]$`) + edge, field(`\\[.*\\[`) + `,"host":["*"]`} {
		old, new := modelOf(t, shut("")), modelOf(t, guarded("{"+set+"}", ""))
		lets := func(c *Config, r Request) bool { return c.Evaluate(c.Servers[0], r, nil)[0].Admits() }
		d := Diff(old, new, time.Unix(1e9, 0))
		for _, c := range d.Changes {
			if c.Method != "" && (lets(old, c.Witness) || !lets(new, c.Witness)) {
				t.Errorf("%s: %q shows nothing", set, c.Witness.Host)
			}
		}
		if d.Complete && !d.Has(Widened) {
			t.Errorf("%s: called equal", set)
		}
	}
	for set, most := range map[string]int{
		`{"host":["edge.test"]}`: 3, `{"host":["a.test","b.test","c.test","*.test"]}`: 4, `{"host":["a.test"],"header":{"X":["1"]}}`: 3, `{"header":{"Host":["edge.test:9000"]}}`: 3,
		`{"header_regexp":{"Host":{"pattern":":8[0-9]{3}$"}},"host":["edge.test"]}`: 4,
	} {
		if classes, whole := hostsOf(newTextFinder(t.Context()), modelOf(t, guarded(set, "")).Servers); len(classes.hosts) > most || !whole {
			t.Errorf("%s: %q, whole: %t", set, classes.hosts, whole)
		}
	}
}

// TestWhoMayListenInsteadIsSeen takes a server away, or an address of it, where others listen at
// some of its ports: its callers may reach those from now on.
func TestWhoMayListenInsteadIsSeen(t *testing.T) {
	t.Parallel()
	compared := func(old, new string) *DiffResult {
		parse := func(servers string) *Config {
			var all []string
			for n, server := range strings.Split(servers, "; ") {
				handler := toService
				if address, closed := strings.CutPrefix(server, "no "); closed {
					server, handler = address, `{"handler":"static_response","status_code":403}`
				}
				all = append(all, fmt.Sprintf(`"s%d":{"listen":["%s"],"routes":[{"handle":[%s]}],"automatic_https":{"disable":true}}`, n, server, handler))
			}
			c, err := Parse([]byte(`{"apps":{"http":{"servers":{` + strings.Join(all, ",") + `}}}}`))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		return Diff(parse(old), parse(new), time.Unix(1e9, 0))
	}
	lets := func(c *Change) bool { return c.Direction == Widened && c.What == "was refused and is let in" }
	for _, c := range []struct {
		old, new string
		wider    bool
	}{
		{"no 127.0.0.1:8080; :8070-8090", ":8070-8090", true}, {"no 127.0.0.1:8080-8081; :8080-8090", ":8080-8090", true},
		{"no tcp4/127.0.0.1:8080; tcp/:8080", "tcp/:8080", true}, {"no tcp/127.0.0.1:8080; tcp4/:8080", "tcp4/:8080", true},
		{"no 127.0.0.1:8080-8085; :8083-8090", ":8083-8090", true}, {"no [::1]:8080; 0.0.0.0:8080", "0.0.0.0:8080", true},
		{"no localhost:8080; 127.0.0.1:8080", "127.0.0.1:8080", true}, {"no {env.A}:8080; :8080", ":8080", true},
		{"no 127.0.0.1:8080-8081; :8080-8090", "no 127.0.0.1:8080; :8080-8090", true}, {"no TCP/127.0.0.1:8080; :8080", ":8080", true},
		{"no 127.0.0.1:8080-8081; :8070-8095", `no 127.0.0.1:8080","127.0.0.1:8081; :8070-8095`, false},
		{"no unix//run/a|0222; unix//run/a", "unix//run/a", true}, {"no 127.0.0.1:8080; [::ffff:0.0.0.0]:8080", "[::ffff:0.0.0.0]:8080", true},
		{"no tcp6/[::1]:8080; tcp/:8080", "tcp/:8080", true},
		{"no 127.0.0.1:8080; :8081-8090", ":8081-8090", false}, {"no tcp4/127.0.0.1:8080; tcp6/:8080", "tcp6/:8080", false},
		{"no udp/127.0.0.1:8080; :8080", ":8080", false}, {"no [::1]:8080; 127.0.0.1:8080", "127.0.0.1:8080", false},
		{"no :8080; 127.0.0.1:8080", "127.0.0.1:8080", false}, {"no unix//run/a; unix//run/b", "unix//run/b", false},
	} {
		if d := compared(c.old, c.new); slices.ContainsFunc(d.Changes, lets) != c.wider {
			t.Errorf("%s -> %s: wider is to be %t: %+v", c.old, c.new, c.wider, d)
		}
	}
	for _, c := range []struct {
		old, new  string
		direction Direction // none: the same
	}{
		{":8080-8081", ":8080-8082", Widened}, {":8080-8082", ":8080-8081", Narrowed}, {"tcp4/:8080", ":8080", Widened}, {":8080", "tcp6/:8080", Narrowed},
		{":8080", "0.0.0.0:8080", ""}, {"0.0.0.0:8080", ":8080", ""}, {"127.0.0.1:8080", "tcp4/127.0.0.1:8080", ""}, {":8080", "tcp/[::]:8080", ""}, {"{env.A}:8080", "{env.A}:8080", ""},
		{"{env.A}:8080-8081", "{env.A}:8080-8082", Widened}, {"unix//run/a|0600", "unix//run/a|0666", Widened},
	} {
		if d := compared(c.old, c.new); c.direction == "" && len(d.Changes) > 0 || c.direction != "" && !d.Has(c.direction) {
			t.Errorf("%s -> %s: %q expected: %+v", c.old, c.new, c.direction, d)
		}
	}
}

// TestWhatAServiceIsToldOfClientsAndHosts changes what a service is told, where matchers have asked
// for what it is made of, or only some requests show it.
func TestWhatAServiceIsToldOfClientsAndHosts(t *testing.T) {
	t.Parallel()
	believed := func(ranges string, more string) string {
		return `"trusted_proxies":{"source":"static","ranges":[` + ranges + `]},` + more
	}
	up := func(first, ops string) string {
		return `"routes":[` + first + `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}],"headers":{"request":{` + ops + `}}}]}]`
	}
	no := func(set string) string {
		return `{"match":[` + set + `],"handle":[{"handler":"static_response","status_code":403}],"terminal":true},`
	}
	told := func(value string) string { return `"set":{"X-Real-Ip":["` + value + `"]}` }
	replaced := func(field, search, with string) string {
		return `"replace":{"` + field + `":[{"search":"` + search + `","replace":"` + with + `"}]}`
	}
	const private, strict = `"10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","fd00::/8"`, `"trusted_proxies_strict":1,`
	remote, client := told("{http.request.remote.host}"), told("{http.vars.client_ip}")
	edge := no(`{"not":[{"host":["edge.test"]}]}`)
	for name, c := range map[string]struct{ server, first, old, new string }{
		"a proxy's client":                              {believed(private, ""), "", remote, client},
		"where the field was asked for":                 {believed(private, ""), no(`{"header":{"X-Forwarded-For":["*foo*"]}}`), remote, client},
		"and has to be there":                           {believed(private, ""), no(`{"not":[{"header":{"X-Forwarded-For":["*"]}}]}`), remote, client},
		"and must not have what is tried first":         {believed(private, ""), no(`{"header":{"X-Forwarded-For":["198.51.100.99"]}}`), remote, client},
		"and has no address of IPv4":                    {believed(private, ""), no(`{"header_regexp":{"X-Forwarded-For":{"pattern":"[.]"}}}`), remote, client},
		"and what it may have is not found":             {believed(private, ""), no(`{"header_regexp":{"X-Forwarded-For":{"pattern":"[:9]"}}}`), remote, client},
		"where the address was asked for":               {believed(private, ""), no(`{"remote_ip":{"ranges":["192.0.2.1"]}}`), remote, client},
		"where the client was asked for":                {believed(private, ""), no(`{"client_ip":{"ranges":["192.0.2.0/24"]}}`), remote, client},
		"in another field":                              {believed(private, `"client_ip_headers":["X-Forwarded-For","X-Client"],`), no(`{"not":[{"header":{"X-Forwarded-For":null}}]}`), remote, client},
		"where the sample is a proxy":                   {believed(`"198.51.100.0/24"`, strict), "", remote, client},
		"where all of IPv4 are":                         {believed(`"0.0.0.0/0"`, strict), "", remote, client},
		"where nearly all are":                          {believed(`"0.0.0.0/0","8000::/1","4000::/2","::/3"`, strict), "", remote, client},
		"a Host of which a text is replaced":            {"", "", replaced("Host", "edge", "a"), replaced("Host", "edge", "b")},
		"a port":                                        {"", "", replaced("Host", ":8443", ""), replaced("Host", ":9999", "")},
		"of none":                                       {"", "", "", replaced("Host", "edge", "admin")},
		"of one name":                                   {"", edge, replaced("Host", "edge", "a"), replaced("Host", "edge", "b")},
		"a port of one name":                            {"", edge, replaced("Host", ":8443", ""), replaced("Host", ":9999", "")},
		"what one name can have as a port alone":        {"", edge, replaced("Host", "zap", "a"), replaced("Host", "zap", "b")},
		"what one Host cannot have":                     {"", no(`{"not":[{"header":{"Host":["*zap*"]}}]}`), replaced("Host", "zap", "a"), replaced("Host", "zap", "b")},
		"a field of which a text is replaced":           {"", "", replaced("X-A", "edge", "a"), replaced("X-A", "edge", "b")},
		"where that field was asked for":                {"", no(`{"header":{"X-A":["foo"]}}`), replaced("X-A", "edge", "a"), replaced("X-A", "edge", "b")},
		"and has to be there, too":                      {"", no(`{"not":[{"header":{"X-A":["foo*"]}}]}`), replaced("X-A", "edge", "a"), replaced("X-A", "edge", "b")},
		"where a limit counts by it":                    {"", `{"handle":[{"handler":"rate_limit","rate_limits":{"z":{"key":"{http.request.header.X-A}","window":"1m","max_events":5}}}]},`, replaced("X-A", "edge", "a"), replaced("X-A", "edge", "b")},
		"a field of another, where both were asked for": {"", no(`{"header":{"X-A":["foo"]}}`) + no(`{"header":{"X-B":["foo"]}}`), told("{http.request.header.X-A}"), told("{http.request.header.X-B}")},
	} {
		if d := comparedServers(t, c.server+up(c.first, c.old), c.server+up(c.first, c.new)); d.Complete && len(d.Changes) == 0 {
			t.Errorf("%s: called equal", name)
		}
		if d := comparedServers(t, c.server+up(c.first, c.new), c.server+up(c.first, c.old)); d.Complete && len(d.Changes) == 0 {
			t.Errorf("%s, back: called equal", name)
		}
		if d := comparedServers(t, c.server+up(c.first, c.new), c.server+up(c.first, c.new)); !d.Complete || len(d.Changes) > 0 {
			t.Errorf("%s: the same is not the same: %+v", name, d)
		}
	}
	for name, c := range map[string]struct{ server, first, old, new string }{
		"no proxy is believed":             {"", no(`{"header":{"X-Forwarded-For":["*foo*"]}}`), remote, client},
		"a proxy says nothing":             {believed(private, ""), no(`{"not":[{"header":{"X-Forwarded-For":null}}]}`), remote, client},
		"no proxy gets through":            {believed(private, ""), no(`{"remote_ip":{"ranges":[` + private + `]}}`), remote, client},
		"a text that is gone, where asked": {"", no(`{"header":{"X-A":["foo"]}}`), `"set":{"X-A":["1"]},` + replaced("X-A", "edge", "a"), `"set":{"X-A":["1"]},` + replaced("X-A", "zap", "a")},
		"Host and address as usual":        {believed(private, ""), no(`{"header":{"X-Forwarded-For":["*foo*"]}}`), `"set":{"Host":["{http.request.host}"],"X-Real-Ip":["{http.request.remote.host}"]}`, `"set":{"X-Real-Ip":["{http.request.remote.host}"],"Host":["{http.request.host}"]}`},
	} {
		if d := comparedServers(t, c.server+up(c.first, c.old), c.server+up(c.first, c.new)); !d.Complete || d.Has(Widened) || d.Has(Narrowed) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestWhatIsMadeOfARequestIsNotGuessed lets in by a field or a Host that a handler makes of
// another part of the request: this is never called equal as a whole.
func TestWhatIsMadeOfARequestIsNotGuessed(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"{http.request.uri.query.a}", "{http.request.uri.path}", "{http.request.uri.path.0}", "{http.vars.y}", "{http.request.header.X-B}", "{http.request.host}", "{http.request.remote.host}", "{http.request.method}"} {
		for field, set := range map[string]string{"X-A": `{"header":{"X-A":["zap"]}}`, "Host": `{"host":["zap"]}`, "X-C": `{"header_regexp":{"X-C":{"pattern":"^z.p$"}}}`} {
			before := `{"handler":"vars","y":"{http.request.uri.query.a}"},{"handler":"headers","request":{"set":{"` + field + `":["` + value + `"]}}},`
			again := before + `{"handler":"headers","request":{"set":{"X-J":["` + value + `"],"X-E":["{env.A}"]}}},{"handler":"headers","request":{"set":{"X-J2":["{http.request.header.X-J}{http.request.cookie.a}{http.request.header.X-E}"]}}},` +
				`{"handler":"headers","request":{"set":{"` + field + `":["{http.request.header.X-J2}"]}}},`
			for _, before := range []string{before, again} { // and of what was made of it
				if d := comparedServers(t, shut(before), guarded(set, before)); d.Complete && !d.Has(Widened) {
					t.Errorf("%s of %s: called equal behind %s", field, value, before)
				}
			}
		}
	}
	const literal = `{"handler":"vars","y":"{http.request.uri.query.a}"},{"handler":"vars","y":"zap"},{"handler":"headers","request":{"set":{"X-A":["{http.vars.y}"],"Host":["zap"]}}},`
	if d := comparedServers(t, shut(literal), guarded(`{"header":{"X-A":["zap"]},"host":["zap"]}`, literal)); !d.Complete || !d.Has(Widened) {
		t.Errorf("what is written: %+v", d)
	}
}

// TestAGuessIsNoExample has a rule that matches what a handler makes of the path, and no path
// does: what is not followed is said, and no request is shown for it that is refused.
func TestAGuessIsNoExample(t *testing.T) {
	t.Parallel()
	made := `{"handle":[{"handler":"headers","request":{"set":{"X-A":["{http.request.uri.path}"]}}}]},` + strings.Replace(services, `{`, `{"match":[{"header":{"X-A":["x*"]}}],`, 1)
	gone := `,{"handle":[{"handler":"static_response","status_code":403}]}`
	d := Diff(parsed(t, edge(gone[1:])), parsed(t, edge(made+gone)), time.Unix(1e9, 0))
	if d.Complete || d.Has(Widened) {
		t.Errorf("complete %v, %s", d.Complete, changesOf(d))
	}
}
