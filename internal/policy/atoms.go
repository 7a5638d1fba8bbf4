package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// atoms are requests that stand for all others: one for each way in which the matchers of
// the configurations can tell requests apart. Hosts and paths are listed; methods, fields,
// parameters and addresses are decided when a matcher asks for them, so that nothing is
// multiplied that does not matter.
type atoms struct {
	paths      []string
	patterns   []string // of path matchers, in lower case
	regexps    []string
	finders    []finder    // what they find, placeholders tell
	conditions []condition // of paths, as they were sent
	methods    []string
	queries    []string       // all of one
	parameters []string       // that rewrites look at: all of them in one query
	captures   map[string]int // that are filled in, and how many of the finders have had a look at each
	filled     []string       // parameters that are filled in
	fills      []condition    // of paths that have what is filled in
	addresses  []netip.Addr
	networks   []addressMatcher
	fields     map[string][][]string
	wanted     map[string][]string     // patterns of header fields
	lines      map[string]*lines       // of fields and parameters, by "header NAME" and "query NAME"
	cut        []string                // what there is more of than is tried
	missed     []string                // what no request here is for
	catches    bool                    // there are error routes
	codes      []func(status int) bool // that these ask for
	hosts      *hostClasses            // which ports they tell apart
}

// stranger is a word that no configuration has.
const stranger = "zq7"

// newAtoms gathers what the matchers of all these servers compare with, where they can
// meet a request for one of the hosts; for any host, where there are none.
func newAtoms(t *textFinder, hosts []string, servers ...*Server) *atoms {
	a := &atoms{fields: make(map[string][][]string), wanted: make(map[string][]string), lines: make(map[string]*lines)}
	a.methods = slices.Clone(knownMethods)
	a.queries = []string{""}
	said, repeats := make(map[string]bool), false
	for _, s := range servers {
		a.gatherProxies(s)
		v := visitor{hosts: hosts, server: s, atoms: a, named: make(map[string]map[view][]view)}
		v.routes(s.Routes, []view{{}})
		v.telling = true
		v.routes(s.Errors, []view{{}})
		a.catches = a.catches || reaches(s.Errors)
		said[strings.Join(v.words, "\n")] = true
		repeats = repeats || v.repeats
	}
	differ := func(s *Server) bool { return s.written() != servers[0].written() }
	a.catches = a.catches || len(said) > 1 || repeats && slices.ContainsFunc(servers, differ) // else, who fails on the way is told the same
	a.methods = unique(append(a.methods, strings.ToUpper(stranger)))
	if len(a.parameters) > 0 {
		a.queries = append(a.queries, strings.Join(unique(a.parameters), "&"))
	}
	a.queries = unique(a.queries)
	a.listAddresses()
	for _, s := range servers {
		a.gatherClients(s)
	}
	a.listPaths(t)
	for _, part := range slices.Sorted(maps.Keys(a.lines)) {
		if !a.lines[part].list(t) {
			a.cut = append(a.cut, part)
		}
	}
	a.fillableParameters()
	for field, patterns := range a.wanted {
		a.fields[field] = fieldValues(unique(append(patterns, a.lines["header "+field].texts()...)))
	}
	return a
}

// gatherHandler has what handlers tell requests apart by.
func (a *atoms) gatherHandler(h Handler) {
	switch h := h.(type) {
	case *Subroute:
		a.catches = a.catches || h.caught
	case *Intercept:
		for _, r := range h.responses {
			a.catches = a.catches || reaches(r.routes)
			if r.statuses != nil {
				a.codes = append(a.codes, r.has)
			}
		}
	case *Rewrite:
		h.gather(a)
	case *Proxy:
		if h.Rewrite != nil {
			h.Rewrite.gather(a)
		}
	}
}

// gatherValues has these values, and one that nothing has, for what a placeholder takes
// from the request.
func (a *atoms) gatherValues(placeholder string, values ...string) {
	if field, ok := strings.CutPrefix(placeholder, "http.request.header."); ok {
		field = canonicalField(field)
		a.wanted[field] = append(a.wanted[field], values...)
	}
	if key, ok := strings.CutPrefix(placeholder, "http.request.uri.query."); ok {
		a.linesOf("query " + key).add(values...)
		for _, value := range append(values, stranger) {
			a.queries = append(a.queries, key+"="+value)
		}
	}
}

