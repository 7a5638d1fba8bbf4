package policy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Rule is one way through the routes that ends somewhere: who it is for, what it asks
// for, and where it leads.
type Rule struct {
	At       string   `json:"at"`
	Server   string   `json:"server"`
	API      string   `json:"api,omitempty"` // empty: outside any
	Public   bool     `json:"public"`
	Hosts    []string `json:"hosts,omitempty"`   // none: any
	Paths    []string `json:"paths,omitempty"`   // all have to match; none: any
	Methods  []string `json:"methods,omitempty"` // none: any
	Match    []string `json:"match,omitempty"`   // what else has to match
	Token    []Trust  `json:"token,omitempty"`
	Requires []string `json:"requires,omitempty"`
	Limits   []string `json:"limits,omitempty"`
	Kind     Kind     `json:"kind"`
	Target   string   `json:"target"`
	Open     []string `json:"open,omitempty"` // what is not analysed
	// Errors says that it is reached by errors alone.
	Errors bool `json:"errors,omitempty"`

	api      *API
	proxy    *Proxy
	requires []conditional[*Require]
	zones    []conditional[zoneOf]
	tls      bool
	status   int
	server   *Server
	below    []string // the sets of matchers that it is below, as texts
	sentAs   []string // the methods that handlers have made of its own
	never    bool     // no method is left that it could be for
	unknown  bool     // it leads to a handler that is not analysed
	keyed    bool     // it asks for an idempotency key
	by       Handler  // that it leads to
	on       onTheWay
	within   []*Route // that lead to it
}

// zoneOf is a zone with the handler that it is in.
type zoneOf struct {
	limit *RateLimit
	zone  *Zone
}

// flatten is what has been met on the way to a rule.
type flatten struct {
	rule  Rule
	named []string // of routes that were invoked, against circles
	left  *int     // how many routes of the server are still looked at
	// met is called for each handler on the way; nil: nobody asks.
	met        func(*Rule, Handler)
	everywhere func() onTheWay
}

// maxRoutes bounds how many routes of a server are looked at, each time that one is invoked:
// routes that invoke others twice, and so on, are more than any memory holds.
const maxRoutes = 200_000

// Rules gives all rules, in the order in which Caddy tries them.
func (c *Config) Rules() []*Rule { return c.rulesBy(nil) }

// rulesBy gives them as well, and shows each handler on the way, with what has been done so far.
func (c *Config) rulesBy(met func(*Rule, Handler)) []*Rule {
	var all []*Rule
	for _, s := range c.Servers {
		left := maxRoutes
		f := flatten{rule: Rule{Server: s.Name, server: s, tls: s.TLS}, left: &left, met: met, everywhere: sync.OnceValue(s.everywhere)}
		f.routes(s.Routes, &all)
		errors := f.afterwards()
		errors.routes(s.Errors, &all)
		if left <= 0 {
			all = append(all, s.unlisted())
		}
	}
	return all
}

// unlisted stands for the ways through a server that are too many to be looked at. They may
// lead anywhere.
func (s *Server) unlisted() *Rule {
	return &Rule{
		At: "/apps/http/servers/" + s.Name, Server: s.Name, server: s, tls: s.TLS, Kind: Responded, Target: "(more ways than are looked at)",
		Open: []string{fmt.Sprintf("server %s has more than %d ways through its routes, and the rest of them is not listed", s.Name, maxRoutes)},
	}
}

// afterwards is for routes that are tried when others have failed, or have answered.
func (f *flatten) afterwards() flatten {
	after := *f
	after.rule.Errors, after.rule.on = true, f.rule.on.or(f.everywhere(), nil)
	return after
}

