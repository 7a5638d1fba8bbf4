package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestErrorsInsideAnAPI loads subroutes that could answer a refusal with 200, which only
// JSON can have, wherever they are. Edge and model refuse the same ones.
func TestErrorsInsideAnAPI(t *testing.T) {
	const (
		catching = `{"handler":"subroute","errors":{"routes":[{"handle":[{"handler":"static_response","status_code":200}]}]}}`
		empty    = `{"handler":"subroute","errors":{}}`
		plain    = `{"handler":"subroute","routes":[{"handle":[{"handler":"static_response"}]}]}`
		invoke   = `{"handler":"invoke","name":"shared"}`
	)
	deep := func(handler string) string { return `{"handler":"subroute","routes":[{"handle":[` + handler + `]}]}` }
	api := func(inside string) string {
		return `{"handler":"api","name":"open","public":true,"routes":[{"handle":[` + inside + `]}]}`
	}
	for _, test := range []struct {
		name, route, shared, other string
		loads                      bool
	}{
		{"none", api(plain), plain, plain, true},
		{"at once", api(catching), plain, plain, false},
		{"with nothing in them", api(empty), plain, plain, false},
		{"further in", api(deep(deep(catching))), plain, plain, false},
		{"in a named route", api(invoke), catching, plain, false},
		{"further in a named route", api(deep(invoke)), deep(catching), plain, false},
		{"in a named route of another", api(invoke), `{"handler":"invoke","name":"other"}`, catching, false},
		{"in a circle", api(invoke), `{"handler":"invoke","name":"other"}`, invoke, true},
		{"named, and not invoked", api(plain), catching, plain, true},
		{"around the API", strings.Replace(catching, `"errors"`, `"routes":[{"handle":[`+api(plain)+`]}],"errors"`, 1), plain, plain, true},
		{"an API in a named route", `{"handler":"invoke","name":"other"}`, catching, api(invoke), false},
	} {
		text := fmt.Sprintf(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:8443"],"routes":[{"handle":[%s]}],"named_routes":{"shared":{"handle":[%s]},"other":{"handle":[%s]}}}}}}}`,
			test.route, test.shared, test.other)
		for range 8 { // Caddy takes named routes in any order
			var config *caddy.Config
			if err := json.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
			_, err := caddy.ProvisionContext(config)
			if (err == nil) != test.loads || err != nil && !strings.Contains(err.Error(), "api open: a subroute inside an api cannot have errors") {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if _, err := policy.Parse([]byte(text)); (err == nil) != test.loads {
			t.Errorf("%s: the model says %v", test.name, err)
		}
	}
}
