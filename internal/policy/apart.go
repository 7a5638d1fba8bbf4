package policy

import (
	"slices"
	"strings"
)

// excludes says whether no request passes both: they are of one group, or of matchers that
// take no request both.
func (r *Route) excludes(other *Route, moved bool) bool {
	switch {
	case r == other:
		return false
	case r.Group != "" && r.Group == other.Group:
		return true
	case moved || len(r.Match) == 0 || len(other.Match) == 0:
		return false
	}
	return !slices.ContainsFunc(r.Match, func(one MatcherSet) bool {
		return slices.ContainsFunc(other.Match, func(another MatcherSet) bool { return !one.excludes(another) })
	})
}

func (s MatcherSet) excludes(other MatcherSet) bool {
	return slices.ContainsFunc(s, func(m Matcher) bool {
		return slices.ContainsFunc(other, func(n Matcher) bool { return areApart(m, n) })
	})
}

// areApart says whether it is plain that no request is for both.
func areApart(m, n Matcher) bool {
	switch m := m.(type) {
	case pathMatcher:
		other, ok := n.(pathMatcher)
		return ok && !overlaps(m.plain, other.plain, plainPattern.meets)
	case hostMatcher:
		other, ok := n.(hostMatcher)
		return ok && !overlaps(m, other, func(a, b string) bool { return strings.EqualFold(a, b) || strings.ContainsAny(a+b, "*{") })
	case methodMatcher:
		other, ok := n.(methodMatcher)
		return ok && !overlaps(m, other, func(a, b string) bool { return a == b || strings.ContainsAny(a+b, "{") })
	default:
		return false
	}
}

func overlaps[T any](some, others []T, meet func(T, T) bool) bool {
	return slices.ContainsFunc(some, func(one T) bool {
		return slices.ContainsFunc(others, func(other T) bool { return meet(one, other) })
	})
}

// meets says whether a path may be of both.
func (p plainPattern) meets(other plainPattern) bool {
	switch {
	case p.not || other.not || strings.Contains(p.text+other.text, "{"):
		return true
	case p.prefix && strings.HasPrefix(other.text, p.text), other.prefix && strings.HasPrefix(p.text, other.text):
		return true
	default:
		return p.text == other.text
	}
}
