package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestOddShapesAreNoTrouble has many of what few configurations have: the requests that
// are compared must not multiply, and must be all of them.
func TestOddShapesAreNoTrouble(t *testing.T) {
	t.Parallel()
	const n = 100
	many := func(format string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = strings.ReplaceAll(format, "#", fmt.Sprint(i))
		}
		return strings.Join(all, ",")
	}
	apis := func(match string) string {
		return many(`{"match":[` + match + `],"terminal":true,"handle":[{"handler":"api","name":"a#","public":true,"routes":[` + services + `]}]}`)
	}
	hosts := many(`"h#.test"`)
	for name, routes := range map[string]string{
		"fields":                     apis(`{"header":{"X-#":["a"]}}`),
		"values of a field":          apis(`{"header":{"X":["a#"]}}`),
		"fields of paths":            apis(`{"path":["/r#/*"],"header":{"X-#":["a"]}}`),
		"parameters":                 apis(`{"query":{"q#":["a"]}}`),
		"values of a parameter":      apis(`{"query":{"q":["a#"]}}`),
		"networks":                   apis(`{"remote_ip":{"ranges":["10.#.0.0/16"]}}`),
		"prefixes":                   many(`{"group":"g","match":[{"path":["/r#/*"]}],"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"rewrite","strip_path_prefix":"/r#"}]},{"match":[{"path":["/x/*","/y"]}],"handle":[{"handler":"api","name":"a#","public":true,"routes":[` + services + `]}]}]}]}`),
		"hosts with the same paths":  `{"match":[{"host":[` + hosts + `]}],"handle":[{"handler":"subroute","routes":[` + apis(`{"path":["/r#/*"]}`) + `]}]}`,
		"hosts, and one that is set": `{"match":[{"path":["/never"]}],"handle":[{"handler":"headers","request":{"set":{"Host":["h0.test"]}}}]},` + apis(`{"host":["h#.test"],"path":["/x#/*"]}`),
		"limits":                     `{"handle":[{"handler":"api","name":"a","public":true,"routes":[{"handle":[{"handler":"rate_limit","rate_limits":{` + many(`"z#":{"key":"{http.request.header.X-#}","window":"1m","max_events":5}`) + `}}]},` + services + `]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := edge(routes)
			before, after := parsed(t, text), parsed(t, strings.ReplaceAll(text, "127.0.0.1:1", "127.0.0.1:2"))
			if d := Diff(before, after, time.Unix(1e9, 0)); !d.Complete || !d.Has(Moved) || d.Atoms > 80*n {
				t.Errorf("%d requests, cut %v", d.Atoms, d.Cut)
			}
		})
	}
}
