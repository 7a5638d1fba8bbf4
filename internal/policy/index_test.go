package policy

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestIndexLeavesOutNothing holds what the index finds to a look at each route.
func TestIndexLeavesOutNothing(t *testing.T) {
	t.Parallel()
	matchers := []string{
		`"path":["/a/*","/B"]`, `"path":["*"]`, `"path":["/a*"]`, `"path":["/users/?"]`, `"path":["*.json"]`, `"path":["//a"]`, `"path":["/a/%2f"]`,
		`"path_regexp":{"pattern":"^/a/[0-9]+$"}`, `"path_regexp":{"pattern":"^/A"}`, `"path_regexp":{"pattern":"admin"}`, `"path_regexp":{"pattern":"^/(a|b)"}`,
		`"host":["edge.test"]`, `"host":["*.edge.test"]`, `"host":["EDGE.test"],"path":["/b"]`, `"host":["k.test"]`, `"method":["GET"]`,
		`"not":[{"path":["/a/*"]}]`, `"path":["/a"],"path_regexp":{"pattern":"^/x"}`, `"path":[]`,
	}
	var routes strings.Builder
	for n, m := range matchers {
		fmt.Fprintf(&routes, `{"match":[{%s}],"handle":[{"handler":"vars"}]},{"match":[{%s},{%s}],"handle":[{"handler":"vars"}]},`, m, m, matchers[(n*7+3)%len(matchers)])
	}
	c, err := Parse([]byte(edge(routes.String() + `{"handle":[{"handler":"vars"}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	all := c.Servers[0].Routes
	for _, host := range []string{"edge.test", "www.edge.test", "Edge.TEST", "other.test", "\u212a.test"} {
		for _, path := range []string{"/", "/a", "/a/", "/A/7", "/a/7", "/b", "/B", "//a", "/a/b.json", "/x/admin", "/users/7", "/a/../b", "/a/%2f"} {
			w := &walk{config: c, server: c.Servers[0], req: &Request{Host: host, Target: path}, oracle: new(oracle)}
			if err := w.begin(); err != nil {
				t.Fatal(err)
			}
			var want []int
			for n, r := range all {
				if !excluded(r.Match, w) {
					want = append(want, n)
				}
			}
			if got := w.alive(all); !slices.Equal(got, want) {
				t.Errorf("%s%s: found %v, want %v", host, path, got, want)
			}
		}
	}
}

// evaluate gives what becomes of a GET.
func evaluate(t *testing.T, routes, host, target string) []Outcome {
	t.Helper()
	c, err := Parse([]byte(edge(routes)))
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Method: http.MethodGet, Host: host, Target: target, Remote: netip.MustParseAddr("127.0.0.1")}
	return c.Evaluate(c.Servers[0], r, nil)
}

func TestRewriteInALongListOpensWhatComesAfter(t *testing.T) {
	t.Parallel()
	routes := `{"match":[{"path":["/old/*"]}],"handle":[{"handler":"rewrite","uri":"/r7/x"}]}`
	for n := range 2 * longList {
		routes += fmt.Sprintf(`,{"match":[{"path":["/r%d/*"]}],"handle":[{"handler":"static_response","status_code":%d}]}`, n, 200+n)
	}
	for _, o := range evaluate(t, routes, "edge.test", "/old/x") {
		if o.Status != 207 {
			t.Errorf("after the rewrite it is %s", o.String())
		}
	}
}

func TestAHostThatAHandlerSets(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{
		`"set":{"host":["b.test"]}`: 204, `"delete":["H*"]`: 403, `"replace":{"Host":[{"search":"a","replace":"b"}]}`: 204, `"add":{"Host":["b.test:1"]}`: 204,
		`"set":{"Host":["{env.HOST}"]}`: 0, `"set":{"{env.FIELD}":["a"]}`: 0, // not known
	} {
		routes := `{"handle":[{"handler":"headers","request":{` + header + `}}]},{"match":[{"host":["b.test"]}],"handle":[{"handler":"static_response","status_code":204}]},{"handle":[{"handler":"static_response","status_code":403}]}`
		all := evaluate(t, routes, "a.test", "/")
		if want == 0 && (len(all) != 2 || MostOpen(all).Status != 204 || len(all[0].Open) == 0) || want != 0 && (len(all) != 1 || all[0].Status != want) {
			t.Errorf("%s: %+v", header, all)
		}
	}
}
