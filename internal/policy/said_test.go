package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// saidTest is a pair in which the words of the second are others: {env.SECRET} for x, or
// another text.
type saidTest struct {
	before, after string
	want, back    Direction // none: equal
	open          bool      // and more may be
}

func (test *saidTest) run(t *testing.T) {
	t.Helper()
	before, after := parsed(t, test.before), parsed(t, test.after)
	for n, d := range []*DiffResult{Diff(before, after, time.Unix(1e9, 0)), Diff(after, before, time.Unix(1e9, 0))} {
		want := []Direction{test.want, test.back}[n]
		found := want == "" && len(d.Changes) == 0 || slices.ContainsFunc(d.Changes, func(c *Change) bool { return c.Direction == want })
		if !found || d.Has(Widened) != (want == Widened) || d.Complete == test.open {
			t.Errorf("%d: want %q, got %s %v %v", n, want, changesOf(d), d.Open, d.Cut)
		}
	}
}

// secretly is a pair: a configuration with x where it has SAID, and with a secret.
func secretly(config string) saidTest {
	return saidTest{strings.ReplaceAll(config, "SAID", "x"), strings.ReplaceAll(config, "SAID", "{env.SECRET}"), Widened, Narrowed, false}
}

// moved is the same with two texts that are no secrets.
func moved(config string) saidTest {
	return saidTest{strings.ReplaceAll(config, "SAID", "x"), strings.ReplaceAll(config, "SAID", "y"), Moved, Moved, false}
}

// naming has named routes.
func naming(config, routes string) string {
	return strings.Replace(config, `"s":{`, `"s":{"named_routes":{"n":`+routes+`},`, 1)
}

