package policy

import (
	"maps"
	"slices"
	"strings"
)

// Place is a handler that lets requests through, answers or refuses them, as the cases of
// a policy count it.
type Place struct {
	// ID is a JSON pointer from the root of the configuration; of an api "api NAME", and in
	// it a pointer from there: Caddy repeats an API for each of its servers.
	ID   string
	API  string // empty: outside any
	What string
	When string // for which requests; empty: all of the API's, or of the server's
	Kind PlaceKind
	Zone *Zone // of a limit
}

// PlaceKind says what a place does with requests.
type PlaceKind string

// The kinds.
const (
	OfAPI   PlaceKind = "api"
	OfToken PlaceKind = "access_token"
	OfNeed  PlaceKind = "require"
	OfZone  PlaceKind = "rate_limit"
	OfRoute PlaceKind = "route" // answers
)

// Refuses says whether a request can be refused there, and not just not come there.
func (p *Place) Refuses() bool { return p.Kind != OfRoute && (p.Zone == nil || !p.Zone.Shadow) }

// Places gives all of them, each once, in the order of the configuration.
func (c *Config) Places() []*Place {
	f := places{seen: make(map[string]bool)}
	for _, s := range c.Servers {
		f.routes(s.Routes, "")
		for _, name := range slices.Sorted(maps.Keys(s.Named)) {
			f.routes([]*Route{s.Named[name]}, "")
		}
		f.routes(s.Errors, "errors")
	}
	return f.all
}

type places struct {
	api  *API
	all  []*Place
	seen map[string]bool
}

func (f *places) routes(routes []*Route, when string) {
	for _, r := range routes {
		when := joinConditions(when, setsText(r.Match))
		for _, h := range r.Handlers {
			f.handler(h, when)
		}
	}
}

func (f *places) handler(h Handler, when string) {
	switch h := h.(type) {
	case *Subroute:
		f.routes(h.Routes, when)
		f.routes(h.Errors, joinConditions(when, "errors"))
	case *API:
		f.api = h
		f.add(h.At, "", OfAPI, "api "+h.Name, when)
		f.routes(h.Routes, "")
		f.api = nil
	case *AccessToken:
		f.add(h.At, "", OfToken, h.String(), when)
	case *Require:
		f.add(h.At, "", OfNeed, h.String(), when)
	case *RateLimit:
		for _, z := range h.Zones {
			f.zone(h, z, joinConditions(when, setsText(z.Match)))
		}
	case *Proxy:
		f.add(h.At, "", OfRoute, h.String(), when)
		f.responses(h.responses, when)
	case *Intercept:
		f.responses(h.responses, when)
	case *Static:
		f.add(h.At, "", OfRoute, h.String(), when)
	case *StaticError:
		f.add(h.At, "", OfRoute, h.String(), when)
	case *FilesHandler:
		f.add(h.At, "", OfRoute, h.String(), when)
	case *PublishedHandler:
		f.add(h.At, "", OfRoute, h.String(), when)
	}
}

func (f *places) responses(all []*response, when string) {
	for _, r := range all {
		f.routes(r.routes, joinConditions(when, "answers"))
	}
}

func (f *places) add(at, id string, kind PlaceKind, what, when string) *Place {
	p := &Place{ID: id, Kind: kind, What: what, When: when}
	if f.api != nil {
		p.API = f.api.Name
	}
	if id == "" {
		p.ID = at
		if f.api != nil {
			p.ID = "api " + f.api.Name + strings.TrimPrefix(at, f.api.At)
		}
	}
	if !f.seen[p.ID] {
		f.seen[p.ID] = true
		f.all = append(f.all, p)
	}
	return p
}

func (f *places) zone(h *RateLimit, z *Zone, when string) {
	api := ""
	if h.API != nil {
		api = h.API.Name
	}
	f.add(h.At, ZoneID(api, z.Name), OfZone, "rate_limit "+z.String(), when).Zone = z
}

// ZoneID is how a limit is known. Limits of the same name in an API count together.
func ZoneID(api, zone string) string { return "zone " + api + "/" + zone }