// routes goes through a list of them. What a condition in front of a later route asks
// for is kept with its condition. It says whether no request gets past them.
func (f *flatten) routes(routes []*Route, all *[]*Rule) (ends bool) {
	for _, r := range routes {
		if *f.left--; *f.left <= 0 {
			return true
		}
		inner := *f
		inner.rule.within = append(slices.Clip(f.rule.within), r)
		inner.match(r.Match)
		before := len(inner.rule.requires) + len(inner.rule.zones)
		ended := inner.handlers(r.Handlers, all) || r.Terminal
		if ended && len(r.Match) == 0 {
			return true
		}
		if ended { // who gets here does not get to what comes after
			continue
		}
		f.rule.sentAs = unique(slices.Concat(f.rule.sentAs, inner.rule.sentAs))
		if len(r.Match) > 0 || r.Group != "" {
			f.rule.on = f.rule.on.or(inner.rule.on, r)
		} else {
			f.rule.on = inner.rule.on
		}
		if before == len(inner.rule.requires)+len(inner.rule.zones) && inner.rule.Token == nil {
			continue
		}
		// What this route asks for holds for those that come after it.
		for _, c := range inner.rule.requires[len(f.rule.requires):] {
			c.when = c.when.under(r.Match)
			f.rule.requires = append(slices.Clip(f.rule.requires), c)
		}
		for _, c := range inner.rule.zones[len(f.rule.zones):] {
			c.when = c.when.under(r.Match)
			f.rule.zones = append(slices.Clip(f.rule.zones), c)
		}
		if f.rule.Token == nil {
			f.rule.Token = inner.rule.Token
		}
	}
	return false
}

// match narrows the rule down to what the sets match.
func (f *flatten) match(sets []MatcherSet) {
	if len(sets) == 0 {
		return
	}
	f.rule.below = append(slices.Clip(f.rule.below), setsText(sets))
	f.rule.keyed = f.rule.keyed || asksForField(sets, "Idempotency-Key")
	f.rule.matched(sets)
	for _, name := range unknownIn(sets) {
		f.rule.Open = append(slices.Clip(f.rule.Open), name)
	}
	if len(sets) > 1 {
		f.rule.Match = append(slices.Clip(f.rule.Match), setsText(sets))
		return
	}
	for _, m := range sets[0] {
		switch m := m.(type) {
		case hostMatcher:
			f.rule.Hosts = m
		case pathMatcher, pathRegexp:
			_, text, _ := strings.Cut(m.String(), " ")
			f.rule.Paths = append(slices.Clip(f.rule.Paths), text)
		case methodMatcher:
			f.narrow(m)
		case unknownMatcher: // named already
		default:
			f.rule.Match = append(slices.Clip(f.rule.Match), m.String())
		}
	}
}

// narrow leaves the methods that are listed. Where a handler has changed the method, it is
// no longer the rule's that is compared.
func (f *flatten) narrow(methods []string) {
	if len(f.rule.sentAs) > 0 {
		f.rule.Match = append(slices.Clip(f.rule.Match), methodMatcher(methods).String())
		return
	}
	f.rule.never = f.rule.never || len(methods) == 0
	if f.rule.Methods = intersect(f.rule.Methods, methods); len(f.rule.Methods) == 0 {
		f.rule.never = true
	}
}

// intersect gives what is in both; none stands for any.
func intersect(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	both := []string{}
	for _, v := range a {
		if slices.Contains(b, v) {
			both = append(both, v)
		}
	}
	return both
}

func (f *flatten) handlers(handlers []Handler, all *[]*Rule) (ends bool) {
	for _, h := range handlers {
		f.rule.passBy(h)
		if f.met != nil {
			f.met(&f.rule, h)
		}
		switch h := h.(type) {
		case *Subroute:
			before := *f
			ends := f.routes(h.Routes, all)
			if len(h.Errors) > 0 {
				caught := before.afterwards()
				caught.routes(h.Errors, all)
			}
			if ends {
				return true
			}
		case *Proxy:
			ends := f.target(h, all)
			for _, r := range h.responses {
				answered := *f
				ends = answered.routes(r.routes, all) && ends
			}
			if ends {
				return true
			}
		case *Intercept:
			instead := f.afterwards()
			instead.rule.on.moved = instead.rule.on.moved || f.rule.mayMove()
			for _, r := range h.responses {
				instead.routes(r.routes, all)
			}
		case *API:
			inside := *f
			inside.rule.API, inside.rule.Public, inside.rule.api = h.Name, h.Public, h
			inside.narrow(h.Methods)
			before := len(*all)
			inside.routes(h.Routes, all)
			if len(*all) == before {
				inside.emit(h.At, Refused, "404", all)
			}
			return true // an api always answers
		case *AccessToken:
			f.rule.Token = h.Trust
		case *Require:
			f.rule.requires = append(slices.Clip(f.rule.requires), conditional[*Require]{what: h})
		case *RateLimit:
			for _, z := range h.Zones {
				f.rule.zones = append(slices.Clip(f.rule.zones), conditional[zoneOf]{zoneOf{h, z}, conditions(nil).under(z.Match)})
			}
		case *Invoke:
			if r := f.rule.server.Named[h.Name]; r != nil && !slices.Contains(f.named, h.Name) {
				f.named = append(slices.Clip(f.named), h.Name)
				if f.routes([]*Route{r}, all) {
					return true
				}
			}
		default:
			if f.target(h, all) {
				return true
			}
		}
	}
	return false
}

