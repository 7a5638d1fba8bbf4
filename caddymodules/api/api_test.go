package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/open-tollgate/tollgate/caddymodules/accesstoken"
	_ "github.com/open-tollgate/tollgate/caddymodules/api"
	_ "github.com/open-tollgate/tollgate/caddymodules/identityassertion"
	_ "github.com/open-tollgate/tollgate/caddymodules/ratelimit"
	_ "github.com/open-tollgate/tollgate/caddymodules/require"
)

// adapted is as much of a configuration as the tests look at.
type adapted struct {
	Apps struct {
		HTTP struct {
			Servers map[string]struct {
				Routes []route `json:"routes"`
			} `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

type route struct {
	Match  []map[string]json.RawMessage `json:"match"`
	Handle []handler                    `json:"handle"`
}

type handler struct {
	Handler string   `json:"handler"`
	Name    string   `json:"name"`
	Public  bool     `json:"public"`
	Methods []string `json:"methods"`
	Routes  []route  `json:"routes"`
}

const issuer = "{\n tollgate {\n issuer https://issuer.test {\n audience a\n }\n assertion {\n issuer https://edge.test\n }\n }\n}\n"

// adapt gives the routes of the only site.
func adapt(t *testing.T, site string) []route {
	t.Helper()
	result, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(issuer+":80 {\n"+site+"\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var config adapted
	if err := json.Unmarshal(result, &config); err != nil {
		t.Fatal(err)
	}
	return config.Apps.HTTP.Servers["srv0"].Routes
}

// names gives the handlers of routes in their order, with what they are conditional on.
func names(routes []route) string {
	var all []string
	for _, r := range routes {
		var condition string
		for _, matchers := range r.Match {
			for kind, value := range matchers {
				condition += " " + kind + string(value)
			}
		}
		for _, h := range r.Handle { // Caddy puts neighbours with the same condition together
			all = append(all, strings.TrimSuffix(h.Handler+" "+h.Name, " ")+condition)
		}
	}
	return strings.Join(all, ", ")
}

func TestDirectivesAreSorted(t *testing.T) {
	t.Parallel()
	routes := adapt(t, `api pay {
		respond "last"
		tracing
		identity_assertion pay
		header X-A b
		rate_limit {
			zone z {
				key x
				events 1
				window 1m
			}
		}
		require {
			scope a
		}
		require /x {
			scope b
		}
		access_token
	}`)
	want := `access_token, require path["/x"], require, rate_limit, identity_assertion, tracing, headers, static_response`
	if got := names(routes[0].Handle[0].Routes); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestSiteIsSorted(t *testing.T) {
	t.Parallel()
	routes := adapt(t, `respond "never"
	api rest {
		public
	}
	api one /a/b {
		public
	}
	api both /a /a/* {
		public
	}
	@post method POST
	api named @post {
		public
	}
	api any * {
		public
	}
	handle /x {
		respond "x"
	}
	header X-A b`)
	want := `headers, api one path["/a/b"], api both path["/a","/a/*"], api named method["POST"], api rest, api any, subroute path["/x"], static_response`
	if got := names(routes); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestSettingsAreNoDirectives(t *testing.T) {
	t.Parallel()
	for _, block := range []string{
		"{\n public\n methods GET POST\n respond ok\n}",
		"{\n respond ok\n methods GET POST\n public\n}",
		"{\n methods GET POST\n respond ok\n public\n}",
	} {
		got := adapt(t, "api pay "+block)[0].Handle[0]
		if !got.Public || strings.Join(got.Methods, " ") != "GET POST" || names(got.Routes) != "static_response" {
			t.Errorf("%s: %+v", block, got)
		}
	}
	if got := adapt(t, "api pay {\n public\n}")[0].Handle[0]; !got.Public || len(got.Routes) != 0 {
		t.Errorf("public alone: %+v", got)
	}
}
