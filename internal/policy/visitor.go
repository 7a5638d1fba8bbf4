package policy

import (
	"slices"
	"strings"
)

// visitor goes through routes in their order, but for those that are for other hosts than
// one, and gathers what matchers and handlers compare requests with.
type visitor struct {
	hosts   []string // none: all
	server  *Server
	atoms   *atoms
	named   map[string]map[view][]view // routes that were invoked: how the path is seen in front of them, and after them
	met     []view                     // in front of all handlers so far
	telling bool                       // these routes are for what was refused
	words   []string                   // that those say, and to whom
	repeats bool                       // what handlers on the way have set
}

// say notes what routes for what was refused say.
func (v *visitor) say(h Handler) {
	if !v.telling {
		return
	}
	words := wordsOf(h)
	v.words = append(v.words, words)
	pass, _ := h.(*Pass)
	v.repeats = v.repeats || pass != nil && pass.What == "templates" || slices.ContainsFunc(placeholder.FindAllString(words, -1), isOfTheWay)
	if h, ok := h.(*Invoke); ok {
		if r := v.server.Named[h.Name]; r != nil && !slices.Contains(v.words, r.ID) {
			v.words = append(v.words, r.ID)
			VisitRoutes([]*Route{r}, v.say)
		}
	}
}

// isOfTheWay says whether a placeholder may stand for what handlers on the way have set.
func isOfTheWay(name string) bool {
	return !slices.ContainsFunc([]string{"{http.error.status_", "{http.request.orig_", "{http.request.remote", "{env.", "{file.", "{system.", "{time."}, func(kind string) bool {
		return strings.HasPrefix(name, kind)
	})
}

// asks notes whom routes for what was refused are for, and whether handlers on the way can
// have made it so.
func (v *visitor) asks(all []MatcherSet) {
	v.words = append(v.words, setsText(all))
	visitMatchers(all, func(m Matcher) {
		switch m.(type) {
		case headerMatcher, headerRegexp:
			v.repeats = true
		case hostMatcher:
			v.repeats = v.repeats || v.server.setsHost
		}
	})
}

// wordsOf is equal for handlers that say the same.
func wordsOf(h Handler) string {
	switch h := h.(type) {
	case *Static:
		return compact(h.leaves)
	case *Headers:
		return h.answer + compact(h.Request)
	case *Pass:
		return h.text
	case *StaticError:
		return h.String() + h.Message
	default:
		return h.String()
	}
}

// instead goes through routes that put an answer in the place of refusals, among others.
func (v *visitor) instead(h *Intercept, seen []view) []view {
	around := v.telling
	v.telling = true
	v.words = append(v.words, h.At, h.text) // whose refusals these are depends on where it is
	for _, inner := range h.inner() {
		seen = uniqueViews(seen, v.routes(inner, seen))
	}
	v.telling = around
	return seen
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
		if v.telling {
			v.asks(r.Match)
		}
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
		v.atoms.gatherFilled(h, seen)
		v.say(h)
		v.met = uniqueViews(v.met, seen)
		switch h := h.(type) {
		case *Rewrite:
			var after []view
			for _, one := range seen {
				after = uniqueViews(after, h.behind(one))
			}
			seen = after
		case *Subroute:
			seen = v.subroute(h, seen)
		case *Invoke:
			seen = v.invoke(h, seen)
		case *RateLimit:
			for _, z := range h.Zones {
				v.sets(z.Match, seen)
				v.atoms.gatherZone(z, seen)
			}
		case *Intercept:
			seen = v.instead(h, seen)
		case *API:
			v.atoms.gatherMethod(h.String(), seen)
			v.routes(h.Routes, seen)
			return nil
		case *Static:
			if !h.mayGoOn() {
				return nil
			}
		case *StaticError, *redirect:
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

// subroute goes through error routes as well: they see what it has made of the path where
// it failed.
func (v *visitor) subroute(h *Subroute, seen []view) []view {
	around := v.met
	v.met = seen
	after := v.routes(h.Routes, seen)
	inside := uniqueViews(v.met, after)
	if h.caught {
		after = uniqueViews(after, v.routes(h.Errors, inside))
	}
	v.met = uniqueViews(around, v.met)
	return after
}

// invoke goes through a named route, once for each way in which the path is seen. Where it
// invokes itself, and changes the path each time, there is no end of those.
func (v *visitor) invoke(h *Invoke, seen []view) (all []view) {
	r := v.server.Named[h.Name]
	if r == nil {
		return nil
	}
	known := v.named[h.Name]
	if known == nil {
		known = make(map[view][]view)
		v.named[h.Name] = known
	}
	for _, one := range seen {
		if _, found := known[one]; !found && len(known) >= maxViews {
			one = view{lost: true, lostQuery: true, lostMethod: true}
		}
		if _, found := known[one]; !found {
			known[one] = []view{one} // while it is gone through
			known[one] = v.routes([]*Route{r}, []view{one})
		}
		all = uniqueViews(all, known[one])
	}
	return all
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
