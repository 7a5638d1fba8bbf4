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
