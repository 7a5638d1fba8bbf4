package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// caughtBy has the server's error routes answer an error.
func caughtBy(raised, routes string) string {
	return strings.Replace(edge(`{"handle":[{"handler":"error","status_code":404`+raised+`}]}`), `"routes":[`, `"errors":{"routes":[`+routes+`]},"routes":[`, 1)
}

// TestWhatRefusalsSay changes what the configuration says to who is not let in: whoever may
// be refused reads it.
func TestWhatRefusalsSay(t *testing.T) {
	t.Parallel()
	const (
		gone    = `{"handle":[{"handler":"static_response","status_code":404}]}`
		sorry   = `{"handle":[{"handler":"static_response","status_code":404,"body":"sorry"}]}`
		message = `{"handle":[{"handler":"static_response","body":"{http.error.message}"}]}`
		whole   = `{"handle":[{"handler":"static_response","body":"{http.error}"}]}`
		secret  = `,"error":"{env.SECRET}"`
		action  = `{"handler":"static_response","body":"{{env \"SECRET\"}}"}`
	)
	header := func(ops string) string { return handle(`{"handler":"headers","response":{`+ops+`}}`) + "," }
	bearer := func(inside string) string {
		return `{"handle":[{"handler":"api","name":"pay","routes":[` + token + inside + `]}]}`
	}
	asks := func(then string) string { return upstream(`,"handle_response":[{"routes":[` + handle(then) + `]}]`) }
	instead := func(codes, then string) string {
		return handle(`{"handler":"intercept","handle_response":[{"match":{"status_code":[`+codes+`]},"routes":[`+then+`]}]}`) + ","
	}
	hints := func(more string) string {
		return handle(`{"handler":"static_response","status_code":103`+more+`}`) + ","
	}
	mapped := func(output string) string {
		return handle(`{"handler":"map","source":"{http.request.host}","destinations":["{m}"],"defaults":["`+output+`"]}`) + ","
	}
	failing := func(routes string) string {
		return strings.Replace(edge(bearer(services)), `"routes":[`, `"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} in [401]"}],`+routes[1:]+`]},"routes":[`, 1)
	}
	vars := func(value string) string {
		return strings.Replace(failing(handle(`{"handler":"static_response","body":"{http.vars.x}"}`)), `"routes":[{"handle":[{"handler":"api"`, `"routes":[`+handle(`{"handler":"vars","x":"`+value+`"}`)+`,{"handle":[{"handler":"api"`, 1)
	}
	for name, test := range map[string]struct {
		before, after string
		want, back    Direction // none: equal
		part          string
		shown         string // of the new one
	}{
		"a message, and told":            {caughtBy("", message), caughtBy(secret, message), Widened, Narrowed, "", "{env.SECRET}"},
		"a message, and told with all":   {caughtBy("", whole), caughtBy(secret, whole), Widened, Narrowed, "", "{env.SECRET}"},
		"a message, and nobody tells it": {caughtBy("", sorry), caughtBy(secret, sorry), "", "", "", ""},
		"a message, and no error route":  {caughtBy("", ""), caughtBy(secret, ""), "", "", "", ""},
		"another message":                {caughtBy(`,"error":"a"`, message), caughtBy(`,"error":"b"`, message), Moved, Moved, "body", "b"},
		"another message, with all":      {caughtBy(`,"error":"a"`, whole), caughtBy(`,"error":"b"`, whole), Moved, Moved, "body", "b"},
		"a message in a field":           {caughtBy("", header(`"set":{"X":["{http.error.message}"]}`)+gone), caughtBy(secret, header(`"set":{"X":["{http.error.message}"]}`)+gone), Widened, Narrowed, "", "{env.SECRET}"},
		"a message of an api": {strings.Replace(edge(bearer(handle(`{"handler":"error","status_code":404}`))), `"routes":[`, `"errors":{"routes":[`+message+`]},"routes":[`, 1),
			strings.Replace(edge(bearer(handle(`{"handler":"error","status_code":404`+secret+`}`))), `"routes":[`, `"errors":{"routes":[`+message+`]},"routes":[`, 1), Widened, Narrowed, "", "{env.SECRET}"},
		"a status that is a secret": {caughtBy("", message), strings.Replace(caughtBy("", message), `"status_code":404`, `"status_code":"{env.SECRET}"`, 1), Widened, Narrowed, "", "{env.SECRET}"},

		"a template for an error":          {caughtBy("", ""), caughtBy("", handle(`{"handler":"templates"},`+action)), Widened, Narrowed, "", `{{env "SECRET"}}`},
		"a text, and now a template":       {caughtBy("", handle(action)), caughtBy("", handle(`{"handler":"templates"},`+action)), Widened, Narrowed, "", `{{env "SECRET"}}`},
		"a template for another answer":    {caughtBy("", handle(action)), strings.Replace(caughtBy("", handle(action)), `{"handler":"error"`, `{"handler":"templates"},{"handler":"error"`, 1), "", "", "", ""},
		"a template with other delimiters": {caughtBy("", ""), caughtBy("", handle(`{"handler":"templates","delimiters":["[[","]]"]},{"handler":"static_response","body":"[[env `+"`A`"+`]]"}`)), Widened, Narrowed, "", "[[env `A`]]"},
		"a template of what was asked":     {caughtBy("", handle(`{"handler":"templates"},{"handler":"static_response"}`)), caughtBy("", handle(`{"handler":"templates"},{"handler":"static_response","body":"{{.Req.Host}}"}`)), Moved, Moved, "body", "Host"},
		"a template of a refusal":          {edge(gone), edge(handle(`{"handler":"templates"},{"handler":"static_response","status_code":404,"body":"{{readFile ` + "`a`" + `}}"}`)), Widened, Narrowed, "", "readFile"},

		"a field of all":               {edge(gone), edge(header(`"set":{"X-A":["b"]}`) + gone), Moved, Moved, "answer", "X-A"},
		"a field where nothing is":     {edge(""), edge(handle(`{"handler":"headers","response":{"set":{"X-A":["b"]}}}`)), Moved, Moved, "answer", "X-A"},
		"a field of an api's refusals": {site(`"public":true,`, ""), site(`"public":true,`, handle(`{"handler":"headers","response":{"set":{"X-A":["b"]}}}`)), Moved, Moved, "answer", "X-A"},
		"a late field, and an error":   {caughtBy("", sorry), strings.Replace(caughtBy("", sorry), `{"handler":"error"`, `{"handler":"headers","response":{"deferred":true,"set":{"X-A":["b"]}}},{"handler":"error"`, 1), "", "", "", ""},
		"a field, and an error":        {caughtBy("", sorry), strings.Replace(caughtBy("", sorry), `{"handler":"error"`, `{"handler":"headers","response":{"set":{"X-A":["b"]}}},{"handler":"error"`, 1), Moved, Moved, "answer", "X-A"},
		"a secret in a field":          {edge(gone), edge(header(`"set":{"X-A":["{env.SECRET}"]}`) + gone), Widened, Narrowed, "", "{env.SECRET}"},
		"a secret in a field, mapped":  {edge(mapped("{env.SECRET}") + gone), edge(mapped("{env.SECRET}") + header(`"set":{"X-A":["{m}"]}`) + gone), Widened, Narrowed, "", "{env.SECRET}"},
		"a secret in a field of all":   {open("PROXY"), open(header(`"set":{"X-A":["{env.SECRET}"]}`) + "PROXY"), Widened, Narrowed, "", "{env.SECRET}"},
		"other origins read it":        {edge(gone), edge(header(`"set":{"Access-Control-Allow-Origin":["*"]}`) + gone), Widened, Widened, "answer", "Access-Control-Allow-Origin"},
		"other origins read it, by it": {edge(gone), edge(strings.Replace(gone, `404`, `404,"headers":{"Access-Control-Allow-Origin":["*"]}`, 1)), Widened, Widened, "field Access-Control-Allow-Origin", "*"},
		"a cookie":                     {edge(gone), edge(header(`"add":{"Set-Cookie":["a=b"]}`) + gone), Moved, Moved, "answer", "Set-Cookie"},

		"a text where nothing is":      {edge(""), edge(sorry), Moved, Moved, "body", "sorry"},
		"a text for an error":          {caughtBy("", ""), caughtBy("", sorry), Moved, Moved, "body", "sorry"},
		"another text for an error":    {caughtBy("", sorry), caughtBy("", strings.Replace(sorry, "sorry", "go", 1)), Moved, Moved, "body", "go"},
		"a status where nothing is":    {edge(""), edge(gone), "", "", "", ""},
		"sent away for an error":       {caughtBy("", ""), caughtBy("", handle(`{"handler":"static_response","status_code":302,"headers":{"Location":["https://a"]}}`)), Moved, Moved, "field Location", "https://a"},
		"a text in an api":             {site(`"public":true,`, ""), site(`"public":true,`, sorry), Moved, Moved, "body", "sorry"},
		"no log of a refusal":          {edge(""), edge(handle(`{"handler":"vars","log_skip":true}`)), Widened, Narrowed, "log_skip", "true"},
		"larger bodies of nobody":      {site(`"public":true,`, handle(`{"handler":"request_body","max_size":10}`)), site(`"public":true,`, handle(`{"handler":"request_body","max_size":20}`)), "", "", "", ""},
		"early hints":                  {edge(gone), edge(hints(`,"headers":{"Link":["</a>"]}`) + gone), Moved, Moved, "answer", "/a"},
		"early hints with a secret":    {edge(gone), edge(hints(`,"headers":{"Link":["{env.SECRET}"]}`) + gone), Widened, Narrowed, "", "{env.SECRET}"},
		"early hints of who is let in": {open("PROXY"), open(hints(`,"headers":{"Link":["</a>"]}`) + "PROXY"), Moved, Moved, "answer", "/a"},
		"early hints of nothing":       {edge(gone), edge(hints("") + gone), Moved, Moved, "answer", "103"},

		"a copied answer's status": {edge(asks(`{"handler":"copy_response"}`)), edge(asks(`{"handler":"copy_response","status_code":404}`)), Moved, Moved, "status", "404"},
		"an answer's status":       {edge(upstream("")), edge(upstream(`,"handle_response":[{"status_code":404}]`)), Moved, Moved, "status", "404"},

		"a text for bad tokens":           {failing(gone), failing(sorry), Moved, Moved, "body", "sorry"},
		"a text for bad tokens alone":     {edge(bearer(services)), failing(sorry), Moved, Moved, "body", "sorry"},
		"a variable for bad tokens":       {vars("a"), vars("b"), Moved, Moved, "body", "b"},
		"a text instead of a problem":     {edge(bearer(services)), edge(instead("401", sorry) + bearer(services)), Moved, Moved, "body", "sorry"},
		"a secret instead of a problem":   {edge(instead("401", gone) + bearer(services)), edge(instead("401", strings.Replace(sorry, "sorry", "{env.SECRET}", 1)) + bearer(services)), Widened, Narrowed, "", "{env.SECRET}"},
		"a service instead of a problem":  {edge(instead("401", gone) + bearer(services)), edge(instead("401", upstream("")) + bearer(services)), Widened, Narrowed, "", "10.0.0.1"},
		"a body that stays with a status": {edge(instead("404", gone) + sorry), edge(instead("404", gone) + strings.Replace(sorry, "sorry", "{env.SECRET}", 1)), Widened, Narrowed, "", "{env.SECRET}"},
		"a body that is hidden no more":   {edge(instead("404", sorry) + strings.Replace(sorry, "sorry", "{env.SECRET}", 1)), edge(instead("410", sorry) + strings.Replace(sorry, "sorry", "{env.SECRET}", 1)), Widened, Narrowed, "", "{env.SECRET}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := parsed(t, test.before), parsed(t, test.after)
			for n, d := range []*DiffResult{Diff(before, after, time.Unix(1e9, 0)), Diff(after, before, time.Unix(1e9, 0))} {
				want := []Direction{test.want, test.back}[n]
				if want == "" {
					if len(d.Changes) > 0 {
						t.Errorf("%d: want nothing, got %s", n, changesOf(d))
					}
					continue
				}
				found := slices.ContainsFunc(d.Changes, func(c *Change) bool {
					said := []string{c.What + c.New, c.What + c.Old}[n]
					return c.Direction == want && c.Part == test.part && strings.Contains(said, test.shown)
				})
				if !found || d.Complete && d.Has(Widened) != (want == Widened) {
					t.Errorf("%d: want %s of %q with %q; got %s", n, want, test.part, test.shown, changesOf(d))
				}
			}
		})
	}
}