func (a *atoms) gather(m Matcher, seen []view) {
	switch m := m.(type) {
	case pathMatcher:
		a.patterns = append(a.patterns, m.patterns...)
		if expr := globExpression(m.patterns); expr != "" {
			a.gatherPath(expr, m.String(), seen)
		}
		if slices.ContainsFunc(m.patterns, isOfEmptySegments) {
			a.cut = append(a.cut, m.String()+", which looks at empty segments")
		}
	case pathRegexp:
		a.regexps, a.finders = append(a.regexps, m.pattern), append(a.finders, finder{namedRegexp{m.compiled, m.name}, "", seen})
		a.gatherPath(m.pattern, m.String(), seen)
	case methodMatcher:
		a.methods = append(a.methods, m...)
		a.gatherMethod(m.String(), seen)
	case headerMatcher:
		for field, patterns := range m {
			field = canonicalField(field)
			a.wanted[field] = append(a.wanted[field], patterns...)
			a.linesOf("header "+field).gather(valuesExpression(patterns), len(patterns) > 0, wantedOf(patterns))
		}
	case headerRegexp:
		for field, compiled := range m {
			field = canonicalField(field)
			a.finders = append(a.finders, finder{compiled, field, seen})
			a.wanted[field] = append(a.wanted[field], regexpInstances(compiled.String(), manySamples)...)
			a.linesOf("header "+field).gather(compiled.String(), true, compiled.MatchString)
		}
	case queryMatcher:
		a.gatherQuery(m)
		a.missQuery(m.String(), seen)
	case errorMatcher:
		a.codes = append(a.codes, m.codes)
	case addressMatcher:
		a.networks = append(a.networks, m)
	}
}

// gatherPath has a condition of the path as it was sent, for each way in which it is seen.
func (a *atoms) gatherPath(expr, what string, seen []view) {
	a.conditions = append(a.conditions, a.conditionsOf(expr, what, seen)...)
}

func (a *atoms) conditionsOf(expr, what string, seen []view) (all []condition) {
	for _, v := range seen {
		if v.lost {
			a.cut = append(a.cut, what+", which looks at what a rewrite makes of the path")
		}
		if v.lost, v.lostQuery, v.lostMethod = false, false, false; !v.same {
			all = append(all, condition{expr, v})
		}
	}
	return all
}

// missQuery is for what looks at the query.
func (a *atoms) missQuery(what string, seen []view) {
	if slices.ContainsFunc(seen, func(v view) bool { return v.lostQuery }) {
		a.cut = append(a.cut, what+", which looks at what a rewrite makes of the query")
	}
}

// gatherMethod is for what looks at the method.
func (a *atoms) gatherMethod(what string, seen []view) {
	if slices.ContainsFunc(seen, func(v view) bool { return v.lostMethod }) {
		a.cut = append(a.cut, what+", which looks at what a rewrite makes of the method")
	}
}

func (a *atoms) gatherQuery(m queryMatcher) {
	var parts []string
	for key, values := range m {
		value := stranger
		if len(values) > 0 && values[0] != "*" {
			value = values[0]
		}
		escaped := url.QueryEscape(key) + "="
		a.queries = append(a.queries, escaped+url.QueryEscape(value), escaped+stranger)
		parts = append(parts, escaped+url.QueryEscape(value))
		lines := a.linesOf("query " + key)
		for _, other := range values {
			lines.add(other)
			lines.gather("^(?:"+regexp.QuoteMeta(other)+")$", other != "*", func(value string) bool { return value == other })
		}
	}
	slices.Sort(parts)
	a.queries = append(a.queries, strings.Join(parts, "&"), stranger+"=1")
}

// listAddresses has one for each way in which the networks can have an address: where
// those that begin or end somewhere are the same, all between are.
func (a *atoms) listAddresses() {
	all := []netip.Addr{netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr("2001:db8::77")}
	for _, m := range a.networks {
		for _, prefix := range m.ranges {
			first := prefix.Masked().Addr()
			all = append(all, first, first.Next(), first.Prev(), lastOfNetwork(prefix), lastOfNetwork(prefix).Next())
		}
	}
	known := make(map[string]bool)
	for _, address := range all {
		if !address.IsValid() {
			continue
		}
		var in []int
		for n, m := range a.networks {
			if m.has(address) {
				in = append(in, n)
			}
		}
		if key := keyOf(in); !known[key] {
			known[key], a.addresses = true, append(a.addresses, address)
		}
	}
}

