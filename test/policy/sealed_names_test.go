package policy

import (
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
)

// TestSandboxFindsPartsByName has parts that the sandbox closes, spelled as Caddy reads them
// too: one that is not found would connect, or run as it is.
func TestSandboxFindsPartsByName(t *testing.T) {
	t.Parallel()
	config := string(adaptText(t, strings.NewReplacer("DIALNAME", "services.test", "DIAL", "127.0.0.1:1", "DIR", t.TempDir()).Replace(sealedEdge)))
	if _, err := sandbox.New([]byte(config), sandbox.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"http", "tollgate", "servers", "routes", "match", "handle", "handler", "upstreams", "dynamic_upstreams", "health_checks", "handle_response",
		"trusted_proxies", "tls_connection_policies", "client_authentication", "issuers", "introspection",
	} {
		if !strings.Contains(config, `"`+name+`":`) {
			t.Errorf("%s is not in the configuration", name)
		}
		for _, other := range []string{strings.ToUpper(name[:1]) + name[1:], strings.ToUpper(name)} {
			changed := strings.Replace(config, `"`+name+`":`, `"`+other+`":`, 1)
			if _, err := sandbox.New([]byte(changed), sandbox.Options{}); err == nil || !strings.Contains(err.Error(), `"`+other+`" could be taken for "`+name+`"`) {
				t.Errorf("%s is run: %v", other, err)
			}
		}
	}
	const proxy = `{"apps":{"http":{"servers":{"s":{"listen":[":1"],"routes":[{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]MORE}]}]}}}}}`
	for _, more := range []string{`,"Health_checks":{"active":{"uri":"/","interval":"1ms"}}`, `,"Circuit_breaker":{"type":"x"}`, `,"Transport":{"protocol":"http"}`, `,"upstreams":[{"dial":"127.0.0.1:2"}]`} {
		if _, err := sandbox.New([]byte(strings.Replace(proxy, "MORE", more, 1)), sandbox.Options{}); err == nil {
			t.Errorf("is run: %s", more)
		}
	}
	if _, err := sandbox.New([]byte(strings.Replace(proxy, "MORE", "", 1)), sandbox.Options{}); err != nil {
		t.Error(err)
	}
}
