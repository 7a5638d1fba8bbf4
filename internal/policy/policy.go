// Package policy is a model of what an edge lets through. It is made from the adapted
// JSON of a whole configuration, never from the text of a Caddyfile, and answers for a
// request what the edge would: which API it is, which rule decided, and why.
//
// What the model cannot analyse (a CEL expression, a handler that it does not know) it
// names, and goes both ways: the more open of the two is what counts.
package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/open-tollgate/tollgate/internal/identity"
)

// Config is a configuration as far as it decides about requests.
type Config struct {
	Hash     string // names it: see Hash
	File     string // that it was read from, where it was one
	Tollgate Settings
	Servers  []*Server // by name; twice where one listens for both schemes
	// Redirects is the server that Caddy adds for those of automatic HTTPS; nil: none.
	Redirects *Server
	Admin     Admin
	Logs      bool // there is a log of what the edge does

	ports   ports
	tree    tree                      // all of it
	unread  map[Handler]*unread       // what requests do not show
	indexes map[*Route]*index         // of long lists, by their first route
	strips  map[string]*identity.List // by what is beside what all take away
}

// Server is one set of listeners and its routes.
type Server struct {
	Name   string
	Listen []string
	Routes []*Route
	Errors []*Route // nil: Caddy answers errors with a bare status
	Named  map[string]*Route

	// TLS says whether callers come by TLS. Caddy decides it by the port and the hosts.
	TLS       bool
	Policies  []TLSPolicy
	AccessLog bool

	settings map[string]any // as they are written
	written  func() string  // its routes, as routesText has them

	proxies   proxies
	setsHost  bool     // a handler can change the Host
	setHosts  []string // to one of these; none: to anything
	tellsPort bool     // a handler sees the port that the Host is sent with
	auto      automatic
}

// TLSPolicy is what connections of a server have to be like.
type TLSPolicy struct {
	MinVersion string `json:"protocol_min"`
}

// Route is a rule of Caddy's: handlers for the requests that one of the sets matches.
type Route struct {
	ID       string // where it is: a JSON pointer
	Group    string
	Terminal bool
	Match    []MatcherSet
	Handlers []Handler
}

// rawRoute is a route as the configuration writes it.
type rawRoute struct {
	Group    string                       `json:"group"`
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []json.RawMessage            `json:"handle"`
	Terminal bool                         `json:"terminal"`
}

type rawServer struct {
	Listen []string   `json:"listen"`
	Routes []rawRoute `json:"routes"`
	Errors *struct {
		Routes []rawRoute `json:"routes"`
	} `json:"errors"`
	Named     map[string]rawRoute `json:"named_routes"`
	Policies  json.RawMessage     `json:"tls_connection_policies"`
	Logs      json.RawMessage     `json:"logs"`
	Automatic automatic           `json:"automatic_https"`
	rawProxies
}

// Parse makes the model of a configuration in Caddy's JSON.
func Parse(config []byte) (*Config, error) {
	var raw struct {
		Admin   Admin           `json:"admin"`
		Logging json.RawMessage `json:"logging"`
		Apps    struct {
			HTTP struct {
				ports
				Servers map[string]*rawServer `json:"servers"`
			} `json:"http"`
			Tollgate Settings `json:"tollgate"`
		} `json:"apps"`
	}
	t, err := treeOf(config)
	if err != nil {
		return nil, fmt.Errorf("policy: not a configuration: %w", err)
	}
	if config, err = textWithoutIDs(config); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(config, &raw); err != nil {
		return nil, fmt.Errorf("policy: not a configuration: %w", err)
	}
	c := &Config{tree: t, Tollgate: raw.Apps.Tollgate, Admin: raw.Admin, Logs: len(raw.Logging) > 0, indexes: make(map[*Route]*index), strips: make(map[string]*identity.List)}
	c.Tollgate.Issuers = slices.DeleteFunc(c.Tollgate.Issuers, func(i *Issuer) bool { return i == nil })
	if a := c.Tollgate.Audit; a != nil && (a.Dir == "" || a.Dir == "off") {
		c.Tollgate.Audit = nil
	}
	if c.Hash, err = t.hash(); err != nil {
		return nil, fmt.Errorf("policy: not a configuration: %w", err)
	}
	c.ports = ports{cmp.Or(raw.Apps.HTTP.HTTP, httpPort), cmp.Or(raw.Apps.HTTP.HTTPS, httpsPort)}
	for _, name := range slices.Sorted(maps.Keys(raw.Apps.HTTP.Servers)) {
		s, err := c.parseServer(name, raw.Apps.HTTP.Servers[name])
		if err != nil {
			return nil, fmt.Errorf("policy: server %s: %w", name, err)
		}
		c.Servers = append(c.Servers, s)
	}
	c.addRedirects()
	return c, nil
}

