package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// headerRegexp wants of each field a value that an expression finds something in.
type headerRegexp map[string]namedRegexp

// namedRegexp is an expression, and what placeholders call what it finds.
type namedRegexp struct {
	*regexp.Regexp
	name string
}

// group gives the number of a group that placeholders call so, if it is one of its groups.
func (r namedRegexp) group(name string) (n int, ok bool) {
	own, named := strings.CutPrefix(name, r.name+".")
	if !named || r.name == "" {
		own = name
	}
	n, err := strconv.Atoi(own)
	if err != nil {
		n = r.SubexpIndex(own)
	}
	return n, n >= 0 && n <= r.NumSubexp()
}

func newHeaderRegexp(raw json.RawMessage) (Matcher, error) {
	var fields map[string]struct {
		Name    string `json:"name"`
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
		m[field] = namedRegexp{compiled, options.Name}
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
	return everyField(w, m, decideRegexp, func(want namedRegexp, values []string) bool {
		n := slices.IndexFunc(values, want.MatchString)
		if n >= 0 {
			w.captured = append(w.captured, captured{want.Regexp, want.name, values[n]})
		}
		return n >= 0
	})
}

// decideRegexp decides whether a value is one that is wanted, while they are not decided.
func decideRegexp(w *walk, part string, want namedRegexp) bool {
	told := func(r *regexp.Regexp) bool { return w.hasSome(part, r.MatchString) }
	if !slices.ContainsFunc(w.oracle.lines[part].told[want.String()], told) && !w.hasSome(part, want.MatchString) {
		return false
	}
	values := w.req.parts[part].values
	n := slices.IndexFunc(values, want.MatchString)
	if n >= 0 {
		w.captured = append(w.captured, captured{want.Regexp, want.name, values[n]})
	}
	return n >= 0
}
