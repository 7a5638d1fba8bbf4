package command

import "testing"

// TestExplainSendsHostsInASCII has a name as people write it.
func TestExplainSendsHostsInASCII(t *testing.T) {
	t.Parallel()
	r, port, err := parseRequest("GET", "https://bücher.example:8443/a", "127.0.0.1", nil)
	if err != nil || r.Host != "xn--bcher-kva.example:8443" || port != "8443" || r.Target != "/a" {
		t.Errorf("%q %q %q, %v", r.Host, port, r.Target, err)
	}
}
