package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestDiffMeetsEachPathPattern opens something for one pattern alone, as Caddy's path has
// them: a pattern that no sample is for would open it unseen.
func TestDiffMeetsEachPathPattern(t *testing.T) {
	t.Parallel()
	parse := func(routes string) *Config {
		t.Helper()
		c, err := Parse([]byte(edge(routes)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, pattern := range []string{
		"/admin", "/[ab]dmin", "/[^a-y]dmin", `/[\]x]dmin`, "/[ab]*", "/*/[!x]*", "/[ab]/*/c", `/a\*b`, `/a\?b`, "/a?b", "/a b", "/a\x01b", "/ü*", "/[äö]",
		"*[ab]", "*min", "*dm*", "/a//b", "/a%2fb", "/a;b", "/{}", "/" + strings.Repeat("x", 5000), "/" + strings.Repeat("x", 5000) + "*",
	} {
		route := fmt.Sprintf(`{"match":[{"path":[%s]}],"handle":[{"handler":"static_response","status_code":200}]}`, compact(pattern))
		if d := Diff(parse(""), parse(route), moment(1e9)); !d.Has(Widened) {
			t.Errorf("%.40q is not seen", pattern)
		}
	}
	for _, pattern := range []string{"/" + strings.Repeat("x", 100_000), "/a/../b"} { // for these no request is made
		route := fmt.Sprintf(`{"match":[{"path":[%s]}],"handle":[{"handler":"static_response","status_code":200}]}`, compact(pattern))
		if d := Diff(parse(""), parse(route), moment(1e9)); d.Complete || !d.Opens() {
			t.Errorf("%.40q: complete", pattern)
		}
	}
	for _, never := range []string{"admin*", "/[z-a]", "/["} {
		route := fmt.Sprintf(`{"match":[{"path":[%s]}],"handle":[{"handler":"static_response","status_code":200}]}`, compact(never))
		if d := Diff(parse(""), parse(route), moment(1e9)); d.Has(Widened) {
			t.Errorf("%q: %v", never, d.Changes[0])
		}
	}
}
