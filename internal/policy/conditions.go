package policy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// conditional is something that holds where all conditions do; always where there are none.
type conditional[T any] struct {
	what T
	when conditions
}

// conditions are the lists of sets that stand before something, the outer ones first. Of
// each list one set has to match.
type conditions [][]MatcherSet

// String is as the Caddyfile would say it.
func (c conditions) String() string {
	texts := make([]string, len(c))
	for n, sets := range c {
		texts[n] = setsText(sets)
	}
	return strings.Join(texts, " ")
}

// under gives them below one more list; none has no condition.
func (c conditions) under(sets []MatcherSet) conditions {
	if len(sets) == 0 {
		return c
	}
	return append(conditions{sets}, c...)
}

func setsText(sets []MatcherSet) string {
	texts := make([]string, len(sets))
	for n, s := range sets {
		texts[n] = s.String()
	}
	return strings.Join(texts, " or ")
}

func joinConditions(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

// meets says whether all requests of the rule with one of the methods meet the conditions:
// because the rule itself is below them, or because they ask for no more than a method.
func (r *Rule) meets(c conditions, methods []string) bool {
	return !slices.ContainsFunc(c, func(sets []MatcherSet) bool {
		below := slices.Contains(r.below, setsText(sets))
		return !below && !slices.ContainsFunc(sets, func(s MatcherSet) bool { return s.takes(methods) })
	})
}

// takes says whether the set asks for nothing but a method, and all of these will do.
func (s MatcherSet) takes(methods []string) bool {
	for _, m := range s {
		listed, ok := m.(methodMatcher)
		if !ok || len(methods) == 0 || slices.ContainsFunc(methods, func(method string) bool { return !slices.Contains(listed, method) }) {
			return false
		}
	}
	return true
}

// readers are the methods that change nothing.
var readers = []string{http.MethodGet, http.MethodHead, http.MethodOptions}

// writes gives the methods of the rule that can change something. What they are is not
// known where a handler has changed the method.
func (r *Rule) writes() (methods []string) {
	if len(r.sentAs) > 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Methods), func(m string) bool { return slices.Contains(readers, m) })
}

// unknownIn names the matchers of the sets that are not analysed, those within not as well.
func unknownIn(sets []MatcherSet) (names []string) {
	visitMatchers(sets, func(m Matcher) {
		if unknown, ok := m.(unknownMatcher); ok {
			names = append(names, unknown.String())
		}
	})
	return names
}

// asksForField says whether every set wants a header field to be there.
func asksForField(sets []MatcherSet, name string) bool {
	return len(sets) > 0 && !slices.ContainsFunc(sets, func(s MatcherSet) bool {
		return !slices.ContainsFunc(s, func(m Matcher) bool {
			switch m := m.(type) {
			case headerMatcher:
				return m.asksFor(name)
			case headerRegexp:
				return slices.ContainsFunc(slices.Collect(maps.Keys(m)), func(field string) bool { return canonicalField(field) == name })
			default:
				return false
			}
		})
	})
}

func (m headerMatcher) asksFor(name string) bool {
	for field, values := range m {
		if canonicalField(field) == name && values != nil { // null: it must not be there
			return true
		}
	}
	return false
}
