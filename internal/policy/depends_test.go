package policy

import (
	"strings"
	"testing"
	"time"
)

// TestWhatPlaceholdersComeToIsCompared changes what a placeholder stands for, and nothing of
// where it is.
func TestWhatPlaceholdersComeToIsCompared(t *testing.T) {
	t.Parallel()
	const (
		named    = `{"handle":[{"handler":"vars","v":VALUE},{"handler":"reverse_proxy","upstreams":[{"dial":"{http.vars.v}"}]}]}`
		captured = `{"match":[{"path_regexp":{"name":"n","pattern":VALUE}}],"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"{http.regexp.n.1}:1"}]}]}`
		called   = `{"handle":[{"handler":"vars","v":VALUE},{"handler":"reverse_proxy","upstreams":[{"dial":"a:1"}],"transport":{"protocol":"http","tls":{"server_name":"{http.vars.v}"}}}]}`
		asked    = `{"handle":[{"handler":"vars","v":VALUE},{"handler":"reverse_proxy","upstreams":[{"dial":"{http.vars.v}"}],"handle_response":[{"routes":[{"handle":[{"handler":"headers"}]}]}]}]},` + services
		hidden   = `{"handle":[{"handler":"vars","v":VALUE},{"handler":"file_server","root":"/a","index_names":["{http.vars.v}"]}]}`
		set      = `{"handle":[{"handler":"vars","v":VALUE},{"handler":"request_body","set":"{http.vars.v}"}]},` + services
		status   = `{"handle":[{"handler":"vars","v":VALUE},{"handler":"static_response","status_code":"{http.vars.v}"}]}`
		skipped  = `{"handle":[{"handler":"vars","log_skip":VALUE}]},` + services
	)
	for _, c := range []struct {
		name, routes, before, after string
		want                        Direction
	}{
		{"a service", named, `"127.0.0.1:1"`, `"127.0.0.1:2"`, Moved},
		{"a service by what was captured", captured, `"^/(.)(.)"`, `"^/.(.)"`, Moved},
		{"the name of a service", called, `"one"`, `"two"`, Moved},
		{"a service that is asked before", asked, `"127.0.0.1:1"`, `"127.0.0.1:2"`, Widened},
		{"an index", hidden, `"one"`, `"two"`, Moved},
		{"a body", set, `"one"`, `"two"`, Moved},
		{"a status", status, `"200"`, `"204"`, Moved},
		{"a log that only true keeps out of", skipped, `"true"`, `true`, Widened},
	} {
		before, err := Parse([]byte(edge(strings.Replace(c.routes, "VALUE", c.before, 1))))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		after, err := Parse([]byte(edge(strings.Replace(c.routes, "VALUE", c.after, 1))))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if d := Diff(before, after, time.Now()); !d.Has(c.want) {
			t.Errorf("%s: want it %s, got %+v", c.name, c.want, d)
		}
		if d := Diff(after, after, time.Now()); len(d.Changes) > 0 {
			t.Errorf("%s: not equal to itself: %+v", c.name, d.Changes[0])
		}
	}
}
