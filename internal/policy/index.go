package policy

import (
	"slices"
	"strings"
)

// longList is from how many routes on it pays to know which of them are out of the
// question for a host and a path: of a thousand, all but a handful.
const longList = 12

// index finds the routes of a long list that a host and a path can be for. What it leaves
// out does not match, however the rest of the request is decided.
type index struct {
	hosts    map[string][]int // in lower case
	exact    map[string][]int // merged paths
	prefixes map[string][]int // of merged paths
	literals map[string][]int // prefixes of clean paths: of regular expressions
	always   []int
}

// newIndex files each route under what one of its matchers compares, for each of its sets.
func newIndex(routes []*Route) *index {
	x := &index{hosts: make(map[string][]int), exact: make(map[string][]int), prefixes: make(map[string][]int), literals: make(map[string][]int)}
	for n, r := range routes {
		if len(r.Match) == 0 || slices.ContainsFunc(r.Match, func(s MatcherSet) bool { return !x.file(s, n) }) {
			x.always = append(x.always, n)
		}
	}
	return x
}

// file says whether there is something to file the set under.
func (x *index) file(set MatcherSet, n int) bool {
	for _, m := range set {
		switch m := m.(type) {
		case hostMatcher:
			if slices.ContainsFunc(m, func(host string) bool { return strings.Contains(host, "*") || !isASCII(host) }) {
				continue
			}
			for _, host := range m {
				add(x.hosts, strings.ToLower(host), n)
			}
			return true
		case pathMatcher:
			if slices.ContainsFunc(m.plain, func(p plainPattern) bool { return p.not }) {
				continue
			}
			for _, p := range m.plain {
				if p.prefix {
					add(x.prefixes, p.text, n)
				} else {
					add(x.exact, p.text, n)
				}
			}
			return true
		case pathRegexp:
			if m.prefix != "" {
				add(x.literals, m.prefix, n)
				return true
			}
		}
	}
	return false
}

func add(under map[string][]int, key string, n int) { under[key] = append(under[key], n) }

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// find gives the places of the routes, in order.
func (x *index) find(host string, p *lowered) []int {
	found := slices.Concat(x.always, x.exact[p.merged])
	if isASCII(host) {
		found = append(found, x.hosts[strings.ToLower(host)]...)
	} else {
		for _, all := range x.hosts {
			found = append(found, all...)
		}
	}
	found = appendPrefixed(found, x.prefixes, p.merged)
	found = appendPrefixed(found, x.literals, p.clean)
	slices.Sort(found)
	return slices.Compact(found)
}

func appendPrefixed(found []int, prefixes map[string][]int, p string) []int {
	if len(prefixes) == 0 {
		return found
	}
	for n := range len(p) + 1 {
		found = append(found, prefixes[p[:n]]...)
	}
	return found
}

// listAt is a list for a path. The host is the same in all walks of an oracle.
type listAt struct {
	first     *Route
	raw, path string
}

// following gives the first route from a place on that is not out of the question; the
// length of the list where there is none. The list is always the whole one: a rewrite may
// have changed the path since the last route.
func (w *walk) following(routes []*Route, at int) int {
	if len(routes) <= longList || w.lost != "" || w.anyHost {
		return at
	}
	alive := w.alive(routes)
	n, _ := slices.BinarySearch(alive, at)
	if n == len(alive) {
		return len(routes)
	}
	return alive[n]
}

// alive gives the places of the routes that are for the walk's host and path, as far as
// these two decide it.
func (w *walk) alive(routes []*Route) []int {
	at := listAt{routes[0], w.path.raw, w.path.clean}
	if places, ok := w.oracle.living[at]; ok {
		return places
	}
	places := w.config.indexes[routes[0]].find(w.site, &w.path)
	w.oracle.looked += len(places)
	matched := w.captured
	places = slices.DeleteFunc(places, func(n int) bool { return excluded(routes[n].Match, w) })
	w.captured = matched // they have not been their turn yet
	if w.oracle.living == nil {
		w.oracle.living = make(map[listAt][]int)
	}
	w.oracle.living[at] = places
	return places
}

// excluded says whether host and path alone keep a request from every set.
func excluded(sets []MatcherSet, w *walk) bool {
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m Matcher) bool { return excludes(m, w) }) {
			return false
		}
	}
	return len(sets) > 0
}

func excludes(m Matcher, w *walk) bool {
	switch m := m.(type) {
	case hostMatcher, pathRegexp:
		return !m.matches(w)
	case pathMatcher:
		return !m.escapes && !m.matches(w)
	default:
		return false
	}
}