// TestWhatInterceptSays changes what the caller is told in the place of an answer, a
// service's among them.
func TestWhatInterceptSays(t *testing.T) {
	t.Parallel()
	instead := func(routes, of string) string {
		return edge(handle(`{"handler":"intercept","handle_response":[{"routes":[`+routes+`]}]}`) + "," + of)
	}
	const (
		invoke = `{"handle":[{"handler":"invoke","name":"n"}]}`
		said   = `{"handle":[{"handler":"static_response","status_code":403,"body":"SAID"}]}`
		no     = `{"handle":[{"handler":"static_response","status_code":403,"body":"no"}]}`
		field  = `{"handle":[{"handler":"headers","response":{"set":{"X-A":["SAID"]}}}]}`
		late   = `{"handle":[{"handler":"headers","response":{"deferred":true,"set":{"X-A":["SAID"]}}}]},`
		gone   = `{"handle":[{"handler":"static_response","status_code":404}]}`
		files  = `{"handle":[{"handler":"file_server","root":"/srv"}]}`
		fails  = `{"handle":[{"handler":"error","status_code":404}]}`
	)
	down := upstream(`,"headers":{"response":{"set":{"X-A":["SAID"]}}}`)
	terminal := strings.Replace(`{"terminal":true,`+field[1:], "SAID", "1", 1)
	onError := func(routes, raised string) string {
		return strings.Replace(edge(raised), `"routes":[`, `"errors":{"routes":[`+routes+`]},"routes":[`, 1)
	}
	inErrors := func(routes, of string) string {
		return onError(handle(`{"handler":"intercept","handle_response":[{"routes":[`+routes+`]}]}`)+","+of, services)
	}
	share := naming(instead(invoke, services), `{"handle":[{"handler":"headers","response":{"set":{"Access-Control-Allow-Origin":["SAID"]}}}]}`)
	template := handle(`{"handler":"templates"},{"handler":"static_response","status_code":403,"body":"hi SAID"}`)
	for name, test := range map[string]saidTest{
		"a service's":                       secretly(instead(said, services)),
		"a service's, by name":              secretly(naming(instead(invoke, services), said)),
		"a service's, by name, moved":       moved(naming(instead(invoke, services), said)),
		"a file's, by name":                 secretly(naming(instead(invoke, files), said)),
		"a file's status, by name":          {naming(instead(invoke, files), said), naming(instead(invoke, files), strings.Replace(said, "403", "404", 1)), Moved, Moved, false},
		"in error routes, by name":          secretly(naming(inErrors(invoke, services), said)),
		"a field of a service's":            secretly(naming(instead(invoke, services), field)),
		"a field of a text, by name":        secretly(naming(instead(invoke, no), field)),
		"who reads a service's":             {strings.ReplaceAll(share, "SAID", "https://a"), strings.ReplaceAll(share, "SAID", "*"), Widened, Widened, false},
		"a service's own words":             {naming(instead(invoke, services), `{}`), naming(instead(invoke, services), no), Moved, Moved, false},
		"a field of the service's":          secretly(instead(no, down)),
		"cut or not":                        {naming(instead(invoke, services), `{"handle":[{"handler":"static_response","abort":true}]}`), naming(instead(invoke, services), no), Moved, Moved, false},
		"a variable":                        moved(edge(handle(`{"handler":"vars","v":"SAID"}`) + `,{"handle":[{"handler":"intercept","handle_response":[{"routes":[{"handle":[{"handler":"static_response","body":"{http.vars.v}"}]}]}]}]},` + services)),
		"a field of the request":            secretly(edge(handle(`{"handler":"headers","request":{"set":{"X-S":["SAID"]}}}`) + `,{"handle":[{"handler":"intercept","handle_response":[{"routes":[{"handle":[{"handler":"static_response","body":"{http.request.header.X-S}"}]}]}]}]},` + headerUp(`"delete":["X-S"]`))),
		"templates of a service's":          {naming(instead(invoke, services), handle(`{"handler":"static_response","body":"{{.Host}}"}`)), naming(instead(invoke, services), handle(`{"handler":"templates"},{"handler":"static_response","body":"{{.Host}}"}`)), Moved, Moved, false},
		"no log of a service's":             {naming(instead(invoke, services), `{}`), naming(instead(invoke, services), handle(`{"handler":"vars","log_skip":true}`)), Widened, Narrowed, false},
		"the end of a route, for an error":  secretly(inErrors(terminal, strings.Replace(said, "403", "404", 1))),
		"a late field, inside":              secretly(instead(no, late+no)),
		"a late field, and an error":        secretly(onError(no, handle(`{"handler":"intercept","handle_response":[{"routes":[`+fails+`]}]}`)+","+late+no)),
		"a template, and no other body":     {instead(gone, strings.Replace(template, "SAID", "{{.Host}}", 1)), instead(gone, strings.Replace(template, "SAID", `{{env \"SECRET\"}}`, 1)), Widened, Narrowed, false},
		"a template, and another body":      {instead(no, strings.Replace(template, "SAID", "{{.Host}}", 1)), instead(no, strings.Replace(template, "SAID", `{{env \"SECRET\"}}`, 1)), "", "", false},
		"a template around no body of many": {instead(gone, strings.Replace(template, "SAID", "a", 1)), instead(handle(`{"handler":"templates"},{"handler":"static_response","status_code":404}`), strings.Replace(template, "SAID", "b", 1)), Moved, Moved, false},
		"one inside another":                secretly(naming(instead(field, handle(`{"handler":"intercept","handle_response":[{"routes":[`+invoke+`]}]}`)+","+services), said)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// TestWhatIsSaidOfACopiedAnswer changes what handlers do to a service's answer before they
// hand it on.
func TestWhatIsSaidOfACopiedAnswer(t *testing.T) {
	t.Parallel()
	copied := func(first, more string) string {
		return edge(upstream(`,"handle_response":[{"routes":[` + handle(first+`{"handler":"copy_response"}`) + `]}]` + more))
	}
	const down = `,"headers":{"response":{"set":{"X-B":["SAID"]}}}`
	for name, test := range map[string]saidTest{
		"a field":           secretly(copied(`{"handler":"headers","response":{"set":{"X-A":["SAID"]}}},`, "")),
		"another field":     moved(copied(`{"handler":"headers","response":{"set":{"X-A":["SAID"]}}},`, "")),
		"the proxy's own":   secretly(copied("", down)),
		"by a variable":     moved(copied(`{"handler":"vars","v":"SAID"},`, strings.Replace(down, "SAID", "{http.vars.v}", 1))),
		"who reads it":      {copied("", ""), copied(`{"handler":"headers","response":{"set":{"Access-Control-Allow-Origin":["*"]}}},`, ""), Widened, Widened, false},
		"log_skip":          {copied("", ""), copied(`{"handler":"vars","log_skip":true},`, ""), Widened, Narrowed, false},
		"templates":         {copied("", ""), copied(`{"handler":"templates"},`, ""), Moved, Moved, false},
		"the proxy's, else": {edge(upstream(`,"handle_response":[{"routes":[` + services + `]}]`)), edge(upstream(`,"handle_response":[{"routes":[` + services + `]}],"headers":{"response":{"set":{"X":["{env.SECRET}"]}}}`)), "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// TestWhatRefusalsRepeat changes what handlers on the way have set, and routes for refusals
// say: who is refused there reads it, and no service gets it.
func TestWhatRefusalsRepeat(t *testing.T) {
	t.Parallel()
	onError := func(routes, body, inside string) string {
		return strings.Replace(edge(routes), `"routes":[`, `"errors":{"routes":[`+handle(inside+`{"handler":"static_response","body":"`+body+`"}`)+`]},"routes":[`, 1)
	}
	set := func(field string) string {
		return `{"handler":"headers","request":{"set":{"` + field + `":["SAID"]}}}`
	}
	const field = "{http.request.header.X-S}"
	clean, fixed := headerUp(`"delete":["X-S"]`), headerUp(`"set":{"Host":["fixed"]}`)
	api := `{"handle":[{"handler":"api","name":"pay","routes":[` + token + services + `]}]}`
	mapped := handle(`{"handler":"map","source":"{http.request.method}","destinations":["{m}"],"defaults":["SAID"]}`)
	matched := strings.Replace(onError(handle(set("X-S"))+","+clean, "a", ""), `"errors":{"routes":[{`, `"errors":{"routes":[{"match":[{"header":{"X-S":["y"]}}],`, 1)
	for name, test := range map[string]saidTest{
		"a field":                         secretly(onError(handle(set("X-S"))+","+clean, field, "")),
		"a field, moved":                  moved(onError(handle(set("X-S"))+","+clean, field, "")),
		"a Host":                          secretly(onError(handle(set("Host"))+","+fixed, "{http.request.host}", "")),
		"a field that error routes set":   secretly(onError(services, field, set("X-S")+",")),
		"a map":                           {strings.ReplaceAll(onError(mapped+","+services, "{m}", ""), "SAID", "x"), strings.ReplaceAll(onError(mapped+","+services, "{m}", ""), "SAID", "{env.SECRET}"), Widened, Narrowed, false},
		"a field, and a bad token":        secretly(edge(`{"handle":[{"handler":"intercept","handle_response":[{"match":{"status_code":[401]},"routes":[{"handle":[{"handler":"static_response","body":"` + field + `"}]}]}]}]},` + handle(set("X-S")) + `,{"handle":[{"handler":"headers","request":{"delete":["X-S"]}}],"match":[{"path":["/no"]}]},` + strings.Replace(api, services, clean, 1))),
		"to whom":                         moved(matched),
		"no more than the error's status": {onError(handle(strings.Replace(set("X-S"), "SAID", "a", 1))+","+clean, "{http.error.status_code}", ""), onError(handle(strings.Replace(set("X-S"), "SAID", "b", 1))+","+clean, "{http.error.status_code}", ""), "", "", false},
	} {
		test.open = name == "a field, and a bad token" // a service may answer so, too
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// TestWhatAnswersRepeat changes what handlers have set on the way, and an answer, or what a
// service gets, takes up.
func TestWhatAnswersRepeat(t *testing.T) {
	t.Parallel()
	set := func(field, value string) string {
		return handle(`{"handler":"headers","request":{"set":{"`+field+`":["`+value+`"]}}}`) + ","
	}
	says := func(body string) string {
		return handle(`{"handler":"static_response","status_code":403,"body":"` + body + `"}`)
	}
	template := func(body string) string { return handle(`{"handler":"templates"}`) + "," + says(body) }
	mapped := func(source, name, mapping string) string {
		return handle(`{"handler":"map","source":"`+source+`","destinations":["`+name+`"],`+mapping+`}`) + ","
	}
	defaults := func(name, text string) string {
		return mapped("{http.request.method}", name, `"defaults":["`+text+`"]`)
	}
	vars := func(value string) string { return handle(`{"handler":"vars","v":"`+value+`"}`) + "," }
	body := func(text string) string { return handle(`{"handler":"request_body","set":"`+text+`"}`) + "," }
	path := func(uri string) string { return handle(`{"handler":"rewrite","uri":"`+uri+`"}`) + "," }
	secrets := func(source, input string) string {
		return mapped(source, "{m}", `"mappings":[{"input":"`+input+`","outputs":["{env.SECRET}"]}],"defaults":["n"]`)
	}
	runs := func(types, headers, body string) string {
		return edge(handle(`{"handler":"templates","mime_types":["` + types + `"]},{"handler":"static_response","status_code":403,"headers":{` + headers + `},"body":"` + body + `"}`))
	}
	typed := func(kind string) string {
		return handle(`{"handler":"headers","response":{"set":{"Content-Type":["`+kind+`"]}}}`) + ","
	}
	const env = `{{env \"SECRET\"}}`
	hints := handle(`{"handler":"static_response","status_code":103,"headers":{"X-A":["SAID"]}}`) + ","
	const capture = `"mappings":[{"input_regexp":"(.*)","outputs":["${1}"]}]`
	const cut = `{"handle":[{"handler":"static_response","abort":true}]}`
	caught := func(body string) string {
		return strings.Replace(edge(`{"handle":[{"handler":"error","status_code":404,"error":"SAID"}]}`), `"routes":[`, `"errors":{"routes":[`+body+`]},"routes":[`, 1)
	}
	down := headerUp(`"set":{"X-Session":["{http.request.cookie.s}"]},"delete":["Cookie"]`)
	for name, test := range map[string]saidTest{
		"a template of a field":           secretly(edge(set("X-S", "SAID") + template(`{{.Req.Header.Get \"X-S\"}}`))),
		"a template of a field, moved":    moved(edge(set("X-S", "SAID") + template(`{{.Req.Header.Get \"X-S\"}}`))),
		"a template of another field":     {edge(set("X-T", "a") + template(`{{.Req.Header.Get \"X-S\"}}`)), edge(set("X-T", "b") + template(`{{.Req.Header.Get \"X-S\"}}`)), "", "", false},
		"a template of all fields":        secretly(edge(set("X-S", "SAID") + template(`{{range $n, $v := .Req.Header}}{{$v}}{{end}}`))),
		"a template of a cookie":          secretly(edge(set("Cookie", "a=SAID") + template(`{{.Cookie \"a\"}}`))),
		"a template of the Host":          secretly(edge(set("Host", "SAID") + template(`{{.Host}}`))),
		"a template of the path":          secretly(edge(handle(`{"handler":"rewrite","uri":"/SAID"}`) + "," + template(`{{.Req.URL.Path}}`))),
		"a template of the path, moved":   moved(edge(handle(`{"handler":"rewrite","uri":"/SAID"}`) + "," + template(`{{.Req.URL.Path}}`))),
		"a template of what was sent":     {edge(set("X-S", "a") + template(`{{.OriginalReq.URL.Path}} {{now}}`)), edge(set("X-S", "b") + template(`{{.OriginalReq.URL.Path}} {{now}}`)), "", "", false},
		"a template of the error":         secretly(caught(template(`{{placeholder \"http.error.message\"}}`))),
		"a template of a field, in short": secretly(edge(set("X-S", "SAID") + template(`{{ph \"http.request.header.X-S\"}}`))),
		"a template of the URI, in short": secretly(edge(handle(`{"handler":"rewrite","uri":"/SAID"}`) + "," + template("{{`http.request.uri`|ph}}"))),
		"a template of a map, in short":   secretly(edge(defaults("{m}", "SAID") + template(`{{ph \"m\"}}`))),
		"a template where there was text": {runs("text/html", "", env), runs("text/plain", "", env), Widened, Narrowed, false},
		"a template of another type":      {runs("text/plain", `"Content-Type":["application/x"]`, env), runs("text/plain", `"Content-Type":["text/plain"]`, env), Widened, Narrowed, false},
		"a template of whatever type":     {edge(typed("application/x") + template(env)), edge(typed("text/plain") + template(env)), Widened, Widened, false},
		"a template of JSON":              {runs("text/html", "", `[\"{{1}}\"]`), runs("text/plain", "", `[\"{{1}}\"]`), Moved, Moved, false},
		"a template of no secret":         {runs("text/html", "", `{{.Host}}`), runs("text/plain", "", `{{.Host}}`), Moved, Moved, false},
		"a template of the caller's body": {edge(template("hi")), edge(template("hi {http.request.body}")), Widened, Narrowed, false},
		"a template of a parameter":       {edge(template("hi")), edge(template("hi {http.request.uri.query.u}")), Widened, Narrowed, false},
		"a template of a field as sent":   {edge(template("hi")), edge(template("hi {http.request.header.X}")), Widened, Narrowed, false},
		"a template of who asks":          {edge(template("hi")), edge(template("hi {http.auth.user.id} {http.request.remote.host}")), Moved, Moved, false},
		"no template of a parameter":      {edge(says("hi")), edge(says("hi {http.request.header.X}")), Moved, Moved, false},
		"a body":                          secretly(edge(body("SAID") + says("{http.request.body}"))),
		"a body, moved":                   moved(edge(body("SAID") + says("{http.request.body}"))),
		"a body of a field":               secretly(edge(set("X-S", "SAID") + body("{http.request.header.X-S}") + says("{http.request.body_base64}"))),
		"a body when it fails":            secretly(strings.Replace(edge(body("SAID")+services), `"routes":[`, `"errors":{"routes":[`+says("{http.request.body}")+`]},"routes":[`, 1)),
		"a body that nobody repeats":      moved(edge(body("SAID") + says("no"))),
		"a template of a body":            secretly(edge(body("SAID") + template(`{{placeholder \"http.request.body\"}}`))),
		"a template of all of a body":     secretly(edge(body("a=SAID") + template(`{{.Req.FormValue \"a\"}}`))),
		"a map by another field":          {edge(set("X-A", "o") + secrets("{http.request.header.X-A}", "p") + says("{m}")), edge(set("X-A", "p") + secrets("{http.request.header.X-A}", "p") + says("{m}")), Widened, Widened, false},
		"a map by a field, later":         {edge(secrets("{http.request.header.X-A}", "p") + set("X-A", "o") + says("{m}")), edge(secrets("{http.request.header.X-A}", "p") + set("X-A", "p") + says("{m}")), Widened, Widened, false},
		"a map by another source":         {edge(secrets("{http.request.method}", "p") + says("{m}")), edge(secrets("{http.request.header.X-A}", "p") + says("{m}")), Widened, Widened, false},
		"a map for another input":         {edge(secrets("{http.request.method}", "p") + says("{m}")), edge(secrets("{http.request.method}", "q") + says("{m}")), Widened, Widened, false},
		"a map by the path":               {edge(secrets("{http.request.uri.path}", "/p") + path("/o") + says("{m}")), edge(secrets("{http.request.uri.path}", "/p") + path("/p") + says("{m}")), Widened, Widened, false},
		"a map in a template":             {edge(set("X-A", "o") + secrets("{http.request.header.X-A}", "p") + template(`{{ph \"m\"}}`)), edge(set("X-A", "p") + secrets("{http.request.header.X-A}", "p") + template(`{{ph \"m\"}}`)), Widened, Widened, false},
		"a map by a field, without one":   {edge(set("X-A", "o") + mapped("{http.request.header.X-A}", "{m}", `"defaults":["n"]`) + says("{m}")), edge(set("X-A", "p") + mapped("{http.request.header.X-A}", "{m}", `"defaults":["n"]`) + says("{m}")), Moved, Moved, false},
		"a map with other words":          {edge(secrets("{http.request.method}", "p") + says("a {m}")), edge(secrets("{http.request.method}", "p") + says("b {m}")), Moved, Moved, false},
		"a template of a map":             secretly(edge(defaults("{m}", "SAID") + template(`{{placeholder \"m\"}}`))),
		"a template that includes":        secretly(edge(set("X-S", "SAID") + template(`{{include \"a\"}}`))),
		"a template inside intercept":     secretly(edge(handle(`{"handler":"intercept","handle_response":[{"routes":[{"handle":[{"handler":"static_response","status_code":404}]}]}]}`) + "," + set("X-S", "SAID") + template(`{{.Req.Header.Get \"X-S\"}}`))),
		"a cookie":                        secretly(edge(set("Cookie", "a=SAID") + says("{http.request.cookie.a}"))),
		"a cookie, moved":                 moved(edge(set("Cookie", "a=SAID") + says("{http.request.cookie.a}"))),
		"another cookie":                  {edge(set("Cookie", "a=x; b=1") + says("{http.request.cookie.a}")), edge(set("Cookie", "a=x; b=2") + says("{http.request.cookie.a}")), "", "", false},
		"a cookie for a service":          moved(edge(set("Cookie", "s=SAID") + down)),
		"a cookie with one more":          moved(edge(handle(`{"handler":"headers","request":{"add":{"Cookie":["a=SAID"]}}}`) + "," + says("{http.request.cookie.a}"))),
		"a map of a map":                  secretly(edge(defaults("{a}", "SAID") + defaults("{b}", "{a}") + says("{b}"))),
		"a map of itself":                 secretly(edge(defaults("{a}", "{a} SAID") + says("{a}"))),
		"a map in a variable":             {strings.ReplaceAll(edge(defaults("{a}", "SAID")+vars("{a}")+says("{http.vars.v}")), "SAID", "x"), strings.ReplaceAll(edge(defaults("{a}", "SAID")+vars("{a}")+says("{http.vars.v}")), "SAID", "{env.SECRET}"), Widened, Widened, false},
		"a map of a field":                secretly(edge(set("X-S", "SAID") + mapped("{http.request.header.X-S}", "{m}", capture) + says("{m}"))),
		"a map of a field set later":      secretly(edge(mapped("{http.request.header.X-S}", "{m}", capture) + set("X-S", "SAID") + says("{m}"))),
		"a map by a field set later":      moved(edge(mapped("{http.request.header.X-S}", "{m}", `"mappings":[{"input":"x","outputs":["1"]}],"defaults":["2"]`) + set("X-S", "SAID") + says("{m}"))),
		"a map of the error":              secretly(caught(mapped("{http.error.message}", "{m}", capture) + says("{m}"))),
		"a map in a field":                secretly(edge(defaults("{m}", "SAID") + set("X-S", "{m}") + says("{http.request.header.X-S}"))),
		"a variable that is set anew":     secretly(edge(vars("SAID{http.request.uuid}") + handle(`{"handler":"headers","response":{"set":{"X-A":["{http.vars.v}"]}}}`) + "," + vars("no") + says(""))),
		"a part of the Host":              secretly(edge(set("Host", "SAID.a") + says("{http.request.host.labels.1}"))),
		"a part of the path":              moved(edge(handle(`{"handler":"rewrite","uri":"/SAID"}`) + "," + says("{http.request.uri.path.file.base}"))),
		"hints, and cut":                  secretly(edge(hints + cut)),
		"hints, cut by intercept":         secretly(edge(handle(`{"handler":"intercept","handle_response":[{"routes":[`+cut+`]}]}`) + "," + hints + says(""))),
		"a field, and cut":                {edge(cut), edge(handle(`{"handler":"headers","response":{"set":{"X-A":["a"]}}}`) + "," + cut), "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}
