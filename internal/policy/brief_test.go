package policy

import (
	"strings"
	"testing"
	"unicode"
)

// TestBriefIsOneLine has names and paths that would write lines of their own into a log, or
// steer the terminal of who reads it.
func TestBriefIsOneLine(t *testing.T) {
	t.Parallel()
	const evil = `x\n{\"level\":\"info\"}\u001b[2J\u202e\r\u0085`
	parse := func(text string) *Config {
		t.Helper()
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	route := func(match string) string {
		return edge(`{"match":[` + match + `],"handle":[{"handler":"api","name":"open` + evil + `","public":true,"routes":[` + services + `]}]}`)
	}
	count := 0
	for _, match := range []string{
		`{"path":["/` + evil + `"]}`, `{"host":["` + evil + `"]}`, `{"method":["` + evil + `"]}`, `{"header":{"` + evil + `":["*"]}}`, `{"query":{"` + evil + `":["*"]}}`,
		`{"` + evil + `":{}}`, `{"expression":"` + evil + `"}`,
	} {
		d := Diff(parse(edge("")), parse(route(match)), moment(float64(1e9)))
		told := d.BriefOpen()
		for _, c := range d.Changes {
			told = append(told, c.Brief())
		}
		for _, text := range told {
			if count++; strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s: %q", match, text)
			}
		}
	}
	if count < 7 {
		t.Errorf("%d texts", count)
	}
}
