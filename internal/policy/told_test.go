package policy

import (
	"strings"
	"testing"
	"time"
)

// TestSecretsOfHandlersAreNotTold has secrets in the app http, where they do not belong:
// what differs is told without them.
func TestSecretsOfHandlersAreNotTold(t *testing.T) {
	t.Parallel()
	for name, handlers := range map[string]string{
		"a cookie's":      upstream(`,"load_balancing":{"selection_policy":{"policy":"cookie","name":"NAME","secret":"SECRET"}}`),
		"a check's":       upstream(`,"health_checks":{"active":{"uri":"/NAME","headers":{"Authorization":["Basic SECRET"]}}}`),
		"a map's":         handle(`{"handler":"map","source":"{http.request.header.Authorization}","destinations":["{NAME}"],"mappings":[{"input":"SECRET","outputs":["1"]}]}`) + "," + services,
		"a parameter":     rewritten(`"uri":"/NAME?api_key=SECRET"`),
		"a field":         headerUp(`"set":{"X-Api-Key":["SECRET-NAME"]}`),
		"nobody knows it": upstream(`,"newly":{"api_token":"SECRET","of":"NAME"}`),
		"an answer's":     handle(`{"handler":"static_response","headers":{"Set-Cookie":["SECRET-NAME"]}}`),
	} {
		config := func(name, secret string) *Config {
			return parsed(t, open(strings.NewReplacer("NAME", name, "SECRET", secret).Replace(handlers)))
		}
		d := Diff(config("one", "hunter2"), config("two", "swordfish"), time.Unix(1e9, 0))
		if text := compact(d); len(d.Changes) == 0 || strings.Contains(text, "hunter2") || strings.Contains(text, "swordfish") {
			t.Errorf("%s: a secret is told, or nothing is: %s", name, text)
		}
	}
	app := func(secret string) *Config {
		return parsed(t, strings.Replace(open(services), `"issuers":[{`, `"issuers":[{"new_secret":"`+secret+`",`, 1))
	}
	if text := compact(Diff(app("hunter2"), app("swordfish"), time.Unix(1e9, 0))); strings.Contains(text, "hunter2") || !strings.Contains(text, "new_secret") {
		t.Errorf("a secret is told, or nothing is: %s", text)
	}
}

// TestAParameterIsNoID: "@id" is a name that a parameter can have, and Caddy takes only
// texts and numbers away that are called so.
func TestAParameterIsNoID(t *testing.T) {
	t.Parallel()
	config := func(value string) *Config {
		return parsed(t, edge(`{"match":[{"query":{"@id":["`+value+`"]}}],"@id":"x","terminal":true,"handle":[{"@id":7,"handler":"static_response","status_code":403}]},`+services))
	}
	one, two := config("1"), config("2")
	if d := Diff(one, two, time.Unix(1e9, 0)); !d.Has(Widened) || one.Hash == two.Hash {
		t.Errorf("another parameter is refused, and nobody says so: %s", compact(d))
	}
}

// TestOutOfAnAPI: what each API takes away of a request, nobody does outside.
func TestOutOfAnAPI(t *testing.T) {
	t.Parallel()
	const get = `{"match":[{"method":["GET"]}],"handle":[`
	before := parsed(t, edge(get+`{"handler":"api","name":"p","public":true,"routes":[`+services+`]}]}`))
	after := parsed(t, edge(get+strings.TrimPrefix(services, `{"handle":[`)))
	found := false
	for _, c := range Diff(before, after, time.Unix(1e9, 0)).Changes {
		found = found || c.Direction == Widened && c.Part == "field "+identityField
	}
	if !found {
		t.Error("that callers say who they are is not told")
	}
}
