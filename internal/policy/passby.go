package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What each handler that hands on, and each matcher, has made of a request for those behind it.

// passBy notes what a handler does that hands on.
func (r *Rule) passBy(h Handler) {
	switch h := h.(type) {
	case *Pass:
		made := make(map[string][]option)
		for name, text := range h.vars {
			made["http.vars."+name] = r.optionsOf(text)
		}
		if h.setBody != "" {
			for _, name := range bodyKeys {
				made[name] = r.optionsOf(h.setBody)
			}
		}
		if h.What == "map" {
			maps.Copy(made, r.mapped(&h.mapping))
		}
		for key, options := range made {
			r.on.put(key, options)
		}
		if h.What == "templates" {
			r.on.put(templateKey, append(slices.Clip(r.on.now(templateKey)), option{template: h}))
		}
	case *Rewrite:
		r.rewrite(h)
	case *Headers:
		for _, name := range h.Request.names() {
			r.putField(h.Request, name)
		}
	case *StaticError:
		for _, key := range []string{messageKey, errorKey} {
			r.on.put(key, append(slices.Clip(r.on.now(key)), r.optionsOf(h.Message)...))
		}
	case *Steers, *Unknown:
		r.on.moved = true
	}
}

var groupOfOutput = regexp.MustCompile(`\$\{?\w+\}?`)

// mapped gives what a map may make of each destination: an expression's output can have parts
// of the source.
func (r *Rule) mapped(m *mapping) map[string][]option {
	all := make(map[string][]option)
	for n, destination := range m.Destinations {
		var outputs []string
		for _, mapping := range m.Mappings {
			if n >= len(mapping.Outputs) || mapping.Outputs[n] == nil {
				continue
			}
			output := fmt.Sprint(mapping.Outputs[n])
			if mapping.Expression != "" {
				output = groupOfOutput.ReplaceAllLiteralString(output, parts(m.Source))
			}
			outputs = append(outputs, output)
		}
		if n < len(m.Defaults) {
			outputs = append(outputs, m.Defaults[n])
		} else {
			outputs = append(outputs, "")
		}
		options := r.optionsOf(outputs...)
		for _, output := range outputs {
			if hasPlaceholder(output) {
				options = append(options, option{text: output, written: output, late: true})
			}
		}
		all[strings.Trim(destination, "{}")] = options
	}
	return all
}

// names are those of the fields that it changes, as far as they are written.
func (c *fieldChanges) names() (all []string) {
	if c == nil {
		return nil
	}
	written := slices.Concat(slices.Collect(maps.Keys(c.Add)), slices.Collect(maps.Keys(c.Set)), slices.Collect(maps.Keys(c.Replace)), c.Delete)
	for _, name := range written {
		if !strings.ContainsAny(name, "{*") {
			all = append(all, canonicalField(name))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// putField notes what becomes of one field of the request.
func (r *Rule) putField(c *fieldChanges, field string) {
	if c == nil || !slices.Contains(c.names(), field) {
		return
	}
	options := slices.Clip(r.on.now(fieldKey(field)))
	options = append(options, r.optionsOf(valuesOf(c.Add, field)...)...)
	if values := valuesOf(c.Set, field); len(values) > 0 {
		options = r.optionsOf(values...)
	}
	if slices.ContainsFunc(c.Delete, func(name string) bool { return canonicalField(name) == field }) {
		options = []option{{}}
	}
	for _, one := range valuesOf(c.Replace, field) {
		options = append(slices.Clip(options), r.optionsOf(one.With)...)
	}
	r.on.moved = r.on.moved || field == "Host"
	r.on.put(fieldKey(field), options)
}

// valuesOf gives what is said of a field, however it is spelled.
func valuesOf[T any](of map[string][]T, field string) (all []T) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if canonicalField(name) == field {
			all = append(all, of[name]...)
		}
	}
	return all
}

// rewrite notes what becomes of the path.
func (r *Rule) rewrite(h *Rewrite) {
	if h == nil {
		return
	}
	r.on.moved = true
	options := slices.Clip(r.on.now(uriKey))
	var made []option
	for _, o := range r.optionsOf(h.URI) {
		if o.text = pathIn(o.text); o.text != "" {
			made = append(made, o)
		}
	}
	if len(made) > 0 && !strings.Contains(h.URI, "{http.request.uri") {
		options = nil
	}
	for _, one := range h.Substring {
		made = append(made, r.optionsOf(one.With)...)
	}
	for _, one := range h.PathRegexp {
		made = append(made, r.optionsOf(one.With)...)
	}
	if options = append(options, made...); len(made) > 0 {
		r.on.put(uriKey, options)
	}
	if h.StripPrefix+h.StripSuffix == "" && len(h.Substring)+len(h.PathRegexp) == 0 {
		return
	}
	for _, o := range options { // of which the beginning may be gone
		if hasPlaceholder(o.text) && o.text != "{"+pathPlaceholder+"}" {
			o.text = "/" + anyPart(o.text)
			r.on.put(uriKey, append(slices.Clip(r.on.now(uriKey)), o))
		}
	}
}

var queries = strings.NewReplacer("{http.request.uri}", "{http.request.uri.path}?", "{http.request.orig_uri}", "{http.request.orig_uri.path}?",
	"{http.request.uri.prefixed_query}", "?", "{http.request.orig_uri.prefixed_query}", "?")

// pathIn is the path of what is rewritten to; empty: only the query is another.
func pathIn(uri string) string {
	path, _, _ := strings.Cut(queries.Replace(uri), "?")
	return path
}

// matched notes what matchers have found of which placeholders are made.
func (r *Rule) matched(sets []MatcherSet) {
	found := make(map[string][]option)
	add := func(all map[string]string) {
		for key, text := range all {
			found[key] = append(found[key], r.optionsOf(text)...)
		}
	}
	for _, set := range sets {
		for _, m := range set {
			switch m := m.(type) {
			case pathRegexp:
				add(groups(m.compiled, m.name, pathPlaceholder))
			case headerRegexp:
				for field, one := range m {
					add(groups(one.Regexp, one.name, fieldKey(field)))
				}
			case unknownMatcher:
				if m.name == "file" {
					for _, part := range []string{"relative", "absolute"} {
						found["http.matchers.file."+part] = append(found["http.matchers.file."+part], r.optionsOf(triedFiles(m.raw)...)...)
					}
				}
			}
		}
	}
	for key, options := range found {
		r.on.put(key, options)
	}
}

// triedFiles are those that a matcher of files looks for, which it can be rewritten to.
func triedFiles(raw string) []string {
	var m struct {
		TryFiles []string `json:"try_files"`
	}
	_ = json.Unmarshal([]byte(raw), &m) // what is not read so does not load
	if len(m.TryFiles) == 0 {
		return []string{"{" + pathPlaceholder + "}"}
	}
	return m.TryFiles
}
