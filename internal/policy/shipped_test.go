package policy

import (
	"strings"
	"testing"
	"time"
)

// TestDiffSeesThroughTheWriting compares configurations that mean the same, and ones that do not.
func TestDiffSeesThroughTheWriting(t *testing.T) {
	t.Parallel()
	open := `{"match":[{"path":["/x"]}],"handle":[{"handler":"api","name":"x","public":true,"methods":["GET"],"routes":[` + services + `]}]}`
	closed := `{"match":[{"path":["/x","/y"]}],"handle":[{"handler":"api","name":"y","routes":[` + fine + `]}]}`
	bearer, dpop := edge(strings.Replace(closed, fine, token+scoped+services, 1)), edge(strings.Replace(closed, fine, token+bound+services, 1))
	tests := map[string]struct {
		before, after string
		want          Direction // empty: the same
	}{
		"the same":                    {edge(closed), edge(closed), ""},
		"a shadowed rule":             {edge(closed), edge(closed + "," + open), ""},
		"a hole in front":             {edge(closed), edge(open + "," + closed), Widened},
		"a hole is closed":            {edge(open + "," + closed), edge(closed), Narrowed},
		"patterns in another order":   {edge(closed), edge(strings.Replace(closed, `"/x","/y"`, `"/y","/x","/x"`, 1)), ""},
		"two routes in place of one":  {edge(closed), edge(strings.Replace(closed, `"match":[{"path":["/x","/y"]}]`, `"match":[{"path":["/x"]},{"path":["/y"]}]`, 1)), ""},
		"bound tokens, then bearer":   {dpop, bearer, Widened},
		"bearer, then bound tokens":   {bearer, dpop, Narrowed},
		"a limit is gone":             {edge(closed), edge(strings.Replace(closed, limits, "", 1)), Widened},
		"an algorithm more":           {with(closed, `"listen":[":443"],"tls_connection_policies":[{}]`, `"audiences":["a"],"algorithms":["ES256"]`, ""), with(closed, `"listen":[":443"],"tls_connection_policies":[{}]`, `"audiences":["a"],"algorithms":["ES256","RS256"]`, ""), Widened},
		"another service":             {edge(closed), edge(strings.Replace(closed, "127.0.0.1:1", "127.0.0.1:2", 1)), Moved},
		"an expression in the way":    {edge(closed), edge(strings.Replace(open, `"path":["/x"]`, `"path":["/x"],"expression":"true"`, 1) + "," + closed), Widened},
		"a hole for one method alone": {edge(closed), edge(strings.Replace(open, `"path":["/x"]`, `"path":["/y"],"method":["GET"]`, 1) + "," + closed), Widened},
	}
	for name, test := range tests {
		before, err := Parse([]byte(test.before))
		if err != nil {
			t.Fatal(err)
		}
		after, err := Parse([]byte(test.after))
		if err != nil {
			t.Fatal(err)
		}
		d := Diff(before, after, time.Unix(1e9, 0))
		if test.want == "" && len(d.Changes) > 0 || test.want != "" && !d.Has(test.want) {
			t.Errorf("%s: want %q, got %d changes", name, test.want, len(d.Changes))
			for _, c := range d.Changes {
				t.Logf("%s %s: %s %s with %s", c.Direction, c.What, c.Method, c.URL, c.Token)
			}
		}
	}
}
