package policy

import (
	"strings"
	"testing"
)

// TestExplainAsksAllServersOfAPort has two servers on one port, each at its address.
func TestExplainAsksAllServersOfAPort(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(`{"apps":{"http":{"servers":{
		"inner":{"listen":["127.0.0.1:443"],"tls_connection_policies":[{}],"routes":[{"handle":[{"handler":"static_response","status_code":403}]}]},
		"outer":{"listen":["192.0.2.1:443"],"tls_connection_policies":[{}],"routes":[` + services + `]},
		"other":{"listen":["127.0.0.1:8443"],"tls_connection_policies":[{}],"routes":[` + services + `]}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	e := Explanation{Method: "GET", URL: "https://edge.test/"}
	for _, s := range c.ServersFor(true, "") {
		e.Outcomes = append(e.Outcomes, c.Evaluate(s, Request{Method: "GET", Host: "edge.test", Target: "/", TLS: true}, new(Judge))...)
	}
	var text strings.Builder
	if err := e.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	rest := text.String()
	for _, want := range []string{"1 of 2, by server inner\n", "=> 403 responded", "2 of 2, by server outer\n", "=> forwarded to http://127.0.0.1:1"} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("want %q in %s", want, text.String())
		}
		rest = after
	}
	for port, want := range map[string]int{"8443": 1, "9": 0} {
		if all := c.ServersFor(true, port); len(all) != want {
			t.Errorf("%d servers answer on port %s, want %d", len(all), port, want)
		}
	}
}
