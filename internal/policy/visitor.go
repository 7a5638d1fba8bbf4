package policy

import (
	"slices"
)

// visitor goes through routes in their order, but for those that are for other hosts than
// one, and gathers what matchers and handlers compare requests with.
type visitor struct {
	hosts  []string // none: all
	server *Server
	atoms  *atoms
	named  map[string][]view // routes that were invoked, and how
}

// routes gives how the path is seen after them; none where none gets past them.
func (v *visitor) routes(all []*Route, seen []view) []view {
	changed := make(map[string][]view) // by routes before, by their group
	for _, r := range all {
		if r.isForOthers(v.hosts) {
			continue
		}
		here := seen
		for group, views := range changed {
			if group == "" || group != r.Group {
				here = uniqueViews(here, views)
			}
		}
		v.sets(r.Match, here)
		after := v.handlers(r.Handlers, here)
		if len(r.Match) == 0 && r.Group == "" {
			if seen, changed = after, make(map[string][]view); r.Terminal || len(after) == 0 {
				return nil
			}
			continue
		}
		if after = slices.DeleteFunc(slices.Clone(after), func(v view) bool { return slices.Contains(seen, v) }); len(after) > 0 && !r.Terminal {
			changed[r.Group] = uniqueViews(changed[r.Group], after)
		}
	}
	for _, views := range changed {
		seen = uniqueViews(seen, views)
	}
	return seen
}

func (v *visitor) handlers(all []Handler, seen []view) []view {
	for _, h := range all {
		v.atoms.gatherHandler(h)
		switch h := h.(type) {
		case *Rewrite:
			var after []view
			for _, one := range seen {
				after = uniqueViews(after, h.behind(one))
			}
			seen = after
		case *Subroute:
			after := v.routes(h.Routes, seen)
			if seen = after; h.caught {
				seen = uniqueViews(after, v.routes(h.Errors, uniqueViews(seen, after)))
			}
		case *Invoke:
			seen = v.invoke(h, seen)
		case *RateLimit:
			for _, z := range h.Zones {
				v.sets(z.Match, seen)
			}
		case *API:
			v.routes(h.Routes, seen)
			return nil
		case *Static, *StaticError, *redirect:
			return nil
		default:
			if outer, ok := h.(interface{ inner() [][]*Route }); ok {
				for _, inner := range outer.inner() {
					seen = uniqueViews(seen, v.routes(inner, seen))
				}
			}
		}
	}
	return seen
}

// invoke goes through a named route, once for each way in which the path is seen.
func (v *visitor) invoke(h *Invoke, seen []view) []view {
	r := v.server.Named[h.Name]
	if r == nil {
		return nil
	}
	more := slices.DeleteFunc(slices.Clone(seen), func(one view) bool { return slices.Contains(v.named[h.Name], one) })
	if len(more) == 0 {
		return seen
	}
	v.named[h.Name] = append(v.named[h.Name], more...)
	return uniqueViews(seen, v.routes([]*Route{r}, more))
}

func (v *visitor) sets(all []MatcherSet, seen []view) {
	visitMatchers(all, func(m Matcher) { v.atoms.gather(m, seen) })
}

// visitMatchers calls f for each matcher, those within not as well.
func visitMatchers(all []MatcherSet, f func(Matcher)) {
	for _, set := range all {
		for _, m := range set {
			f(m)
			if not, ok := m.(notMatcher); ok {
				visitMatchers(not, f)
			}
		}
	}
}

// isForOthers says whether each set of the route names other hosts.
func (r *Route) isForOthers(hosts []string) bool {
	for _, set := range r.Match {
		if !slices.ContainsFunc(set, func(m Matcher) bool {
			names, ok := m.(hostMatcher)
			return ok && !slices.ContainsFunc(hosts, names.has)
		}) {
			return false
		}
	}
	return len(r.Match) > 0 && len(hosts) > 0
}
