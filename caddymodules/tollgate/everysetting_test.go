package tollgate_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/accesstoken"
	"github.com/open-tollgate/tollgate/caddymodules/api"
	"github.com/open-tollgate/tollgate/caddymodules/identityassertion"
	"github.com/open-tollgate/tollgate/caddymodules/ratelimit"
	"github.com/open-tollgate/tollgate/caddymodules/require"
	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
)

// TestEverySettingIsThere holds the file of all settings, each of which internal/policy
// changes to see that none is passed over, to what there is in Tollgate and in this version
// of Caddy: a setting that is new has to be in it.
func TestEverySettingIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../internal/policy/testdata/every-setting.json")
	if err != nil {
		t.Fatal(err)
	}
	var file any
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	root := file.(map[string]any)
	apps := root["apps"].(map[string]any)
	http := apps["http"].(map[string]any)
	elsewhere := []string{"servers", "routes", "named_routes", "errors"}
	handlers := make(map[string][]any)
	gather(file, handlers)
	for name, part := range map[string]struct {
		kind   reflect.Type
		values []any
	}{
		"admin":    {reflect.TypeFor[caddy.AdminConfig](), []any{root["admin"]}},
		"tollgate": {reflect.TypeFor[tollgate.App](), []any{apps["tollgate"]}},
		"http":     {reflect.TypeFor[caddyhttp.App](), []any{http}},
		"server":   {reflect.TypeFor[caddyhttp.Server](), elements([]any{http["servers"]})},

		"api":                {reflect.TypeFor[api.Handler](), handlers["api"]},
		"access_token":       {reflect.TypeFor[accesstoken.Handler](), handlers["access_token"]},
		"require":            {reflect.TypeFor[require.Handler](), handlers["require"]},
		"rate_limit":         {reflect.TypeFor[ratelimit.Handler](), handlers["rate_limit"]},
		"identity_assertion": {reflect.TypeFor[identityassertion.Handler](), handlers["identity_assertion"]},
	} {
		for _, missing := range lacking(part.kind, part.values, name, elsewhere) {
			t.Errorf("every-setting.json has no %s", missing)
		}
	}
}

// gather finds handlers by their kind.
func gather(value any, all map[string][]any) {
	switch value := value.(type) {
	case map[string]any:
		if kind, ok := value["handler"].(string); ok {
			all[kind] = append(all[kind], value)
		}
		for _, member := range value {
			gather(member, all)
		}
	case []any:
		for _, element := range value {
			gather(element, all)
		}
	}
}

// lacking gives the members of a struct that none of the values has.
func lacking(kind reflect.Type, values []any, at string, elsewhere []string) (all []string) {
	switch kind.Kind() {
	case reflect.Pointer:
		return lacking(kind.Elem(), values, at, elsewhere)
	case reflect.Slice, reflect.Map:
		return lacking(kind.Elem(), elements(values), at, elsewhere)
	case reflect.Struct:
		for n := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(n).Tag.Get("json"), ",")
			if name == "" || name == "-" || slices.Contains(elsewhere, name) {
				continue
			}
			if members := named(values, name); len(members) == 0 {
				all = append(all, at+"/"+name)
			} else {
				all = append(all, lacking(kind.Field(n).Type, members, at+"/"+name, elsewhere)...)
			}
		}
	}
	return all
}

// elements gives what is in lists and maps.
func elements(values []any) (all []any) {
	for _, value := range values {
		switch value := value.(type) {
		case []any:
			all = append(all, value...)
		case map[string]any:
			all = slices.AppendSeq(all, maps.Values(value))
		}
	}
	return all
}

// named gives the members of a name.
func named(values []any, name string) (all []any) {
	for _, value := range values {
		if object, ok := value.(map[string]any); ok && object[name] != nil {
			all = append(all, object[name])
		}
	}
	return all
}
