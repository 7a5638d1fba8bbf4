package policy

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// evil would write a line, a cell, an element and a link of its own, and steer a terminal.
const evil = "x\n\x1b[2J\u202e\r\u0085|`</code><script>alert(1)</script>[l](https://evil.test)\x00\xff"

// evilEdge has it wherever a configuration has a text that somebody is told.
func evilEdge(t *testing.T, more string) *Config {
	t.Helper()
	e := strings.Trim(compact(strings.ToValidUTF8(evil+more, "?")), `"`)
	limit := `{"handle":[{"handler":"rate_limit","rate_limits":{"z` + e + `":{"key":"{http.request.header.x}` + e + `","window":"1m","max_events":5}}}]},`
	proxied := `{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.1:1` + e + `"}]}`
	matched := `{"match":[{"header":{"X-Key":["` + e + `"]},"query":{"` + e + `":["` + e + `"]},"unknown` + e + `":{}}],"handle":[` + proxied + `]},`
	c, err := Parse([]byte(`{"admin":{"listen":"` + e + `"},"apps":{"odd` + e + `":{"` + e + `":"` + e + `"},"http":{"servers":{"s` + e + `":{"listen":["127.0.0.1:443","` + e + `"],` +
		`"tls_connection_policies":[{"protocol_min":"` + e + `"}],"routes":[{"match":[{"path":["/a*","/` + e + `"]}],"handle":[{"handler":"api","name":"n` + e + `","public":true,"methods":["POST","` + e + `"],"routes":[` +
		limit + matched + `{"handle":[` + proxied + `]}]}]},{"handle":[{"handler":"static_response","body":"` + e + `"}]}]}}},` +
		`"tollgate":{"origins":["` + e + `"],"issuers":[{"url":"https://i` + e + `","audiences":["` + e + `"],"algorithms":["RS256` + e + `"]}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNothingWrittenIsMoreThanText has names that are orders to a terminal, a table, a page
// or Markdown: what is written has to have them as text.
func TestNothingWrittenIsMoreThanText(t *testing.T) {
	t.Parallel()
	old, new := evilEdge(t, "1"), evilEdge(t, "2")
	diff := Diff(old, new, moment(1e9))
	if len(diff.Changes) < 5 || len(diff.Open) == 0 {
		t.Fatalf("%d changes: too few to show anything", len(diff.Changes))
	}
	explained := Explanation{Method: "POST" + evil, URL: "https://h/a" + evil, Outcomes: old.Evaluate(old.Servers[0], Request{Method: "POST", Host: "h", Target: "/a", TLS: true}, &Judge{Now: moment(1e9)})}
	findings := Lint(old, LintOptions{})
	for n := range findings[:2] {
		findings[n].Suppressed = evil
	}
	markups := map[string][]string{"page": {"<script"}, "Markdown": {"<", "[l](", "\n|`"}, "report": {"\n|`"}, "diff": {"\n|`"}, "lint": {"\n|`"}, "explain": {"\n|`"}}
	codeSpan := regexp.MustCompile("``.*?``")
	for name, write := range map[string]func(io.Writer) error{
		"report":   NewReport(old).WriteText,
		"page":     func(w io.Writer) error { return NewReport(old).WriteHTML(w, evil) },
		"diff":     diff.WriteText,
		"Markdown": diff.WriteMarkdown,
		"explain":  explained.WriteText,
		"lint":     func(w io.Writer) error { return WriteFindings(w, findings, true) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := b.String()
		if !strings.Contains(text, `u202e`) {
			t.Errorf("%s: what is looked for is not in it: %s", name, text)
		}
		if n := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune("\n\t", r) }); n >= 0 {
			t.Errorf("%s: %q", name, text[max(0, n-30):n+10])
		}
		for _, markup := range markups[name] {
			if n := strings.Index(codeSpan.ReplaceAllString(text, ""), markup); n >= 0 {
				t.Errorf("%s has %q: %.120q", name, markup, text[max(0, n-60):])
			}
		}
	}
}
