package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// CheckMembers refuses a configuration of which Caddy could read something else than what
// is read here: encoding/json takes a member for a field that is spelled in other letter
// case, "Handle" for "handle", and of a member that is there twice it takes the last, or
// both. Who looks for "handle" alone would judge another configuration than the one that
// runs. And Caddy takes "@id" out of the text up to the next quotation mark, an escaped
// one too: after that, what was a string can be structure.
func CheckMembers(config []byte) error {
	if !json.Valid(config) { // bounds how deep it is, too
		return json.Unmarshal(config, new(any))
	}
	if err := (&doubles{text: json.NewDecoder(bytes.NewReader(config))}).value(); err != nil {
		return err
	}
	var root any
	if err := json.Unmarshal(config, &root); err != nil {
		return err
	}
	all, _ := root.(object)
	m := new(members)
	m.names("", all, nil)
	apps, _ := all["apps"].(object)
	m.names("/apps", apps, []string{"http", "tollgate"}) // the others are not read, and their names are those of modules
	m.walk("/apps/http", apps["http"], nil)
	m.walk("/apps/tollgate", apps["tollgate"], nil)
	m.walk("/admin", all["admin"], nil)
	return m.err
}

type object = map[string]any

// doubles looks for members that are there twice, and for ids that are not taken out whole.
type doubles struct {
	text *json.Decoder
	path []string
}

func (d *doubles) value() error {
	token, err := d.text.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for n := 0; d.text.More(); n++ {
			if err := d.inside(fmt.Sprint(n)); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		seen := make(map[any]bool)
		for d.text.More() {
			name, err := d.text.Token()
			if err != nil {
				return err
			}
			if seen[name] {
				return fmt.Errorf("/%s: the member %q is there twice", strings.Join(d.path, "/"), name)
			}
			seen[name] = true
			if err := d.inside(fmt.Sprint(name)); err != nil {
				return err
			}
		}
	default:
		if id, ok := token.(string); ok && len(d.path) > 0 && d.path[len(d.path)-1] == "@id" && strings.Contains(id, `"`) {
			return fmt.Errorf("/%s: %q has a quotation mark, at which Caddy cuts it off", strings.Join(d.path, "/"), id)
		}
		return nil
	}
	_, err = d.text.Token() // its end
	return err
}

// maxDepth bounds how deep a configuration is nested: what holds others keeps their text, so
// that one of a hundred kilobytes could take gigabytes. Sixty blocks in each other are less.
const maxDepth = 256

func (d *doubles) inside(name string) error {
	if len(d.path) == maxDepth {
		return fmt.Errorf("/%s/...: is nested deeper than %d", strings.Join(d.path[:8], "/"), maxDepth)
	}
	d.path = append(d.path, name)
	err := d.value()
	d.path = d.path[:len(d.path)-1]
	return err
}

// ours are the handlers and matchers of Caddy and Tollgate: all fields of their settings are
// spelled in lower case. Of those of others nobody here reads more than what nests.
var ours = []string{
	"access_token", "acme_server", "api", "assertion_keys", "authentication", "copy_response", "copy_response_headers", "encode", "error", "file_server",
	"headers", "identity_assertion", "intercept", "invoke", "log_append", "map", "metrics", "push", "rate_limit", "request_body", "require",
	"resource_metadata", "reverse_proxy", "rewrite", "static_response", "subroute", "templates", "timeouts", "tracing", "vars",
	"client_ip", "expression", "file", "header", "header_regexp", "host", "method", "not", "path", "path_regexp", "protocol", "query", "remote_ip",
	"tls", "url_pattern", "vars_regexp",
}

// nesting are the members that lead to handlers and matchers, in handlers of others too.
var nesting = []string{"handle", "handler", "match", "not", "retry_match"}

// named are members whose own members have names that the operator gives, and no fields;
// so do the settings of the matchers in named, and headers outside of a reverse_proxy.
var (
	named         = []string{"servers", "named_routes", "logger_names", "add", "set", "replace", "env", "span_attributes", "claims", "header"}
	namedMatchers = []string{"header", "header_regexp", "query", "vars", "vars_regexp"}
)

// members keeps the first name that could be taken for another.
type members struct{ err error }

// names judges the names of an object's members: all of them, or those like the fields.
func (m *members) names(at string, o object, fields []string) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		folded := fold(name)
		if folded != name && (fields == nil || slices.Contains(fields, folded)) && m.err == nil {
			m.err = fmt.Errorf("%s: the member %q could be taken for %q: write it so", at, name, folded)
		}
	}
}

// fold gives the name of the field that encoding/json takes a name for: beside the capital
// letters, Unicode folds a sign to k and one to s.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if 'a' <= f && f <= 'z' {
				return f
			}
		}
		return r
	}, name)
}

// walk judges a value whose objects have these fields; nil: all that are in lower case.
func (m *members) walk(at string, value any, fields []string) {
	switch value := value.(type) {
	case []any:
		for n, element := range value {
			m.walk(fmt.Sprintf("%s/%d", at, n), element, fields)
		}
	case object:
		m.object(at, value, fields)
	}
}

func (m *members) object(at string, o object, fields []string) {
	handler, isHandler := o["handler"].(string)
	switch {
	case handler == "vars":
		return // all its members are variables
	case isHandler && slices.Contains(ours, handler):
		fields = nil
	case isHandler:
		fields = nesting
	}
	m.names(at, o, fields)
	for _, name := range slices.Sorted(maps.Keys(o)) {
		inside, at := o[name], at+"/"+name
		sets, isList := inside.([]any)
		switch {
		case isList && (name == "match" || name == "not" || name == "retry_match"):
			m.matchers(at, sets)
		case slices.Contains(named, name), name == "headers" && handler != "reverse_proxy", name == "rate_limits" && handler == "rate_limit":
			m.inside(at, inside, fields)
		default:
			m.walk(at, inside, fields)
		}
	}
}

// inside judges what is in an object whose members have names that the operator gives.
func (m *members) inside(at string, value any, fields []string) {
	o, ok := value.(object)
	if !ok {
		m.walk(at, value, fields)
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		m.walk(at+"/"+name, o[name], fields)
	}
}

// matchers judges sets of them, whose members are the names of modules.
func (m *members) matchers(at string, sets []any) {
	for n, set := range sets {
		set, _ := set.(object)
		for _, name := range slices.Sorted(maps.Keys(set)) {
			at := fmt.Sprintf("%s/%d/%s", at, n, name)
			inner, isList := set[name].([]any)
			switch {
			case name == "not" && isList:
				m.matchers(at, inner)
			case slices.Contains(namedMatchers, name):
				m.inside(at, set[name], nil)
			case slices.Contains(ours, name):
				m.walk(at, set[name], nil)
			}
		}
	}
}