// target emits the rule for a handler that answers, and says whether none gets past it.
func (f *flatten) target(h Handler, all *[]*Rule) bool {
	f.rule.by = h
	switch h := h.(type) {
	case *Proxy:
		ended := *f
		ended.rule.proxy = h
		ended.rewritten(h.Rewrite)
		ended.rule.rewrite(h.Rewrite)
		if h.Headers != nil {
			ended.rule.putField(h.Headers.Request, "Host")
		}
		ended.emit(h.At, Forwarded, strings.Join(h.Addresses(), " "), all)
		return !slices.ContainsFunc(h.responses, func(r *response) bool { return !r.hands() })
	case *FilesHandler:
		f.emit(h.At, Files, h.String()+" "+h.Root, all)
		return !h.PassThru
	case *Static:
		ended := *f
		ended.rule.status, _ = strconv.Atoi(statusText(h.Status)) // one that the request decides counts as good
		kind := Responded
		if ended.rule.status >= 400 {
			kind = Refused
		}
		ended.emit(h.At, kind, h.String(), all)
		return ended.rule.status != http.StatusEarlyHints
	case *StaticError:
		f.emit(h.At, Refused, h.String(), all)
		return true
	case *PublishedHandler:
		f.emit(h.At, Published, h.What, all)
	case *Rewrite:
		f.rewritten(h)
	case *Steers:
		f.rule.Open = append(slices.Clip(f.rule.Open), "handler "+h.What)
	case *Unknown:
		ended := *f
		ended.rule.Open = append(slices.Clip(f.rule.Open), "handler "+h.What)
		ended.rule.unknown = true
		ended.emit(h.At, Responded, h.What, all)
	}
	return false
}

// rewritten notes the method that a rewrite makes of that of the request.
func (f *flatten) rewritten(h *Rewrite) {
	if h != nil && h.Method != "" {
		f.rule.sentAs = unique(append(slices.Clip(f.rule.sentAs), strings.ToUpper(h.Method)))
	}
}

func (f *flatten) emit(at string, kind Kind, target string, all *[]*Rule) {
	if f.rule.never {
		return
	}
	r := f.rule
	if kind == Forwarded && len(r.sentAs) > 0 {
		target += " as " + strings.Join(r.sentAs, " or ")
	}
	r.At, r.Kind, r.Target = at, kind, strings.TrimSpace(target)
	for _, c := range r.requires {
		_, text, _ := strings.Cut(c.what.String(), " ")
		r.Requires = append(r.Requires, withCondition(text, c.when.String()))
	}
	for _, c := range r.zones {
		r.Limits = append(r.Limits, withCondition(c.what.zone.String(), c.when.String()))
	}
	*all = append(*all, &r)
}

func withCondition(text, when string) string {
	if when == "" {
		return text
	}
	return text + " where " + when
}

// Reaches says whether the rule lets anybody get to something.
func (r *Rule) Reaches() bool {
	return r.Kind == Forwarded || r.Kind == Files || r.Kind == Published || r.Kind == Responded
}

// Writes says whether a request of the rule can change something.
func (r *Rule) Writes() bool {
	reads := func(m string) bool { return slices.Contains(readers, m) }
	all := slices.Concat(r.Methods, r.sentAs)
	return len(r.Methods) == 0 || slices.ContainsFunc(all, func(m string) bool { return !reads(m) })
}
