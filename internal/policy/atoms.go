package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strings"
)

// atoms are requests that stand for all others: at least one for each way in which the
// matchers of the configurations can tell requests apart, as far as samples can show it.
// Hosts and paths are listed; methods, fields, queries and addresses are decided when a
// matcher asks for them, so that nothing is multiplied that does not matter.
type atoms struct {
	hosts, paths []string
	patterns     []string // of path matchers, in lower case
	regexps      []string
	methods      []string
	queries      []string
	parameters   []string // that rewrites look at: all of them in one query
	addresses    []netip.Addr
	fields       map[string][][]string
	wanted       map[string][]string     // patterns of header fields
	missed       []string                // what no request here is for
	catches      bool                    // there are error routes
	codes        []func(status int) bool // that these ask for
}

// stranger is a word that no configuration has.
const stranger = "zq7"

// newAtoms gathers what the matchers of all these servers compare with, where they can
// meet a request for the host; for any host, where it is empty.
func newAtoms(host string, servers ...*Server) *atoms {
	a := gatherAtoms(host, servers)
	a.listPaths()
	return a
}

func gatherAtoms(host string, servers []*Server) *atoms {
	a := &atoms{fields: make(map[string][][]string), wanted: make(map[string][]string)}
	a.methods = slices.Clone(knownMethods)
	a.queries = []string{""}
	a.addresses = []netip.Addr{netip.MustParseAddr("198.51.100.77")}
	a.hosts = []string{stranger + ".invalid"}
	for _, s := range servers {
		v := visitor{host: host, matcher: a.gather, handler: a.gatherHandler}
		v.routes(s.Routes)
		v.routes(s.Errors)
		a.catches = a.catches || reaches(s.Errors)
		for _, name := range slices.Sorted(maps.Keys(s.Named)) {
			v.routes([]*Route{s.Named[name]})
		}
	}
	a.methods = unique(append(a.methods, strings.ToUpper(stranger)))
	if len(a.parameters) > 0 {
		a.queries = append(a.queries, strings.Join(unique(a.parameters), "&"))
	}
	a.hosts, a.queries = unique(a.hosts), unique(a.queries)
	a.addresses = unique(a.addresses)
	for field, patterns := range a.wanted {
		a.fields[field] = fieldValues(unique(patterns))
	}
	return a
}

// gatherHandler has what handlers tell requests apart by.
func (a *atoms) gatherHandler(h Handler) {
	switch h := h.(type) {
	case *Subroute:
		a.catches = a.catches || h.caught
	case *RateLimit:
		a.gatherKeys(h)
	case *Rewrite:
		h.gather(a)
	case *Proxy:
		if h.Rewrite != nil {
			h.Rewrite.gather(a)
		}
	}
}

