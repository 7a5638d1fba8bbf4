package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// open is a public API with these routes; what they say in words is put in by name.
func open(routes string) string {
	routes = strings.NewReplacer("PROXY", `{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.1:80"}]}]}`,
		"FILES", `{"handle":[{"handler":"file_server","root":"/srv"}]}`).Replace(routes)
	return site(`"public":true,"methods":["GET","POST"],`, routes)
}

func handle(handlers string) string { return `{"handle":[` + handlers + `]}` }

func upstream(more string) string {
	return handle(`{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.1:80"}]` + more + `}`)
}

func transport(members string) string {
	return upstream(`,"transport":{"protocol":"http",` + members + `}`)
}

func headerUp(ops string) string { return upstream(`,"headers":{"request":{` + ops + `}}`) }

// varied has a variable that decides which service is asked, and what another field has.
func varied(value, dial string) string {
	return handle(`{"handler":"vars","x":"`+value+`"}`) + "," + handle(`{"handler":"reverse_proxy","upstreams":[{"dial":"`+dial+`"}],"headers":{"request":{"set":{"X-Tier":["{http.vars.x}"]}}}}`)
}

func rewritten(members string) string {
	return handle(`{"handler":"rewrite",`+members+`}`) + `,PROXY`
}

// TestWhatElseBecomesOfIt changes where a request goes and as what, in front of the same
// service, and wants it said, with a request that shows it.
func TestWhatElseBecomesOfIt(t *testing.T) {
	t.Parallel()
	tls := `"tls":{"server_name":"a"`
	for name, test := range map[string]struct {
		before, after string
		want, back    Direction // none: equal
		part          string
		shown         string // in the request, or the two values
		also          int    // other changes
	}{
		"another path":           {"PROXY", rewritten(`"uri":"/admin{http.request.uri}"`), Moved, Moved, "request", "GET /admin/", 0},
		"its query is gone":      {rewritten(`"uri":"/b?{http.request.uri.query}"`), rewritten(`"uri":"/b?"`), Moved, Moved, "request", "?zq7=1", 0},
		"its query is kept":      {rewritten(`"uri":"/b"`), rewritten(`"uri":"/b?{http.request.uri.query}"`), "", "", "", "", 0},
		"a prefix is stripped":   {"PROXY", rewritten(`"strip_path_prefix":"/x"`), Moved, Moved, "request", "/x", 0},
		"a prefix nobody has":    {rewritten(`"uri":"/b"`), handle(`{"handler":"rewrite","uri":"/b"}`) + "," + rewritten(`"strip_path_prefix":"/x"`), "", "", "", "", 0},
		"a suffix is stripped":   {"PROXY", rewritten(`"strip_path_suffix":".json"`), Moved, Moved, "request", ".json", 0},
		"another method":         {"PROXY", rewritten(`"method":"GET"`), Moved, Moved, "request", "POST", 0},
		"a text is replaced":     {"PROXY", rewritten(`"uri_substring":[{"find":"public","replace":"private"}]`), Moved, Moved, "request", "private", 0},
		"a pattern is replaced":  {"PROXY", rewritten(`"path_regexp":[{"find":"^/users/([0-9]+)$","replace":"/admin/$1"}]`), Moved, Moved, "request", "/admin/", 0},
		"a parameter is set":     {"PROXY", rewritten(`"query":{"set":[{"key":"admin","val":"1"}]}`), Moved, Moved, "request", "admin=1", 0},
		"by the service's own":   {"PROXY", upstream(`,"rewrite":{"uri":"/admin"}`), Moved, Moved, "request", "/admin", 0},
		"wherever it is written": {rewritten(`"uri":"/admin"`), upstream(`,"rewrite":{"uri":"/admin"}`), "", "", "", "", 0},
		"not known, and equal":   {rewritten(`"uri":"/{http.request.cookie.a}"`), rewritten(`"uri":"/{http.request.cookie.a}"`), "", "", "", "", 0},
		"not known, and another": {rewritten(`"uri":"/{http.request.cookie.a}"`), rewritten(`"uri":"/{http.request.cookie.b}"`), Widened, Widened, "request", "cookie.b", 0},
		"of another capture": {`{"match":[{"path_regexp":{"name":"x","pattern":"^/(a|b)/(c|d)$"}}],"handle":[{"handler":"rewrite","uri":"/{http.regexp.x.1}"}]},PROXY`,
			`{"match":[{"path_regexp":{"name":"x","pattern":"^/(a|b)/(c|d)$"}}],"handle":[{"handler":"rewrite","uri":"/{http.regexp.x.2}"}]},PROXY`, Moved, Moved, "request", "/c", 0},

		"a field is set":                {headerUp(`"set":{"X-Tier":["user"]}`), headerUp(`"set":{"x-tier":["admin"]}`), Moved, Moved, "field X-Tier", "admin", 0},
		"a caller chooses it":           {headerUp(`"set":{"X-Tier":["user"]}`), "PROXY", Widened, Narrowed, "field X-Tier", "X-Tier", 0},
		"by another field":              {headerUp(`"set":{"X-Tier":["user"]}`), headerUp(`"set":{"X-Tier":["{http.request.header.X-A}"]}`), Widened, Narrowed, "field X-Tier", "zq7-1", 0},
		"by one that is set":            {headerUp(`"set":{"X-Tier":["user"]}`), handle(`{"handler":"headers","request":{"set":{"X-A":["b"]}}}`) + "," + headerUp(`"set":{"X-A":["b"],"X-Tier":["{http.request.header.X-A}"]}`), Moved, Moved, "field X-Tier", "b", 1},
		"by the query":                  {headerUp(`"set":{"X-Tier":["user"]}`), headerUp(`"set":{"X-Tier":["{http.request.uri.query.a}"]}`), Widened, Narrowed, "field X-Tier", "", 0},
		"besides":                       {headerUp(`"set":{"X-Tier":["user"]}`), headerUp(`"set":{"X-Tier":["user"]},"replace":{"X-Tier":[{"search":"r","replace":"{http.request.header.X-A}"}]}`), Widened, Narrowed, "field X-Tier", "zq7-1", 0},
		"a field is taken away":         {"PROXY", headerUp(`"delete":["X-Tier"]`), Narrowed, Widened, "field X-Tier", "taken away", 0},
		"all such fields are":           {"PROXY", headerUp(`"delete":["X-Tier-*"]`), Narrowed, Widened, "field X-Tier-Zq7", "taken away", 0},
		"a text in a field is replaced": {"PROXY", headerUp(`"replace":{"X-Tier":[{"search":"admin","replace":"user"}]}`), Moved, Moved, "field X-Tier", "admin", 0},
		"the same, written otherwise":   {handle(`{"handler":"headers","request":{"set":{"X-Tier":["a"]}}}`) + `,PROXY`, headerUp(`"set":{"x-tier":["a"]},"delete":["X-User-Id"]`), "", "", "", "", 0},
		"of another field":              {headerUp(`"set":{"X-Tier":["{http.request.header.X-A}"]}`), headerUp(`"set":{"X-Tier":["{http.request.header.X-B}"]}`), Moved, Moved, "field X-Tier", "zq7", 0},
		"of the environment":            {headerUp(`"set":{"X-Tier":["{env.A}"]}`), headerUp(`"set":{"X-Tier":["{env.B}"]}`), Widened, Widened, "field X-Tier", "env.B", 0},
		"by a variable": {handle(`{"handler":"vars","role":"user"}`) + "," + headerUp(`"set":{"X-Tier":["{http.vars.role}"]}`),
			handle(`{"handler":"vars","role":"admin"}`) + "," + headerUp(`"set":{"X-Tier":["{http.vars.role}"]}`), Moved, Moved, "field X-Tier", "admin", 0},
		"another Host":       {headerUp(`"set":{"Host":["a"]}`), headerUp(`"set":{"Host":["b"]}`), Moved, Moved, "field Host", "b", 0},
		"the caller's Host":  {headerUp(`"set":{"Host":["a"]}`), "PROXY", Widened, Narrowed, "field Host", "", 0},
		"a secret, not told": {headerUp(`"set":{"Authorization":["one"]}`), headerUp(`"set":{"Authorization":["two"]}`), Moved, Moved, "field Authorization", "not shown", 0},

		"TLS is gone":              {transport(tls + `}`), upstream(""), Widened, Narrowed, "transport.tls", "without TLS", 2},
		"nobody looks":             {transport(tls + `}`), transport(tls + `,"insecure_skip_verify":true}`), Widened, Narrowed, "transport.tls.insecure_skip_verify", "on", 0},
		"another name":             {transport(tls + `}`), transport(`"tls":{"server_name":"b"}`), Moved, Moved, "transport.tls.server_name", "b", 0},
		"other authorities":        {transport(tls + `,"ca":{"provider":"file","pem_files":["a"]}}`), transport(tls + `}`), Widened, Widened, "transport.tls.ca", "pem_files", 0},
		"without our certificate":  {transport(tls + `,"client_certificate_automate":"a"}`), transport(tls + `}`), Moved, Moved, "transport.tls.client_certificate_automate", "", 0},
		"with the PROXY protocol":  {upstream(""), transport(`"proxy_protocol":"v2"`), Moved, Moved, "transport.proxy_protocol", "v2", 0},
		"through a proxy":          {upstream(""), transport(`"forward_proxy_url":"http://a:b@c"`), Moved, Moved, "transport.forward_proxy_url", "not shown", 0},
		"looked up elsewhere":      {upstream(`,"dynamic_upstreams":{"source":"a","name":"x"}`), upstream(`,"dynamic_upstreams":{"source":"a","name":"y"}`), Moved, Moved, "dynamic_upstreams", "y", 0},
		"a proxy is believed":      {upstream(""), upstream(`,"trusted_proxies":["10.0.0.0/8"]`), Widened, Narrowed, "trusted_proxies", "10.0.0.0/8", 0},
		"tried again":              {upstream(""), upstream(`,"load_balancing":{"retries":3}`), Moved, Moved, "load_balancing", "3", 0},
		"nobody knows this":        {upstream(`,"newly":{"made":1}`), upstream(`,"newly":{"made":2}`), Widened, Widened, "newly.made", "2", 0},
		"nobody knows this of TLS": {transport(tls + `}`), transport(tls + `,"newly":1}`), Widened, Widened, "transport.tls.newly", "1", 0},
		"only how long it takes":   {upstream(""), transport(`"dial_timeout":5,"read_buffer_size":4096`), "", "", "", "", 0},
		"how long it takes":        {transport(`"dial_timeout":5`), transport(`"dial_timeout":6,"keep_alive":{"enabled":false}`), "", "", "", "", 0},

		"a service by a variable":   {varied("{env.A}", "{http.vars.x}:80"), varied("{http.request.header.X-A}", "{http.vars.x}:80"), Widened, Widened, "vars x", "X-A", 2},
		"a variable, and known":     {varied("a", "{http.vars.x}:80"), varied("b", "{http.vars.x}:80"), Moved, Moved, "field X-Tier", "b", 1},
		"another folder":            {"FILES", handle(`{"handler":"file_server","root":"/etc"}`), Moved, Moved, "root", "/etc", 0},
		"another folder of vars":    {handle(`{"handler":"vars","root":"/srv"}`) + "," + handle(`{"handler":"file_server"}`), handle(`{"handler":"vars","root":"/etc"}`) + "," + handle(`{"handler":"file_server"}`), Moved, Moved, "root", "/etc", 0},
		"the same folder":           {"FILES", handle(`{"handler":"vars","root":"/srv"}`) + "," + handle(`{"handler":"file_server"}`), "", "", "", "", 0},
		"folders are listed":        {"FILES", handle(`{"handler":"file_server","root":"/srv","browse":{}}`), Widened, Narrowed, "browse", "", 1}, // and for methods that get no file
		"links are shown":           {handle(`{"handler":"file_server","root":"/srv","browse":{}}`), handle(`{"handler":"file_server","root":"/srv","browse":{"reveal_symlinks":true}}`), Widened, Narrowed, "browse.reveal_symlinks", "", 0},
		"a hidden file is shown":    {handle(`{"handler":"file_server","root":"/srv","hide":["a","b"]}`), handle(`{"handler":"file_server","root":"/srv","hide":["a"]}`), Widened, Narrowed, "hide", "b", 0},
		"another index":             {"FILES", handle(`{"handler":"file_server","root":"/srv","index_names":["x"]}`), Moved, Moved, "index_names", "x", 0},
		"another file":              {"FILES", handle(`{"handler":"rewrite","strip_path_prefix":"/x"}`) + ",FILES", Moved, Moved, "request", "/x", 0},
		"nobody knows this of them": {"FILES", handle(`{"handler":"file_server","root":"/srv","newly":1}`), Widened, Widened, "newly", "1", 0},

		"another text":     {handle(`{"handler":"static_response","body":"a"}`), handle(`{"handler":"static_response","body":"b"}`), Moved, Moved, "body", "b", 0},
		"another address":  {handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["https://a"]}}`), handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["https://b"]}}`), Moved, Moved, "field Location", "https://b", 0},
		"of another path":  {handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["https://a{http.request.uri}"]}}`), handle(`{"handler":"rewrite","uri":"/x"},{"handler":"static_response","status_code":302,"headers":{"Location":["https://a{http.request.uri}"]}}`), Moved, Moved, "field Location", "https://a/x", 0},
		"sent away at all": {handle(`{"handler":"static_response","status_code":404}`), handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["https://b"]}}`), Moved, Moved, "status", "302", 1},

		"larger bodies":         {handle(`{"handler":"request_body","max_size":10}`) + `,PROXY`, handle(`{"handler":"request_body","max_size":20}`) + `,PROXY`, Widened, Narrowed, "request_body", "20", 0},
		"bodies of any size":    {handle(`{"handler":"request_body","max_size":10}`) + `,PROXY`, "PROXY", Widened, Narrowed, "request_body", "", 0},
		"other origins read it": {"PROXY", handle(`{"handler":"headers","response":{"set":{"Access-Control-Allow-Origin":["*"]}}}`) + `,PROXY`, Widened, Widened, "answer", "*", 0},
		"another answer":        {"PROXY", upstream(`,"headers":{"response":{"delete":["Content-Security-Policy"]}}`), Moved, Moved, "answer", "Security", 0},
		"not logged":            {"PROXY", handle(`{"handler":"vars","log_skip":true}`) + `,PROXY`, Widened, Narrowed, "log_skip", "true", 0},
		"packed":                {"PROXY", handle(`{"handler":"encode","encodings":{"gzip":{}}}`) + `,PROXY`, "", "", "", "", 0},
		"mapped":                {handle(`{"handler":"map","source":"{a}","destinations":["{b}"]}`) + `,PROXY`, handle(`{"handler":"map","source":"{a}","destinations":["{c}"]}`) + `,PROXY`, Moved, Moved, "map", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := parsed(t, open(test.before)), parsed(t, open(test.after))
			for n, d := range []*DiffResult{Diff(before, after, time.Unix(1e9, 0)), Diff(after, before, time.Unix(1e9, 0))} {
				want := []Direction{test.want, test.back}[n]
				if want == "" {
					if len(d.Changes) > 0 {
						t.Errorf("%d: %+v", n, *d.Changes[0])
					}
					continue
				}
				i := slices.IndexFunc(d.Changes, func(c *Change) bool { return c.Part == test.part })
				if i < 0 || d.Changes[i].Direction != want || len(d.Changes) > 1+test.also || d.Changes[i].Method == "" {
					t.Errorf("%d: want %s of %s", n, want, test.part)
					for _, c := range d.Changes {
						t.Logf("%+v", *c)
					}
					continue
				}
				c := d.Changes[i]
				if text := c.Method + " " + c.URL + compact(c.Header) + " " + c.Old + " " + c.New; !strings.Contains(strings.ToLower(text), strings.ToLower(test.shown)) {
					t.Errorf("%d: no %q in %s", n, test.shown, text)
				}
				if strings.Contains(c.Brief(), "zq7=1") || strings.Contains(c.Brief(), "admin=1") {
					t.Errorf("values in a log: %s", c.Brief())
				}
			}
		})
	}
}

// TestDifferencesDoNotHideEachOther: all that is another for one request is told.
func TestDifferencesDoNotHideEachOther(t *testing.T) {
	t.Parallel()
	before := parsed(t, site(get, token+scoped+limits+transport(`"tls":{"server_name":"a"}`)))
	after := parsed(t, site(get, token+handle(`{"handler":"rewrite","uri":"/x"}`)+`,`+handle(`{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.2:80"}],"headers":{"request":{"set":{"X-Tier":["a"]}}}}`)))
	told := make(map[string]bool)
	for _, c := range Diff(before, after, time.Unix(1e9, 0)).Changes {
		what, _, _ := strings.Cut(c.What, " ")
		told[string(c.Direction)+" "+c.Part+" "+what] = true
	}
	for _, want := range []string{"widened  needs", "moved  goes", "moved request reaches", "widened transport.tls TLS", "narrowed field X-Tier the", "widened  limit"} {
		if !told[want] {
			t.Errorf("not told: %s; but %v", want, told)
		}
	}
}
