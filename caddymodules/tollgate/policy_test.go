package tollgate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/certmagic"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/policy"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/open-tollgate/tollgate/plugins"
)

func init() { caddy.RegisterModule(early{}) }

// early is set up when the admin API of an edge that serves is, before any app, and lets
// it see the configuration.
type early struct{}

func (early) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.early", New: func() caddy.Module { return new(early) }}
}

func (early) Provision(ctx caddy.Context) error { return new(tollgate.Admin).Provision(ctx) }

func (early) CertMagicStorage() (certmagic.Storage, error) { return caddy.DefaultStorage, nil }

// hashOf sets a configuration up and gives the hash that the app tells. Where the admin
// API is on, it sees the configuration first, as in an edge that serves.
func hashOf(t *testing.T, config []byte) string {
	t.Helper()
	var parsed *caddy.Config
	if err := json.Unmarshal(caddy.RemoveMetaFields(config), &parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.Admin == nil || !parsed.Admin.Disabled {
		parsed.StorageRaw = json.RawMessage(`{"module":"early"}`)
	}
	ctx, err := caddy.ProvisionContext(parsed)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("tollgate")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*tollgate.App).PolicyHash()
}

func edge(api, option, more string) string {
	return fmt.Sprintf(`{%s"apps":{%s"http":{"servers":{"s":{"listen":["127.0.0.1:8443"],"routes":[{"handle":[{"handler":"api","name":"open","public":true,"routes":[%s]}]}]}}}}}`, more, option, api)
}

// TestCaddyKeepsItsConfig fails with a Caddy that keeps a configuration elsewhere than
// readConfig looks: what the edge says it runs has to be what is in the file. Each is set
// up many times, since Caddy takes the apps in any order.
func TestCaddyKeepsItsConfig(t *testing.T) {
	answer := `{"handle":[{"handler":"static_response","status_code":204}]}`
	shipped, err := os.ReadFile("../../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(shipped, map[string]any{"filename": "../../Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]string{
		"shipped":      string(adapted),
		"no option":    edge(answer, "", ""),
		"option":       edge(answer, `"tollgate":{"origins":["https://edge.test"]},`, ""),
		"ids":          edge(`{"@id":"mine","handle":[{"handler":"static_response","status_code":204}]}`, "", `"admin":{"@id":"x","listen":"localhost:2020"},`),
		"admin":        edge(answer, "", `"admin":{"disabled":false,"origins":[],"remote":{"listen":":2021","access_control":[{"public_keys":["MA=="],"permissions":[{"paths":["/config"],"methods":[]}]}]}},`),
		"no origins":   edge(answer, "", `"admin":{"origins":[]},`),
		"admin off":    edge(answer, "", `"admin":{"disabled":true,"remote":{"access_control":[{"public_keys":["MA=="],"permissions":[{"methods":["GET"]}]}]}},`),
		"a loader":     edge(answer, "", `"admin":{"config":{"load":{"@id":"l","module":"http","url":"http://127.0.0.1:1","header":{"A":["b"]}},"load_delay":"1h"}},`),
		"a big number": edge(`{"handle":[{"handler":"vars","n":12345678901234567890}]}`, `"tollgate":{},`, ""),
	} {
		want, err := policy.Hash([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if got := hashOf(t, []byte(config)); got != want {
				t.Errorf("%s: the edge says %s, the file %s", name, got, want)
				break
			}
		}
	}
}

// TestTheAdminAPIReadsBeforeOthersTake holds the part of the admin API that reads a configuration
// to be the first that Caddy sets up: admin.api.pki takes the text of the app pki away.
func TestTheAdminAPIReadsBeforeOthersTake(t *testing.T) {
	if first := caddy.GetModules("admin.api")[0].ID; first != new(tollgate.Admin).CaddyModule().ID {
		t.Errorf("%s comes before, and may have set up an app", first)
	}
}

// TestUnknownPolicy has no handler of Tollgate's, so that Caddy may set the app http up
// first: then its text is gone, and the hash must be no other policy's.
func TestUnknownPolicy(t *testing.T) {
	config := strings.Replace(edge("", `"tollgate":{},`, `"admin":{"disabled":true},`), `{"handler":"api","name":"open","public":true,"routes":[]}`, `{"handler":"static_response"}`, 1)
	want, err := policy.Hash([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for range 40 {
		seen[hashOf(t, []byte(config))] = true
	}
	delete(seen, want)
	delete(seen, "unknown")
	if len(seen) > 0 {
		t.Errorf("hashes of nothing: %v", seen)
	}
}

// TestHandlersAreKnown holds the list of modules whose settings are in lower case to what is
// in the binary: what is not on it is taken for somebody else's.
func TestHandlersAreKnown(t *testing.T) {
	for _, m := range caddy.GetModules("http.handlers") {
		config := edge(fmt.Sprintf(`{"handle":[{"handler":%q,"Odd":1}]}`, m.ID.Name()), "", "")
		if err := policy.CheckMembers([]byte(config)); (err == nil) != (m.ID.Name() == "vars") {
			t.Errorf("handler %s: %v", m.ID.Name(), err)
		}
	}
	for _, m := range caddy.GetModules("http.matchers") {
		config := edge(fmt.Sprintf(`{"match":[{%q:[{"a":{"Odd":1}}]}],"handle":[]}`, m.ID.Name()), "", "")
		if err := policy.CheckMembers([]byte(config)); err == nil && m.ID.Name() != "not" {
			t.Errorf("matcher %s is not known", m.ID.Name())
		}
	}
}