// gatherKeys has what limits count by, and what says the cost: a request without it is
// refused, and one that costs nothing is not counted.
func (a *atoms) gatherKeys(limit *RateLimit) {
	for _, z := range limit.Zones {
		for _, name := range z.key.placeholders() {
			a.gatherValues(name, "")
		}
		if z.Cost == nil {
			continue
		}
		for _, name := range z.Cost.text.placeholders() {
			a.gatherValues(name, "0", "1")
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
		for _, value := range append(values, stranger) {
			a.queries = append(a.queries, key+"="+value)
		}
	}
}

// visitor goes through routes, but for those that are for other hosts than one.
type visitor struct {
	host    string // empty: all
	matcher func(Matcher)
	handler func(Handler)
}

func (v *visitor) routes(all []*Route) {
	for _, r := range all {
		if v.host != "" && r.isForOthers(v.host) {
			continue
		}
		v.sets(r.Match)
		for _, h := range r.Handlers {
			v.handler(h)
			if outer, ok := h.(interface{ inner() [][]*Route }); ok {
				for _, inner := range outer.inner() {
					v.routes(inner)
				}
			}
			if limit, ok := h.(*RateLimit); ok {
				for _, z := range limit.Zones {
					v.sets(z.Match)
				}
			}
		}
	}
}

// sets visits matchers, those within not as well.
func (v *visitor) sets(all []MatcherSet) {
	for _, set := range all {
		for _, m := range set {
			v.matcher(m)
			if not, ok := m.(notMatcher); ok {
				v.sets(not)
			}
		}
	}
}

// isForOthers says whether each set of the route names other hosts.
func (r *Route) isForOthers(host string) bool {
	for _, set := range r.Match {
		if !slices.ContainsFunc(set, func(m Matcher) bool {
			hosts, ok := m.(hostMatcher)
			return ok && !hosts.has(host)
		}) {
			return false
		}
	}
	return len(r.Match) > 0
}

func (a *atoms) gather(m Matcher) {
	switch m := m.(type) {
	case hostMatcher:
		for _, host := range m {
			a.hosts = append(a.hosts, strings.ToLower(strings.ReplaceAll(host, "*", stranger)))
		}
	case pathMatcher:
		a.patterns = append(a.patterns, m.patterns...)
	case pathRegexp:
		a.regexps = append(a.regexps, m.pattern)
	case methodMatcher:
		a.methods = append(a.methods, m...)
	case headerMatcher:
		for field, patterns := range m {
			field = canonicalField(field)
			a.wanted[field] = append(a.wanted[field], patterns...)
		}
	case headerRegexp:
		for field, compiled := range m {
			field = canonicalField(field)
			a.wanted[field] = append(a.wanted[field], regexpInstances(compiled.String(), manySamples)...)
		}
	case queryMatcher:
		var parts []string
		for key, values := range m {
			value := stranger
			if len(values) > 0 && values[0] != "*" {
				value = values[0]
			}
			a.queries = append(a.queries, key+"="+value, key+"="+stranger)
			parts = append(parts, key+"="+value)
			for _, other := range values {
				a.queries = append(a.queries, key+"="+strings.ReplaceAll(other, "*", stranger))
			}
		}
		slices.Sort(parts)
		a.queries = append(a.queries, strings.Join(parts, "&"), stranger+"=1")
	case errorMatcher:
		a.codes = append(a.codes, m.codes)
	case addressMatcher:
		for _, prefix := range m.ranges {
			a.addresses = append(a.addresses, prefix.Masked().Addr())
			if next := prefix.Masked().Addr().Next(); prefix.Contains(next) {
				a.addresses = append(a.addresses, next)
			}
		}
	}
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

// maxCross bounds how many pairs of patterns are crossed.
const maxCross = 4000

func (a *atoms) listPaths() {
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
	paths = append(paths, a.cross()...)
	for n, p := range paths {
		paths[n] = sendable(p)
	}
	a.paths = unique(slices.DeleteFunc(paths, func(p string) bool {
		_, err := parseTarget(p)
		return err != nil || len(p) > maxPath
	}))
}

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

// cross gives paths that two patterns match, where one has an open end and the other an
// open beginning.
func (a *atoms) cross() []string {
	var heads, tails, all []string
	for _, p := range a.patterns {
		before, after, found := strings.Cut(p, "*")
		switch {
		case found && before != "" && after == "":
			heads = append(heads, before)
		case found && before == "" && after != "":
			tails = append(tails, strings.ReplaceAll(after, "*", ""))
		}
	}
	for _, head := range heads {
		for _, tail := range tails {
			if len(all) == maxCross {
				return all
			}
			all = append(all, head+stranger+tail, strings.TrimSuffix(head, "/")+"/"+strings.TrimPrefix(tail, "/"))
		}
	}
	return all
}

// maxInstances bounds the samples of one regular expression, manyPaths those of all for paths.
const (
	maxInstances = 64
	manyPaths    = 4_000
	manySamples  = 6 // of one for a header field: each is a way of its own
)

// regexpInstances are texts that a regular expression matches, and neighbours.
func regexpInstances(pattern string, most int) []string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	var all []string
	texts := thin(samples(parsed.Simplify()), most)
	for n, text := range texts {
		if all = append(all, text); n == 0 || len(texts) <= 16 && most > 16 {
			all = append(all, text+"/", text+"/"+stranger, strings.ToUpper(text))
		}
	}
	return all
}

// samples walks the syntax tree: each alternative, none and one and two of what repeats,
// and both ends of each class.
func samples(r *syntax.Regexp) []string {
	switch r.Op {
	case syntax.OpLiteral:
		return []string{string(r.Rune)}
	case syntax.OpCharClass:
		var all []string
		for n := 0; n+1 < len(r.Rune) && len(all) < 12; n += 2 {
			for _, c := range []rune{r.Rune[n], r.Rune[n+1]} {
				if c > ' ' && c < 0x7f && !strings.ContainsRune(`/%?#;\`, c) {
					all = append(all, string(c))
				}
			}
		}
		if len(all) == 0 || slices.Contains(all, "a") {
			all = append(all, "a")
		}
		return unique(all)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"z"}
	case syntax.OpStar, syntax.OpQuest:
		return append([]string{""}, repeated(samples(r.Sub[0]), r.Op == syntax.OpStar)...)
	case syntax.OpPlus:
		return repeated(samples(r.Sub[0]), true)
	case syntax.OpCapture:
		return samples(r.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, sub := range r.Sub {
			all = append(all, samples(sub)...)
		}
		return bounded(all)
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range r.Sub {
			var longer []string
			parts := samples(sub)
			for _, head := range all {
				for _, part := range parts {
					longer = append(longer, head+part)
				}
			}
			all = bounded(longer)
		}
		return all
	default:
		return []string{""}
	}
}

func repeated(once []string, more bool) []string {
	if !more {
		return once
	}
	all := slices.Clone(once)
	if len(once) > 0 {
		all = append(all, once[0]+once[len(once)-1], strings.Join(once, ""))
	}
	return all
}

func bounded(all []string) []string { return thin(all, maxInstances) }

// thin leaves some out evenly, so that the last alternative is as good as the first.
func thin(all []string, most int) []string {
	if len(all) <= most {
		return all
	}
	kept := make([]string, 0, most)
	for n := range most {
		kept = append(kept, all[n*len(all)/most])
	}
	return kept
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
	o := &oracle{quiet: true, methods: a.methods, queries: a.queries, addresses: a.addresses, fields: a.fields}
	if a.catches {
		o.caught = &caught{a.codes}
	}
	return o
}

// request gives one of which only host and path are decided.
func (a *atoms) request(s *Server, host, path string) Request {
	return Request{Host: host, Target: path, TLS: s != nil && s.TLS, Header: make(map[string][]string), open: make(map[string]bool)}
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
	r.open, r.asked = nil, r.open
}

// URL is the request's, for people.
func (r *Request) URL() string {
	scheme := "http"
	if r.TLS {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s%s", scheme, r.Host, r.Target)
}
