package tollgate

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// errLayout is for a Caddy whose Context is another than the one this was written for.
var errLayout = errors.New("this version of Caddy keeps its configuration elsewhere than v2.11 does")

// errSetUp is for an app of which Caddy has let the text go.
var errSetUp = errors.New("was set up before, and its text is gone")

// readConfig gives the configuration that is being loaded, as JSON: who reaches the admin
// API, and the apps http and tollgate.
//
// A module sees its own part of a configuration alone; a policy is in all of it. Caddy
// has no call for that, but its Context points to the Config, whose AppsRaw hold the text
// of each app until that app is set up. Reflection reads it: unexported fields can be
// looked at that way, and not changed. TestCaddyKeepsItsConfig fails with a Caddy in which
// that is not so, and then the policy is not known, which reload_guard takes for wider.
func readConfig(ctx caddy.Context) ([]byte, error) {
	config, err := configOf(ctx)
	if err != nil {
		return nil, err
	}
	apps, admin := config.Elem().FieldByName("AppsRaw"), config.Elem().FieldByName("Admin")
	if !apps.IsValid() || apps.Type() != reflect.TypeFor[caddy.ModuleMap]() || !admin.IsValid() {
		return nil, errLayout
	}
	texts := make(map[string]json.RawMessage)
	for _, name := range []string{"http", "tollgate"} {
		text := apps.MapIndex(reflect.ValueOf(name))
		switch {
		case !text.IsValid():
			continue // is not configured
		case text.Len() == 0:
			return nil, fmt.Errorf("the app %s %w", name, errSetUp)
		}
		texts[name] = slices.Clone(text.Bytes())
	}
	return json.Marshal(map[string]any{"admin": plain(admin), "apps": texts})
}

// configOf gives the *caddy.Config of a context.
func configOf(ctx caddy.Context) (reflect.Value, error) {
	config := reflect.ValueOf(ctx).FieldByName("cfg")
	if !config.IsValid() || config.Type() != reflect.TypeFor[*caddy.Config]() {
		return config, errLayout
	}
	if config.IsNil() {
		return config, errors.New("there is no configuration")
	}
	return config, nil
}

// plain gives a value that encoding/json writes as it would the original, which it may
// not touch.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		members := make(map[string]any)
		for n := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(n).Tag.Get("json"), ",")
			if name != "" && name != "-" {
				members[name] = plain(v.Field(n))
			}
		}
		return members
	case reflect.Slice:
		if v.IsNil() {
			return nil // which an empty list is not
		}
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			return json.RawMessage(slices.Clone(v.Bytes()))
		}
		elements := make([]any, v.Len())
		for n := range elements {
			elements[n] = plain(v.Index(n))
		}
		return elements
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return v.Int()
	default:
		return nil
	}
}
