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
