package policy

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
)

// headerRegexp wants of each field a value that an expression finds something in.
type headerRegexp map[string]*regexp.Regexp

func newHeaderRegexp(raw json.RawMessage) (Matcher, error) {
	var fields map[string]struct {
		Pattern string `json:"pattern"`
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	m := make(headerRegexp, len(fields))
	for field, options := range fields {
		compiled, err := regexp.Compile(options.Pattern)
		if err != nil {
			return nil, err
		}
		m[field] = compiled
	}
	return m, nil
}

func (m headerRegexp) String() string {
	patterns := make(map[string]string, len(m))
	for field, compiled := range m {
		patterns[field] = compiled.String()
	}
	return "header_regexp " + compact(patterns)
}

func (m headerRegexp) matches(w *walk) bool {
	for _, field := range slices.Sorted(maps.Keys(m)) {
		values, known := w.field(field)
		if !known {
			if !w.unknown("header " + field + ", which a handler before has set") {
				return false
			}
			continue
		}
		if !slices.ContainsFunc(values, m[field].MatchString) {
			return false
		}
	}
	return true
}
