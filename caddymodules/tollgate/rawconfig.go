package tollgate

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"weak"

	"github.com/caddyserver/caddy/v2"
)

// errLayout is for a Caddy whose Context is another than the one this was written for.
var errLayout = errors.New("this version of Caddy keeps its configuration elsewhere than v2.11 does")

// errSetUp is for an app of which Caddy has let the text go, as it does before remote
// administration is set up beside an admin API that is off.
var errSetUp = errors.New("was set up before, and its text is gone")

// errEarly is for one that something before the admin API has asked for.
var errEarly = errors.New("was set up before the admin API, and its text is gone")

// readConfig gives the configuration that is being loaded, as JSON: the admin API, and
// all apps.
//
// A module sees its own part of a configuration alone; a policy is in all of it. Caddy
// has no call for that, but its Context points to the Config, whose AppsRaw hold the text
// of each app until that app is set up. Reflection reads it: unexported fields can be
// looked at that way, and not changed. TestCaddyKeepsItsConfig fails with a Caddy in which
// that is not so, and then the policy is not known, which reload_guard takes for wider.
//
// The admin API is set up before any app, and is when all of them are read. Where it is
// off, Caddy takes the apps in any order, and what it took before Tollgate is gone: then
// only http and tollgate are there for sure, and only those are read. The texts of storage
// and logging are gone in any case.
func readConfig(ctx caddy.Context) ([]byte, error) {
	config, err := configOf(ctx)
	if err != nil {
		return nil, err
	}
	apps, admin := config.Elem().FieldByName("AppsRaw"), config.Elem().FieldByName("Admin")
	if !apps.IsValid() || apps.Type() != reflect.TypeFor[caddy.ModuleMap]() || !admin.IsValid() || admin.Type() != reflect.TypeFor[*caddy.AdminConfig]() {
		return nil, errLayout
	}
	off := !admin.IsNil() && admin.Elem().FieldByName("Disabled").Bool()
	texts := make(map[string]json.RawMessage)
	for name, text := range apps.Seq2() {
		switch name := name.String(); {
		case off && name != "http" && name != "tollgate":
			continue
		case text.Len() == 0 && off:
			return nil, fmt.Errorf("the app %s %w", name, errSetUp)
		case text.Len() == 0:
			return nil, fmt.Errorf("the app %s %w", name, errEarly)
		default:
			texts[name] = slices.Clone(text.Bytes())
		}
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

// activeConfig tells the configuration that Caddy runs, which one is once it has started
// whole, from others. It keeps none in memory: each of them would keep the one before it.
func activeConfig() weak.Pointer[caddy.Config] {
	config, err := configOf(caddy.ActiveContext())
	if err != nil {
		return weak.Pointer[caddy.Config]{}
	}
	return weak.Make((*caddy.Config)(config.UnsafePointer()))
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
