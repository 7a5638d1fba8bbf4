package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// MatcherSet matches where all of it do.
type MatcherSet []Matcher

// Matcher says whether a rule is for a request.
type Matcher interface {
	// matches asks the walk for what is not decided yet.
	matches(*walk) bool
	// String is how the Caddyfile would say it.
	String() string
}

// String joins them.
func (s MatcherSet) String() string {
	texts := make([]string, len(s))
	for n, m := range s {
		texts[n] = m.String()
	}
	return strings.Join(texts, " ")
}

func (s MatcherSet) matches(w *walk) bool {
	for _, m := range s {
		if !m.matches(w) {
			return false
		}
	}
	return true
}

func anySet(sets []MatcherSet, w *walk) bool {
	for _, s := range sets {
		if s.matches(w) {
			return true
		}
	}
	return len(sets) == 0
}

// matcherOrder has what is decided first, so that nothing is asked of a request that is
// for another rule anyway.
var matcherOrder = []string{"host", "path", "path_regexp", "protocol", "method"}

// matchers reads one set. The order of a set does not change what it means.
func (p *parser) matchers(at string, raw map[string]json.RawMessage) MatcherSet {
	names := slices.SortedFunc(maps.Keys(raw), func(a, b string) int {
		if rank := matcherRank(a) - matcherRank(b); rank != 0 {
			return rank
		}
		return strings.Compare(a, b)
	})
	var set MatcherSet
	for _, name := range names {
		m, err := p.matcher(at, name, raw[name])
		p.fail(at+" "+name, err)
		if err == nil {
			set = append(set, m)
		}
	}
	return set
}

func matcherRank(name string) int {
	if n := slices.Index(matcherOrder, name); n >= 0 {
		return n
	}
	return len(matcherOrder)
}

func (p *parser) matcher(at, name string, raw json.RawMessage) (Matcher, error) {
	unknown := unknownMatcher{name, string(raw)}
	if slices.Contains(replacing, name) && hasBraces(raw) {
		return unknown, nil
	}
	switch name {
	case "host":
		return newHostMatcher(raw)
	case "path":
		var patterns []string
		err := json.Unmarshal(raw, &patterns)
		return newPathMatcher(patterns), err
	case "path_regexp":
		return newPathRegexp(raw)
	case "method":
		var methods methodMatcher
		err := json.Unmarshal(raw, &methods)
		for n := range methods {
			methods[n] = strings.ToUpper(methods[n])
		}
		return methods, err
	case "protocol":
		var protocol protocolMatcher
		err := json.Unmarshal(raw, &protocol)
		if protocol != "http" && protocol != "https" {
			return unknown, err
		}
		return protocol, err
	case "header":
		var fields headerMatcher
		err := json.Unmarshal(raw, &fields)
		return fields, err
	case "header_regexp":
		return newHeaderRegexp(raw)
	case "query":
		var pairs queryMatcher
		err := json.Unmarshal(raw, &pairs)
		return pairs, err
	case "remote_ip", "client_ip":
		return newAddressMatcher(name, raw)
	case "not":
		return p.not(at, raw)
	case "expression":
		if m, ok := newErrorMatcher(raw); ok {
			return m, nil
		}
		return unknown, nil
	default:
		return unknown, nil
	}
}

// replacing are the matchers that fill in placeholders: of any name, and one that nobody
// knows by nothing.
var replacing = []string{"host", "path", "header", "query", "remote_ip", "client_ip"}

// hasBraces says whether a text in JSON has what could be a placeholder, or an escaped brace.
func hasBraces(raw json.RawMessage) bool {
	var value any
	return json.Unmarshal(raw, &value) != nil || bracesIn(value)
}

func bracesIn(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.ContainsAny(value, "{}")
	case []any:
		return slices.ContainsFunc(value, bracesIn)
	case map[string]any:
		for name, member := range value {
			if bracesIn(name) || bracesIn(member) {
				return true
			}
		}
	}
	return false
}

// hasPlaceholder says whether a text has what only a request, or the environment, fills in.
// The destinations of a map may have any name.
func hasPlaceholder(text string) bool {
	_, rest, opened := strings.Cut(text, "{")
	return opened && strings.Contains(rest, "}")
}

// placeholder finds them in JSON, where braces are more than that.
var placeholder = regexp.MustCompile(`\{[a-zA-Z][^{}\n"]*\}`)

// unknownMatcher is one whose meaning is not known here.
type unknownMatcher struct{ name, raw string }

func (m unknownMatcher) String() string       { return m.name + " " + m.raw }
func (m unknownMatcher) matches(w *walk) bool { return w.unknownNow("matcher " + m.String()) }

type methodMatcher []string

func (m methodMatcher) String() string { return "method " + strings.Join(m, " ") }

func (m methodMatcher) matches(w *walk) bool {
	if w.lostMethod != "" {
		return w.unknown(m.String() + " after " + w.lostMethod)
	}
	return slices.Contains(m, w.currentMethod())
}

type protocolMatcher string

func (m protocolMatcher) String() string       { return "protocol " + string(m) }
func (m protocolMatcher) matches(w *walk) bool { return (m == "https") == w.req.TLS }

// headerMatcher wants of each field one of its values; with none, that it is there; with
// null, that it is not.
type headerMatcher map[string][]string

