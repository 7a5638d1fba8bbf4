package policy

import (
	"strings"
	"testing"
	"time"
)

// TestExamplesOfWordsShowThem: the example of another text is a request that is told another
// one; where none is known, that is said.
func TestExamplesOfWordsShowThem(t *testing.T) {
	t.Parallel()
	const unknown = "not analysed"
	behind := func(text string) string {
		return strings.Replace(text, `"routes":`, `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]},"routes":`, 1)
	}
	says := func(body string) string {
		return edge(handle(`{"handler":"static_response","status_code":403,"body":"` + body + `"}`))
	}
	field := func(value string) string {
		return edge(handle(`{"handler":"static_response","status_code":403,"headers":{"X-A":["` + value + `"]}}`))
	}
	answer := func(value string) string {
		return edge(handle(`{"handler":"headers","response":{"set":{"X-A":["` + value + `"]}}},{"handler":"static_response","status_code":403}`))
	}
	for name, test := range map[string]struct{ old, new, shows string }{ // that the example has; empty: any shows it
		"a host, and its port":             {says("{http.request.host}"), says("{http.request.hostport}"), ":1"},
		"a host, and its port, in a field": {field("{http.request.host}"), field("{http.request.hostport}"), ":1"},
		"the same, of an answer's fields":  {answer("{http.request.host}"), answer("{http.request.hostport}"), ":1"},
		"a client behind a proxy":          {behind(says("{http.request.remote.host}")), behind(says("{http.vars.client_ip}")), "198.51.100.99"},
		"a client of no proxy":             {says("{http.request.remote.host}"), says("{http.vars.client_ip}"), unknown},
		"a field, and another":             {says("{http.request.header.X-A}"), says("{http.request.header.X-B}"), "X-A"},
		"a field, and a text":              {says("{http.request.header.X-A}"), says("{http.request.header.X-A}b"), ""},
		"a text, and another":              {says("a"), says("b"), ""},
		"a text behind what is not known":  {says("{http.request.cookie.a} a {http.request.uuid}"), says("{http.request.cookie.a} b {http.request.uuid}"), ""},
		"a text, or what may be the same":  {says("a"), says("a{http.request.cookie.a}"), unknown},
		"a text, and more of it":           {says("{http.request.cookie.a}"), says("{http.request.cookie.a}b"), ""},
		"a cookie, and another":            {says("{http.request.cookie.a}"), says("{http.request.cookie.b}"), unknown},
		"a text at another end":            {says("{http.request.cookie.a} x"), says("{http.request.cookie.b} y"), ""},
		"a field that is empty":            {edge(handle(`{"handler":"static_response","status_code":403}`)), field(""), ""},
	} {
		d := Diff(parsed(t, test.old), parsed(t, test.new), time.Unix(1e9, 0))
		if len(d.Changes) != 1 {
			t.Errorf("%s: %d changes: %s", name, len(d.Changes), compact(d))
			continue
		}
		c := d.Changes[0]
		w := &c.Witness
		shown := w.Host + " " + compact(w.Header)
		switch isUnknown := strings.HasSuffix(c.What, unknown); {
		case isUnknown != (test.shows == unknown):
			t.Errorf("%s: %s", name, c.What)
		case c.Direction != Moved:
			t.Errorf("%s: %s is %s", name, c.What, c.Direction)
		case !isUnknown && !strings.Contains(shown, test.shows):
			t.Errorf("%s: the example is %s", name, shown)
		}
	}
}
