package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// large makes a configuration of n operations.
func large(n int, scope string) string {
	var routes strings.Builder
	for i := range n {
		s := fmt.Sprintf("s%d", i)
		if i == n/2 {
			s = scope
		}
		fmt.Fprintf(&routes, `{"match":[{"path":["/api/r%d","/api/r%d/*"]}],"handle":[{"handler":"api","name":"a%d","methods":["GET","POST"],"routes":[%s{"handle":[{"handler":"require","scopes":["%s"]}]},%s{"match":[{"method":["POST"]}],"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]},{"match":[{"path_regexp":{"pattern":"^/api/r%d/[a-z0-9-]+$"}}],"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:2"}]}]}]}]},`,
			i, i, i, token, s, limits, i)
	}
	return edge(strings.TrimSuffix(routes.String(), ","))
}

// sites spreads n operations over hosts of their own.
func sites(n, hosts int, scope string) string {
	var all strings.Builder
	for h := range hosts {
		fmt.Fprintf(&all, `{"match":[{"host":["h%d.test"]}],"terminal":true,"handle":[{"handler":"subroute","routes":[`, h)
		for i := range n / hosts {
			s := fmt.Sprintf("s%d", i)
			if h == hosts/2 && i == 0 {
				s = scope
			}
			fmt.Fprintf(&all, `{"group":"g","match":[{"path":["/r%d","/r%d/*"]}],"handle":[{"handler":"api","name":"a%d-%d","methods":["GET","POST"],"routes":[%s{"handle":[{"handler":"require","scopes":["%s"]}]},%s%s]}]},`,
				i, i, h, i, token, s, limits, services)
		}
		all.WriteString(`{"handle":[{"handler":"static_response","status_code":404}]}]}]},`)
	}
	return edge(strings.TrimSuffix(all.String(), ","))
}

// operations writes n of them as the shipped Caddyfile does: an API holds twenty, each
// with an expression for its path, a method and a scope.
func operations(n int, scope string) string {
	var all strings.Builder
	for i := range n / 20 {
		fmt.Fprintf(&all, `{"group":"g","match":[{"path":["/api/r%d","/api/r%d/*"]}],"handle":[{"handler":"api","name":"a%d","routes":[%s%s`, i, i, i, token, limits)
		for o := range 20 {
			s := fmt.Sprintf("s%d", o)
			if i == n/40 && o == 10 {
				s = scope
			}
			fmt.Fprintf(&all, `{"group":"h","match":[{"method":["%s"],"path_regexp":{"pattern":"^/api/r%d/o%d(/[A-Za-z0-9-]+)?$"}}],"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"require","scopes":["%s"]}]},%s]}]},`,
				[]string{"GET", "POST"}[o%2], i, o/2, s, services)
		}
		all.WriteString(`{"handle":[{"handler":"static_response","status_code":404}]}]}]},`)
	}
	return edge(strings.TrimSuffix(all.String(), ","))
}

// shapes are large configurations of n routes in which one scope can be another.
var shapes = map[string]func(n int, scope string) string{
	"one API each":  large,
	"twenty an API": operations,
	"twenty a site": func(n int, scope string) string { return sites(n, n/20, scope) },
	"a site each":   func(n int, scope string) string { return sites(n, n, scope) },
}

func changedScope(t testing.TB, shape string, n int) (before, after *Config) {
	t.Helper()
	var both [2]*Config
	for i, scope := range []string{"old", "new"} {
		var err error
		if both[i], err = Parse([]byte(shapes[shape](n, scope))); err != nil {
			t.Fatal(err)
		}
	}
	return both[0], both[1]
}

// BenchmarkTwoThousandRoutes says how long each command takes on a large configuration.
func BenchmarkTwoThousandRoutes(b *testing.B) {
	before, _ := changedScope(b, "one API each", 2000)
	b.Run("report", func(b *testing.B) {
		for b.Loop() {
			NewReport(before)
		}
	})
	b.Run("lint", func(b *testing.B) {
		for b.Loop() {
			Lint(before, LintOptions{})
		}
	})
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		b.Run("diff/"+shape, func(b *testing.B) {
			before, after := changedScope(b, shape, 2000)
			for b.Loop() {
				if d := Diff(before, after, time.Unix(1e9, 0)); !d.Has(Widened) || !d.Has(Narrowed) {
					b.Fatal("the scope that changed is not found")
				}
			}
		})
	}
}

// TestDiffFindsOneScopeInManyRoutes counts the work as well, since time is not the same
// everywhere: how many routes are looked at for a request must not grow with their number.
func TestDiffFindsOneScopeInManyRoutes(t *testing.T) {
	t.Parallel()
	for shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			var each [2]int
			for i, n := range []int{40, 120} {
				before, after := changedScope(t, shape, n)
				if d := Diff(before, before, time.Unix(1e9, 0)); len(d.Changes) > 0 {
					t.Errorf("%s: a configuration differs from itself: %+v", shape, d.Changes[0])
				}
				d := Diff(before, after, time.Unix(1e9, 0))
				if !d.Has(Widened) || !d.Has(Narrowed) || slices.ContainsFunc(d.Changes, func(c *Change) bool { return c.API != d.Changes[0].API }) {
					t.Errorf("%s: %+v", shape, d.Changes)
				}
				each[i] = d.looked / d.Atoms
			}
			if each[1] > 40 || each[1] > each[0]+5 {
				t.Errorf("%s: for a request, %d routes are looked at of 40, and %d of 120", shape, each[0], each[1])
			}
		})
	}
}