func (m headerMatcher) String() string { return "header " + compact(m) }

func (m headerMatcher) matches(w *walk) bool {
	return everyField(w, m, decideField, fieldMatches)
}

// decideField is fieldMatches while the values are not decided.
func decideField(w *walk, part string, wanted []string) bool {
	switch {
	case wanted == nil:
		return !w.hasAny(part)
	case len(wanted) == 0, slices.Contains(wanted, "*"):
		return w.hasAny(part)
	default:
		return w.hasSome(part, wantedOf(wanted))
	}
}

// everyField says whether each field has what is wanted of it, as far as its values are known.
func everyField[T any](w *walk, wanted map[string]T, decide func(w *walk, part string, want T) bool, matches func(want T, values []string) bool) bool {
	for _, field := range slices.Sorted(maps.Keys(wanted)) {
		if part, open := w.openField(field); open {
			if !decide(w, part, wanted[field]) {
				return false
			}
			continue
		}
		values, known := w.matched(field)
		if !known {
			if !w.unknown("header " + field + ", which a handler before has set") {
				return false
			}
			continue
		}
		if !matches(wanted[field], values) {
			return false
		}
	}
	return true
}

func fieldMatches(wanted, values []string) bool {
	switch {
	case wanted != nil && len(wanted) == 0 && values != nil, wanted == nil && values == nil:
		return true
	}
	return slices.ContainsFunc(values, func(value string) bool {
		return slices.ContainsFunc(wanted, func(pattern string) bool { return valueMatches(pattern, value) })
	})
}

func valueMatches(pattern, value string) bool {
	starts, ends := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	switch {
	case pattern == "*":
		return true
	case starts && ends:
		return strings.Contains(value, pattern[1:len(pattern)-1])
	case starts:
		return strings.HasSuffix(value, pattern[1:])
	case ends:
		return strings.HasPrefix(value, pattern[:len(pattern)-1])
	default:
		return value == pattern
	}
}

// queryMatcher wants of each key one of its values, * for any; without a key, no query.
type queryMatcher map[string][]string

func (m queryMatcher) String() string { return "query " + compact(m) }

func (m queryMatcher) matches(w *walk) bool {
	if w.lostQuery != "" {
		return w.unknown(m.String() + " after " + w.lostQuery)
	}
	if len(m) == 0 {
		return len(lenient(w.query())) == 0
	}
	if !w.queryChanged && w.req.open != nil && !w.req.open["query"] && w.oracle.lines != nil {
		return m.decide(w)
	}
	parsed, err := url.ParseQuery(w.query())
	if err != nil {
		return false
	}
	for key, wanted := range m {
		values, there := parsed[key]
		if !there || !slices.ContainsFunc(wanted, func(v string) bool { return v == "*" || slices.Contains(values, v) }) {
			return false
		}
	}
	return true
}

// decide is matches while the parameters are not decided.
func (m queryMatcher) decide(w *walk) bool {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		part, wanted := "query "+key, m[key]
		if slices.Contains(wanted, "*") {
			if !w.hasAny(part) {
				return false
			}
		} else if !w.hasSome(part, func(value string) bool { return slices.Contains(wanted, value) }) {
			return false
		}
	}
	return true
}

// lenient is what net/url makes of a query that is not all well formed.
func lenient(query string) url.Values { u := url.URL{RawQuery: query}; return u.Query() }

// addressMatcher compares the connection's address, or that of the client behind trusted proxies.
type addressMatcher struct {
	name   string
	ranges []netip.Prefix
}

func newAddressMatcher(name string, raw json.RawMessage) (Matcher, error) {
	var options struct {
		Ranges []string `json:"ranges"`
	}
	if err := json.Unmarshal(raw, &options); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(options.Ranges, func(text string) bool { return strings.Contains(text, "%") }) {
		return unknownMatcher{name, string(raw)}, nil
	}
	ranges, err := prefixes(options.Ranges)
	return addressMatcher{name, ranges}, err
}

func (m addressMatcher) String() string { return fmt.Sprintf("%s %v", m.name, m.ranges) }

func (m addressMatcher) matches(w *walk) bool {
	if w.steered != "" && m.name == "client_ip" {
		return w.unknown(m.String() + " after " + w.steered)
	}
	if m.name == "client_ip" {
		return m.has(w.client())
	}
	return m.has(w.remote())
}

func (m addressMatcher) has(address netip.Addr) bool {
	address = address.WithZone("") // no range here has one
	return slices.ContainsFunc(m.ranges, func(p netip.Prefix) bool { return p.Contains(address) })
}

// notMatcher matches where none of its sets does.
type notMatcher []MatcherSet

func (p *parser) not(at string, raw json.RawMessage) (Matcher, error) {
	var sets []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &sets); err != nil {
		return nil, err
	}
	var m notMatcher
	for _, set := range sets {
		m = append(m, p.matchers(at+"/not", set))
	}
	return m, nil
}

func (m notMatcher) String() string {
	texts := make([]string, len(m))
	for n, s := range m {
		texts[n] = "not {" + s.String() + "}"
	}
	return strings.Join(texts, " ")
}

func (m notMatcher) matches(w *walk) bool {
	return !slices.ContainsFunc(m, func(s MatcherSet) bool { return s.matches(w) })
}

// canonicalField is how Go spells the field.
func canonicalField(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

func compact(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}
