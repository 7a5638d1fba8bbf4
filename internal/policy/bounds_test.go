package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDeepNestingIsBounded has a small configuration of which each level holds all further in.
func TestDeepNestingIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(levels int) string {
		return edge(`{"handle":[` + strings.Repeat(`{"handler":"reverse_proxy","handle_response":[{"routes":[{"handle":[`, levels) +
			`{"handler":"static_response"}` + strings.Repeat(`]}]}]}`, levels) + `]}`)
	}
	if _, err := Parse([]byte(nested(30))); err != nil {
		t.Errorf("thirty levels are too many: %v", err)
	}
	if _, err := Parse([]byte(nested(1500))); err == nil || !strings.Contains(err.Error(), "nested deeper than 256") {
		t.Errorf("got %.200v", err)
	}
}

// TestAComparisonEndsInTime has one path of which the ways alone take minutes.
func TestAComparisonEndsInTime(t *testing.T) {
	t.Parallel()
	var matchers []string
	for n := range 3000 {
		matchers = append(matchers, fmt.Sprintf(`"m%d":{}`, n))
	}
	c, err := Parse([]byte(edge(`{"match":[{` + strings.Join(matchers, ",") + `}],"handle":[{"handler":"static_response"}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	isCutShort(t, c, 20*time.Second)
}

// isCutShort wants a comparison with a deadline of a tenth of a second to end soon after it, and to say so.
func isCutShort(t *testing.T, c *Config, most time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	began := time.Now()
	d := DiffWithin(ctx, c, c, time.Now(), 1)
	if took := time.Since(began); took > most {
		t.Errorf("it took %v", took)
	}
	if d.Complete {
		t.Error("it says that it is complete")
	}
}

// TestACircleThatChangesThePathIsBounded has a named route that invokes itself, each time
// with another path.
func TestACircleThatChangesThePathIsBounded(t *testing.T) {
	t.Parallel()
	c := parsed(t, with(`{"handle":[{"handler":"invoke","name":"x"}]}`,
		`"listen":[":443"],"named_routes":{"x":{"handle":[{"handler":"rewrite","uri":"/v1{http.request.uri.path}"},{"handler":"subroute","routes":[{"match":[{"path":["/v1/v1/a"]}],"handle":[{"handler":"invoke","name":"x"}]}]}]}}`, `"audiences":["a"]`, ""))
	if d := Diff(c, c, time.Unix(1e9, 0)); d.Complete {
		t.Error("it says that it is complete")
	}
}

// TestLettersAreGoneThroughInTime has an expression of which the letters take seconds.
func TestLettersAreGoneThroughInTime(t *testing.T) {
	t.Parallel()
	c := parsed(t, edge(`{"match":[{"path_regexp":{"pattern":"\\p{L}{1,100}x\\p{Lu}{1,100}"}}],"handle":[{"handler":"static_response"}]}`))
	isCutShort(t, c, 5*time.Second)
}

// TestMoreWaysThanCanBeGone has so many questions about each request that nobody could put them
// all: the comparison ends, says that it is not whole, and sees what the first answer decides,
// also behind the many that the others have.
func TestMoreWaysThanCanBeGone(t *testing.T) {
	t.Parallel()
	config := func(first string) *Config {
		routes := `{"match":[{"header":{"X-0":["v"]}}],"handle":[` + first + `]},`
		for n := range 14 {
			routes += fmt.Sprintf(`{"match":[{"header":{"X-%d":["v"]}}],"handle":[{"handler":"headers","response":{"set":{"A":["b"]}}}]},`, n+1)
		}
		return parsed(t, edge(routes+services))
	}
	d := Diff(config(`{"handler":"static_response","status_code":403}`), config(`{"handler":"headers"}`), time.Unix(1e9, 0))
	if d.Complete || len(d.Cut) == 0 || !d.Has(Widened) {
		t.Errorf("%d ways, %d cut: %+v", d.Atoms, len(d.Cut), d.Changes)
	}
}

// TestManyPathsShareTheWays has a thousand paths, each of which could take all the time there is.
func TestManyPathsShareTheWays(t *testing.T) {
	t.Parallel()
	c := parsed(t, large(300, "s"))
	d := &differ{old: c, new: c}
	d.pairs()
	work := make(chan job, 1<<16)
	d.jobs(t.Context(), work)
	close(work)
	all := 0
	for j := range work {
		all += j.ways
	}
	if all == 0 || all > maxWalks {
		t.Errorf("%d ways", all)
	}
}

func TestFewCutsAreWritten(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	(&DiffResult{Cut: make([]string, 1000)}).writeLimits(&b)
	if lines := strings.Count(b.String(), "\n"); lines != shownCuts+1 || !strings.Contains(b.String(), "980 others") {
		t.Errorf("%d lines: %s", lines, b.String())
	}
}
