package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestPlaceholdersByName: however a template asks for one, and what is no name.
func TestPlaceholdersByName(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]struct{ names, rest string }{
		`placeholder "a"`:                     {"a", ""},
		"ph\t `a` | include":                  {"a", " | include"},
		`"a" | placeholder | upper`:           {"a", " | upper"},
		"- `a`|ph":                            {"a", ""},
		`$x := "a" | ph`:                      {"a", "$x :="},
		`print (ph "a") (placeholder "b")`:    {"a b", "print () ()"},
		`ph "\x61"`:                           {"a", ""},
		`print "placeholder" (ph "a") "b"`:    {"a", `print "placeholder" () "b"`},
		"print `placeholder \"a` (env \"b\")": {"", "print `placeholder \"a` (env \"b\")"},
		`ph (print "a" "b")`:                  {"", `ph (print "a" "b")`},
		`"a" | printf "env.%s" | ph`:          {"", `"a" | printf "env.%s" | ph`},
		`f "a" | ph`:                          {"", `f "a" | ph`},
		`$ph "a"`:                             {"", `$ph "a"`},
		`.ph "a"`:                             {"", `.ph "a"`},
	} {
		names, rest := byNames(action)
		if !slices.Equal(names, strings.Fields(want.names)) || rest != want.rest {
			t.Errorf("%s: %q and %q", action, names, rest)
		}
	}
}