// lastOfNetwork is its last address.
func lastOfNetwork(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for n := p.Bits(); n < len(bytes)*8; n++ {
		bytes[n/8] |= 0x80 >> (n % 8)
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

// fieldValues gives instances of the patterns of a field, one that is like none, and none.
func fieldValues(patterns []string) [][]string {
	values := [][]string{nil, {stranger}}
	for _, p := range patterns {
		values = append(values, []string{strings.ReplaceAll(p, "*", "")}, []string{strings.ReplaceAll(p, "*", stranger)})
	}
	slices.SortFunc(values, slices.Compare)
	values = slices.CompactFunc(values, slices.Equal)
	return append([][]string{nil}, slices.DeleteFunc(values, func(v []string) bool { return v == nil })...)
}

func (a *atoms) listPaths(t *textFinder) {
	a.patterns, a.regexps = unique(a.patterns), unique(a.regexps)
	paths := []string{"/", "/" + stranger}
	for _, p := range a.patterns {
		instances := pathInstances(p)
		if paths = append(paths, instances...); !sampled(p, instances) {
			a.missed = append(a.missed, "matcher path "+p+", for which no request is known")
		}
	}
	most := min(maxInstances, max(2, manyPaths/max(1, len(a.regexps))))
	for _, r := range a.regexps {
		paths = append(paths, regexpInstances(r, most)...)
	}
	texts, whole := t.of(unique(a.conditions), pathLetters)
	climbing, wholly := a.climbing(t)
	if len(a.fills) > 0 {
		filled, all := t.find(unique(slices.Concat(a.conditions, a.fills)), pathLetters, moreWork, &t.more)
		texts, whole = append(slices.Clip(texts), filled...), whole && all
	}
	for _, text := range slices.Concat(texts, climbing) {
		paths = append(paths, (&url.URL{Path: text}).EscapedPath())
	}
	if !whole || !wholly {
		a.cut = append(a.cut, "paths, of which matchers can tell too many apart")
	}
	for n, p := range paths {
		paths[n] = sendable(p)
	}
	a.paths = unique(slices.DeleteFunc(paths, func(p string) bool {
		_, err := parseTarget(p)
		return err != nil || len(p) > maxPath
	}))
}

// climbing gives paths that lead out of what rewrites put before them: matchers look at
// what dot segments come to, and nothing but an API refuses those.
func (a *atoms) climbing(t *textFinder) (paths []string, whole bool) {
	depth, bare := 0, slices.Clone(a.conditions)
	for n := range bare {
		depth = max(depth, strings.Count(bare[n].seen.before, "/"))
		bare[n].seen.before = ""
	}
	if depth == 0 {
		return nil, true
	}
	texts, whole := t.of(unique(bare), pathLetters)
	for _, text := range texts {
		paths = append(paths, strings.Repeat("/..", depth)+text)
	}
	return paths, whole
}

// pathLetters are those that APIs take in a path. Outside of any, services get the others
// as well.
var pathLetters = letters{path: true, allowed: inPath, escaped: true}

// inPath says whether a letter is one that APIs take in a path.
func inPath(r rune) bool { return r >= ' ' && r != 0x7f && r != '\\' && unicode.IsPrint(r) }

// pathInstances are paths that a pattern matches, and neighbours that it does not.
func pathInstances(pattern string) []string {
	filled := strings.NewReplacer("*", stranger, "?", "z").Replace(pattern)
	bare := strings.NewReplacer("*", "", "?", "z").Replace(pattern)
	all := []string{bare, filled, filled + "/" + stranger, strings.TrimSuffix(bare, "/"), strings.ToUpper(bare)}
	if strings.ContainsAny(pattern, `[\`) {
		all = append(all, glob(pattern, ""), glob(pattern, stranger))
	}
	return slices.DeleteFunc(all, func(p string) bool { return p == "" })
}

func unique[T interface{ comparable }](values []T) []T {
	seen := make(map[T]bool, len(values))
	kept := values[:0:0]
	for _, v := range values {
		if !seen[v] {
			seen[v] = true
			kept = append(kept, v)
		}
	}
	return kept
}

// oracle gives one that decides by these atoms.
func (a *atoms) oracle() *oracle {
	o := &oracle{quiet: true, hosts: a.hosts, methods: a.methods, queries: a.queries, addresses: a.addresses, fields: a.fields, lines: a.lines, filled: a.filled}
	if a.catches {
		o.caught = &caught{a.codes}
	}
	return o
}

// request gives one of which only host and path are decided.
func (a *atoms) request(s *Server, host, path string) Request {
	return Request{Host: hostOf(host), Target: path, TLS: s != nil && s.TLS, Header: make(map[string][]string), open: make(map[string]bool), parts: make(map[string]*openLines)}
}

// complete decides what nobody has asked for.
func (r *Request) complete(a *atoms) {
	if r.Method == "" {
		r.Method = "GET"
	} else {
		r.open["method"] = true
	}
	if !r.Remote.IsValid() {
		r.Remote = a.addresses[0]
	}
	for part := range r.parts {
		r.open[part] = true
	}
	r.open, r.asked, r.hosts = nil, r.open, a.hosts
}

// URL is the request's, for people. A port of the Host is not where it is sent to.
func (r *Request) URL() string {
	scheme := "http"
	if r.TLS {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s%s", scheme, hostOf(siteOf(r.Host)), r.Target)
}