func (c *Config) parseServer(name string, raw *rawServer) (*Server, error) {
	if raw == nil {
		raw = new(rawServer)
	}
	s := &Server{
		Name: name, Listen: raw.Listen, AccessLog: len(raw.Logs) > 0, auto: raw.Automatic,
	}
	s.settings, _ = c.tree.at("apps", "http", "servers", name).(map[string]any)
	s.written = sync.OnceValue(func() string { return routesText(s.settings) })
	p := parser{config: c, server: s}
	var err error
	s.proxies, err = newProxies(raw.rawProxies, raw.Listen)
	p.fail("trusted_proxies", err)
	if len(raw.Policies) > 0 {
		p.fail("tls_connection_policies", json.Unmarshal(raw.Policies, &s.Policies))
	}
	at := "/apps/http/servers/" + name
	s.Routes = p.routes(at+"/routes", raw.Routes)
	if raw.Errors != nil {
		s.Errors = p.routes(at+"/errors/routes", raw.Errors.Routes)
	}
	s.Named = make(map[string]*Route, len(raw.Named))
	for route, definition := range raw.Named {
		s.Named[route] = p.route(at+"/named_routes/"+route, definition)
	}
	for _, api := range p.apis {
		if s.catches(api.Routes, make(map[string]bool)) {
			p.fail(api.At, errCaught)
		}
	}
	s.decideTLS(c.ports, len(raw.Policies) > 0 && string(raw.Policies) != "null")
	return s, p.err
}

// routesText is equal for servers whose routes are written alike.
func routesText(settings map[string]any) string {
	return compact([]any{settings["routes"], settings["named_routes"], settings["errors"]})
}

// parser reads routes and keeps the first error.
type parser struct {
	config *Config
	server *Server
	api    *API
	apis   []*API
	err    error
}

func (p *parser) fail(at string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", at, err)
	}
}

func (p *parser) routes(at string, raw []rawRoute) []*Route {
	routes := make([]*Route, len(raw))
	for n, r := range raw {
		routes[n] = p.route(fmt.Sprintf("%s/%d", at, n), r)
	}
	if len(routes) > longList {
		p.config.indexes[routes[0]] = newIndex(routes)
	}
	return routes
}

func (p *parser) route(at string, raw rawRoute) *Route {
	r := &Route{ID: at, Group: raw.Group, Terminal: raw.Terminal}
	for _, set := range raw.Match {
		r.Match = append(r.Match, p.matchers(at+"/match", set))
	}
	for n, handler := range raw.Handle {
		place := fmt.Sprintf("%s/handle/%d", at, n)
		r.Handlers = append(r.Handlers, p.note(place, handler, p.handler(place, handler)))
	}
	return r
}

// APIs gives all APIs in the order of the configuration. One that Caddy repeats for
// several servers is there once.
func (c *Config) APIs() []*API {
	var all []*API
	seen := make(map[string]bool)
	c.Visit(func(h Handler) {
		if api, ok := h.(*API); ok && !seen[api.Name] {
			seen[api.Name] = true
			all = append(all, api)
		}
	})
	return all
}

// Visit calls f for each handler, outer ones first.
func (c *Config) Visit(f func(Handler)) {
	for _, s := range c.Servers {
		VisitRoutes(s.Routes, f)
		for _, name := range slices.Sorted(maps.Keys(s.Named)) {
			VisitRoutes([]*Route{s.Named[name]}, f)
		}
		VisitRoutes(s.Errors, f)
	}
}

// VisitRoutes calls f for each handler of the routes, outer ones first.
func VisitRoutes(routes []*Route, f func(Handler)) {
	for _, r := range routes {
		for _, h := range r.Handlers {
			f(h)
			if outer, ok := h.(interface{ inner() [][]*Route }); ok {
				for _, routes := range outer.inner() {
					VisitRoutes(routes, f)
				}
			}
		}
	}
}
