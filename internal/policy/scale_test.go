package policy

import (
	"fmt"
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

// BenchmarkTwoThousandRoutes says how long each command takes on a large configuration.
func BenchmarkTwoThousandRoutes(b *testing.B) {
	before, err := Parse([]byte(large(2000, "old")))
	if err != nil {
		b.Fatal(err)
	}
	after, err := Parse([]byte(large(2000, "new")))
	if err != nil {
		b.Fatal(err)
	}
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
	b.Run("diff", func(b *testing.B) {
		for b.Loop() {
			if d := Diff(before, after, time.Unix(1e9, 0)); !d.Has(Widened) || !d.Has(Narrowed) {
				b.Fatal("the scope that changed is not found")
			}
		}
	})
}

func TestDiffFindsOneScopeInManyRoutes(t *testing.T) {
	t.Parallel()
	before, err := Parse([]byte(large(60, "old")))
	if err != nil {
		t.Fatal(err)
	}
	after, err := Parse([]byte(large(60, "new")))
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(before, before, time.Unix(1e9, 0)); len(d.Changes) > 0 {
		t.Errorf("a configuration differs from itself: %+v", d.Changes[0])
	}
	d := Diff(before, after, time.Unix(1e9, 0))
	for _, c := range d.Changes {
		if c.API != "a30" {
			t.Errorf("%+v", c)
		}
	}
	if !d.Has(Widened) || !d.Has(Narrowed) || d.Has(Moved) {
		t.Errorf("%d changes", len(d.Changes))
	}
}
