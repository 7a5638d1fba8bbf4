package policy

import (
	"testing"
	"time"
)

// overlap has what refuses in front of what lets in, or behind it: only a request that is
// for both can tell.
func overlap(refused, letIn string) (before, after string) {
	deny := `{"match":[` + refused + `],"terminal":true,"handle":[{"handler":"static_response","status_code":403}]}`
	open := `{"match":[` + letIn + `],"terminal":true,"handle":[{"handler":"api","name":"p","public":true,"routes":[` + services + `]}]}`
	return deny + "," + open, open + "," + deny
}

// TestRequestsThatAreForTwoRules: where two matchers overlap, and nobody has written down
// what is in both, there is a request for it all the same.
func TestRequestsThatAreForTwoRules(t *testing.T) {
	t.Parallel()
	for name, test := range map[string][2]string{
		"hosts":                     {`{"host":["*.example.com"]}`, `{"host":["api.*.com"]}`},
		"the Host as a field":       {`{"header":{"Host":["admin.*"]}}`, `{"header_regexp":{"Host":{"pattern":"in[.]t"}}}`},
		"a beginning and a middle":  {`{"path":["/users/me/*"]}`, `{"path":["/users/*/orders"]}`},
		"a beginning and an end":    {`{"path":["/a/*"]}`, `{"path":["*.json"]}`},
		"one of empty segments":     {`{"path":["//a","/a*"]}`, `{"path":["*.json"]}`},
		"two that are anywhere":     {`{"path":["*internal*"]}`, `{"path":["*public*"]}`},
		"three":                     {`{"path":["/a/*"],"not":[{"path":["/a/b*"]}]}`, `{"path":["*x*"],"path_regexp":{"pattern":"y$"}}`},
		"an expression":             {`{"path":["/users/me/*"]}`, `{"path_regexp":{"pattern":"^/users/[^/]+/orders$"}}`},
		"two expressions":           {`{"path_regexp":{"pattern":"^/users/me/.*$"}}`, `{"path_regexp":{"pattern":"^/users/[a-z]+/orders$"}}`},
		"ends of words":             {`{"path_regexp":{"pattern":"\\badmin\\b"}}`, `{"path":["/shop*"]}`},
		"letters of either case":    {`{"path":["/Users/Me"]}`, `{"path_regexp":{"pattern":"^/uSERs/"}}`},
		"two values of a field":     {`{"header":{"X-A":["foo"]}}`, `{"header":{"X-A":["bar"]}}`},
		"parts of a field":          {`{"header":{"X-A":["foo*"]}}`, `{"header":{"x-a":["*bar"]}}`},
		"expressions for a field":   {`{"header_regexp":{"X-A":{"pattern":"^a"}}}`, `{"header_regexp":{"X-A":{"pattern":"z$"}}}`},
		"two parameters":            {`{"query":{"a":["1"]}}`, `{"query":{"b":["1"]}}`},
		"a parameter twice":         {`{"query":{"a":["1"]}}`, `{"query":{"a":["2"]}}`},
		"a parameter of some name":  {`{"query":{"a b":["1 & 2"]}}`, `{"query":{"b":["*"]}}`},
		"a network in a larger one": {`{"remote_ip":{"ranges":["10.0.0.0/8"]}}`, `{"remote_ip":{"ranges":["10.0.0.0/24"]}}`},
		"a field and its value":     {`{"header":{"X-A":[]}}`, `{"header":{"X-A":["v"]}}`},
		"no field, and a parameter": {`{"header":{"X-A":null}}`, `{"query":{"b":["1"]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := overlap(test[0], test[1])
			before, after := parsed(t, edge(first)), parsed(t, edge(second))
			if d := Diff(before, after, time.Unix(1e9, 0)); !d.Has(Widened) || !d.Complete {
				t.Errorf("not found to be wider, of %d requests: %+v", d.Atoms, d.Cut)
			}
			if d := Diff(before, before, time.Unix(1e9, 0)); len(d.Changes) > 0 {
				t.Errorf("differs from itself: %+v", d.Changes[0])
			}
		})
	}
}

// TestRequestsBetweenTheSamples has changes that only requests show which are none of the
// obvious ones.
func TestRequestsBetweenTheSamples(t *testing.T) {
	t.Parallel()
	letIn := func(match string) string {
		return `{"match":[` + match + `],"handle":[{"handler":"api","name":"p","public":true,"routes":[` + services + `]}]}`
	}
	deny := func(match string) string {
		return `{"match":[` + match + `],"terminal":true,"handle":[{"handler":"static_response","status_code":403}]},`
	}
	rewrite := func(members string) string { return `{"handle":[{"handler":"rewrite",` + members + `}]},` }
	handlePath := func(routes string) string {
		return `{"group":"g","match":[{"path":["/api/*"]}],"handle":[{"handler":"subroute","routes":[` + rewrite(`"strip_path_prefix":"/api"`) + routes + `]}]}`
	}
	admin, all := deny(`{"path":["/admin/*"]}`), letIn(`{"path":["/*"]}`)
	counted := `{"handle":[{"handler":"rate_limit","rate_limits":{"a":{"key":"{http.request.uri.query.a}","window":"1m","max_events":5},"b":{"key":"{http.request.uri.query.b}","window":"1m","max_events":5}}}]},`
	inside := func(routes string) string {
		return `{"handle":[{"handler":"api","name":"p","public":true,"routes":[` + counted + routes + services + `]}]}`
	}
	for name, test := range map[string][2]string{
		"a larger network":            {letIn(`{"remote_ip":{"ranges":["10.0.0.0/24"]}}`), letIn(`{"remote_ip":{"ranges":["10.0.0.0/8"]}}`)},
		"all but a smaller network":   {letIn(`{"not":[{"remote_ip":{"ranges":["10.0.0.0/8"]}}]}`), letIn(`{"not":[{"remote_ip":{"ranges":["10.0.0.0/24"]}}]}`)},
		"all but 198.51.100.77":       {letIn(`{"remote_ip":{"ranges":["198.51.100.77"]}}`), all},
		"hosts of one label":          {deny(`{"host":["*.*"]}`) + deny(`{"path":["*"]}`) + all, deny(`{"host":["*.*"]}`) + all},
		"behind a prefix":             {handlePath(admin + all), handlePath(all)},
		"behind two prefixes":         {handlePath(rewrite(`"strip_path_prefix":"/v1"`) + admin + all), handlePath(rewrite(`"strip_path_prefix":"/v1"`) + all)},
		"behind what is put before":   {rewrite(`"uri":"/v1{http.request.uri}"`) + deny(`{"path":["/v1/admin/*"]}`) + all, rewrite(`"uri":"/v1{http.request.uri}"`) + all},
		"behind what is put behind":   {rewrite(`"uri":"{http.request.uri.path}/end"`) + deny(`{"path":["/admin/*/end"]}`) + all, rewrite(`"uri":"{http.request.uri.path}/end"`) + all},
		"counted by two parameters":   {inside(`{"match":[{"path":["/x"]}],"handle":[{"handler":"static_response","status_code":403}]},`), inside("")},
		"in a named route, by prefix": {`{"match":[{"path":["/api/*"]}],"handle":[{"handler":"rewrite","strip_path_prefix":"/api"}]},` + admin + all, `{"match":[{"path":["/api/*"]}],"handle":[{"handler":"rewrite","strip_path_prefix":"/api"}]},` + deny(`{"path":["/admin/*"],"not":[{"path":["/admin/x"]}]}`) + all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := parsed(t, edge(test[0])), parsed(t, edge(test[1]))
			if d := Diff(before, after, time.Unix(1e9, 0)); !d.Has(Widened) || !d.Complete {
				t.Errorf("not found to be wider, of %d requests: %+v", d.Atoms, d.Cut)
			}
			if d := Diff(before, before, time.Unix(1e9, 0)); len(d.Changes) > 0 {
				t.Errorf("differs from itself: %+v", d.Changes[0])
			}
		})
	}
}

// TestWhatIsNotFollowedBackIsSaid: what matchers see behind some rewrites is not known to
// be met by a sample.
func TestWhatIsNotFollowedBackIsSaid(t *testing.T) {
	t.Parallel()
	matcher := `{"match":[{"path":["/new/*"]}],"handle":[{"handler":"static_response","status_code":403}]},`
	for _, members := range []string{`"path_regexp":[{"find":"^/o(.*)","replace":"$1"}]`, `"uri_substring":[{"find":"a","replace":"b"}]`, `"strip_path_suffix":".x"`, `"uri":"/{http.request.uri.path.file}"`} {
		rewrite := `{"handle":[{"handler":"rewrite",` + members + `}]},`
		with, without := parsed(t, edge(rewrite+matcher+services)), parsed(t, edge(rewrite+services))
		if d := Diff(with, with, time.Unix(1e9, 0)); d.Complete {
			t.Errorf("%s: is said to be followed", members)
		}
		if d := Diff(without, without, time.Unix(1e9, 0)); !d.Complete {
			t.Errorf("%s: nothing looks at it: %v", members, d.Cut)
		}
	}
}

// TestValuesOfRareLetters has values that are not of letters of ASCII alone, and those of
// which a blank could be the last.
func TestValuesOfRareLetters(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]string{
		"a beginning that ends with a blank": `{"header":{"X-A":["Bearer *"]}}`,
		"an end that begins with a blank":    `{"header":{"X-A":["* x"]}}`,
		"an expression with a blank":         `{"header_regexp":{"X-A":{"pattern":"^Bearer "}}}`,
		"a blank at the end":                 `{"header":{"X-A":["x "]}}`,
		"a word of another language":         `{"header":{"X-A":["Zürich"]}}`,
		"letters of other languages":         `{"header_regexp":{"X-A":{"pattern":"[^ -~]"}}}`,
		"a tabulator":                        `{"header_regexp":{"X-A":{"pattern":"a\\tb"}}}`,
		"a parameter with a blank":           `{"query":{"a":[" x"]}}`,
		"capital letters of the Host":        `{"header":{"Host":["ADMIN.example.com"]}}`,
		"an expression with capital letters": `{"header_regexp":{"Host":{"pattern":"^AD[A-Z]"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letIn := `{"match":[` + match + `],"handle":[{"handler":"api","name":"p","public":true,"routes":[` + services + `]}]}`
			before, after := parsed(t, edge(`{"match":[{"path":["/never"]}],"handle":[{"handler":"static_response"}]}`)), parsed(t, edge(letIn))
			if d := Diff(before, after, time.Unix(1e9, 0)); !d.Has(Widened) {
				t.Errorf("not found to be wider, of %d requests: %+v", d.Atoms, d.Cut)
			}
		})
	}
}

// TestSetsOfConditionsAreToldApart: one expression may have in it what stands between two.
func TestSetsOfConditionsAreToldApart(t *testing.T) {
	t.Parallel()
	finder, l := newTextFinder(t.Context()), letters{allowed: inLine}
	finder.of([]condition{{expr: "x {   false false}} {y"}}, l)
	if all, _ := finder.of([]condition{{expr: "x"}, {expr: "y"}}, l); len(all) != 4 {
		t.Errorf("got %q, of other conditions", all)
	}
}

// TestRequestsThatTakeAnotherWay has conditions that only a request meets which comes to
// them by a way that is easily forgotten. That nobody can tell is as good.
func TestRequestsThatTakeAnotherWay(t *testing.T) {
	t.Parallel()
	both := `"path":["/x/a*"],"path_regexp":{"pattern":"y$"}`
	proxy := func(match string) string { return `{"match":[{` + match + `}],` + services[1:] }
	rewrite := func(members string) string { return `{"handle":[{"handler":"rewrite",` + members + `}]}` }
	failing := func(errors string) string {
		return `{"handle":[{"handler":"subroute","routes":[` + rewrite(`"strip_path_prefix":"/api"`) + `,{"handle":[{"handler":"error","status_code":404}]}],"errors":{"routes":[` + errors + `]}}]}`
	}
	strip := func(path, more string) string {
		return `{"match":[{"path":["` + path + `"]}],"group":"g","handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"invoke","name":"strip"}]},` + more + `]}]}`
	}
	never := proxy(`"path":["/never"]`)
	for name, test := range map[string][2]string{
		"empty segments":              {never, proxy(`"path":["/x//*"],"path_regexp":{"pattern":"secret$"}`)},
		"dot segments before":         {rewrite(`"uri":"/z/..{http.request.uri.path}"`) + "," + never, rewrite(`"uri":"/z/..{http.request.uri.path}"`) + "," + proxy(both)},
		"dot segments behind":         {rewrite(`"uri":"{http.request.uri.path}/../y"`) + "," + never, rewrite(`"uri":"{http.request.uri.path}/../y"`) + "," + proxy(both)},
		"out of what is put before":   {rewrite(`"uri":"/v1{http.request.uri.path}"`) + "," + never, rewrite(`"uri":"/v1{http.request.uri.path}"`) + "," + proxy(both)},
		"out of two segments":         {rewrite(`"uri":"/v1/w{http.request.uri.path}"`) + "," + never, rewrite(`"uri":"/v1/w{http.request.uri.path}"`) + "," + proxy(both)},
		"a control character":         {never, proxy(`"path_regexp":{"pattern":"^/x[\\x01-\\x1f]$"}`)},
		"the end of a line":           {never, proxy(`"path_regexp":{"pattern":"^/x[^a]y$"},"not":[{"path_regexp":{"pattern":"^/x.y$"}}]`)},
		"a backslash":                 {never, proxy(`"path_regexp":{"pattern":"^/x[\\\\-\\]]y$"},"not":[{"path":["*]*"]}]`)},
		"an error after a rewrite":    {failing(never), failing(proxy(both))},
		"early hints":                 {`{"handle":[{"handler":"static_response","status_code":103}]},` + never, `{"handle":[{"handler":"static_response","status_code":103}]},` + proxy(both)},
		"a named route a second time": {strip("/apx/*", never) + "," + strip("/apb/*", never), strip("/apx/*", never) + "," + strip("/apb/*", proxy(`"path":["/b/a*"],"path_regexp":{"pattern":"y$"}`))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := func(routes string) *Config {
				return parsed(t, with(routes, `"listen":[":443"],"named_routes":{"strip":`+rewrite(`"strip_path_prefix":"/ap"`)+`}`, `"audiences":["a"]`, ""))
			}
			if d := Diff(config(test[0]), config(test[1]), time.Unix(1e9, 0)); !d.Opens() {
				t.Errorf("not found to be wider, of %d requests", d.Atoms)
			}
		})
	}
}
