package policy

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Caddy's automatic HTTPS: which servers take TLS though nothing says so, and the
// redirects from plain HTTP that are in no configuration.

// automatic is what a server says of it.
type automatic struct {
	Disable   bool     `json:"disable"`
	NoRedir   bool     `json:"disable_redirects"`
	NoCerts   bool     `json:"disable_certificates"`
	Skip      []string `json:"skip"`
	SkipCerts []string `json:"skip_certificates"`
}

// ports are those of the two schemes.
type ports struct {
	HTTP  int `json:"http_port"`
	HTTPS int `json:"https_port"`
}

// The ports where a configuration names none.
const (
	httpPort  = 80
	httpsPort = 443
)

// endpoint is where a server listens.
type endpoint struct {
	network, host string
	first, last   int // ports; of a socket without one, none
}

// parseEndpoint reads Caddy's NETWORK/HOST:PORT-PORT, of which the port alone is always there.
func parseEndpoint(address string) endpoint {
	e := endpoint{network: "tcp", first: -1, last: -1}
	if network, rest, found := strings.Cut(address, "/"); found {
		e.network, address = network, rest
	}
	n := strings.LastIndexByte(address, ':')
	if n < 0 || strings.HasPrefix(e.network, "unix") || strings.HasPrefix(e.network, "fd") {
		e.host = address
		return e
	}
	e.host = strings.Trim(address[:n], "[]")
	first, last, ranged := strings.Cut(address[n+1:], "-")
	if !ranged {
		last = first
	}
	var err error
	if e.first, err = strconv.Atoi(first); err != nil {
		e.first = -1
	}
	if e.last, err = strconv.Atoi(last); err != nil {
		e.last = e.first
	}
	return e
}

func (e endpoint) has(port int) bool { return e.first <= port && port <= e.last }

// at is the same place at another port.
func (e endpoint) at(port int) endpoint {
	e.first, e.last = port, port
	return e
}

// meets says whether both cannot be listened on, as Caddy sees it on Linux.
func (e endpoint) meets(other endpoint) bool {
	return e.network == other.network && (e.host == other.host || e.host == "" || other.host == "") && e.has(other.first)
}

func (e endpoint) String() string {
	text := e.host + ":" + strconv.Itoa(e.first)
	if strings.Contains(e.host, ":") {
		text = "[" + e.host + "]:" + strconv.Itoa(e.first)
	}
	if e.network != "tcp" {
		text = e.network + "/" + text
	}
	return text
}

// onlyOn says whether all listeners have that port.
func (s *Server) onlyOn(port int) bool {
	return !slices.ContainsFunc(s.Listen, func(address string) bool { return !parseEndpoint(address).has(port) })
}

// names are the hosts of the server's own routes, which Caddy takes for those of its
// certificates: not those within subroutes, nor in a not.
func (s *Server) names() []string {
	names := make(map[string]bool)
	for _, r := range s.Routes {
		for _, set := range r.Match {
			for _, m := range set {
				if hosts, ok := m.(hostMatcher); ok {
					for _, host := range hosts {
						names[host] = !slices.Contains(s.auto.Skip, host)
					}
				}
			}
		}
	}
	maps.DeleteFunc(names, func(_ string, qualifies bool) bool { return !qualifies })
	return slices.Sorted(maps.Keys(names))
}

// decideTLS says whether callers come by TLS, on all listeners but those of the HTTP port.
func (s *Server) decideTLS(p ports, policies bool) {
	s.TLS = len(s.Policies) > 0
	if s.auto.Disable = s.auto.Disable || s.onlyOn(p.HTTP); s.auto.Disable {
		s.TLS = s.TLS && !s.onlyOn(p.HTTP)
		return
	}
	if !policies && (s.onlyOn(p.HTTPS) || len(s.names()) > 0) {
		s.TLS = true
	}
}

// split takes the listeners of the HTTP port apart where the others have TLS: a request
// comes to one of the two, which have the same routes.
func (s *Server) split(p ports) []*Server {
	isPlain := func(address string) bool { return parseEndpoint(address).has(p.HTTP) }
	if !s.TLS || !slices.ContainsFunc(s.Listen, isPlain) {
		return []*Server{s}
	}
	secure, plain := *s, *s
	secure.Listen = slices.DeleteFunc(slices.Clone(s.Listen), isPlain)
	plain.Listen = slices.DeleteFunc(slices.Clone(s.Listen), func(address string) bool { return !isPlain(address) })
	plain.TLS = false
	return []*Server{&secure, &plain}
}

// redirect sends a caller of plain HTTP to the same place by TLS.
type redirect struct{ to string }

func (h *redirect) String() string { return "automatic HTTPS: redirect to " + h.to }

func (h *redirect) serve(w *walk, _ next) end {
	w.answer(Responded, http.StatusPermanentRedirect, Step{"", h.String()})
	w.out.Location = h.to
	return answered
}

// redirects are those from one place: of the names that are there, to a port.
type redirects struct {
	from  endpoint
	names []string
	to    int
}

// addRedirects gives the servers of the HTTP port the redirects that Caddy adds, and makes
// the server that has those for which there is none. Then it takes apart what has both schemes.
func (c *Config) addRedirects() {
	own := &Server{Name: "remaining_auto_https_redirects", written: func() string { return "" }}
	added := make(map[*Server][]*Route)
	for _, r := range gatherRedirects(c.Servers, c.ports) {
		at, route := r.from.at(c.ports.HTTP), c.redirectRoute(r.names, r.to)
		n := slices.IndexFunc(c.Servers, func(s *Server) bool {
			return slices.ContainsFunc(s.Listen, func(address string) bool { return parseEndpoint(address).meets(at) })
		})
		if n >= 0 {
			added[c.Servers[n]] = append(added[c.Servers[n]], route)
			continue
		}
		own.Routes = append(own.Routes, route)
		own.Listen = unique(append(own.Listen, at.String()))
	}
	certificates := slices.ContainsFunc(c.Servers, (*Server).getsCertificates)
	var all []*Server
	for _, s := range c.Servers {
		if routes := added[s]; len(routes) > 0 {
			if certificates {
				s.Routes = slices.Insert(s.Routes, s.afterHosts(), routes...)
			}
			s.Routes = c.reindexed(append(s.Routes, c.redirectRoute(nil, c.ports.HTTPS)))
		}
		all = append(all, s.split(c.ports)...)
	}
	if c.Servers = all; len(own.Listen) > 0 {
		own.Routes = c.reindexed(append(own.Routes, c.redirectRoute(nil, c.ports.HTTPS)))
		c.Redirects = own
	}
}

// reindexed files a list that has changed.
func (c *Config) reindexed(routes []*Route) []*Route {
	if len(routes) > longList {
		c.indexes[routes[0]] = newIndex(routes)
	}
	return routes
}

// gatherRedirects goes through the servers as Caddy does: one port is enough for each name,
// and that is the HTTPS port where it is one of them.
func gatherRedirects(servers []*Server, p ports) []*redirects {
	places := make(map[string][]endpoint) // by name; "" stands for all
	for _, s := range servers {
		names := s.names()
		if s.auto.Disable || s.auto.NoRedir || len(names) == 0 && !s.TLS {
			continue
		}
		if len(names) == 0 {
			names = []string{""}
		}
		for _, address := range s.Listen {
			for _, name := range names {
				places[name] = addPlace(places[name], parseEndpoint(address), p)
			}
		}
	}
	var all []*redirects
	for _, name := range slices.Sorted(maps.Keys(places)) {
		for _, from := range places[name] {
			n := slices.IndexFunc(all, func(r *redirects) bool { return r.from == from })
			if n < 0 {
				n = len(all)
				all = append(all, &redirects{from: from, to: from.first})
			}
			all[n].names = append(all[n].names, name)
		}
	}
	slices.SortStableFunc(all, func(a, b *redirects) int { return compareNames(a.names[0], b.names[0]) })
	return all
}

func addPlace(places []endpoint, place endpoint, p ports) []endpoint {
	switch {
	case len(places) == 0 || place.first == p.HTTPS && places[0].first != p.HTTPS:
		return []endpoint{place}
	case place.first != places[0].first || slices.Contains(places, place):
		return places
	default:
		return append(places, place)
	}
}

// compareNames has exact names first, then wildcards, then all; longer ones before shorter.
func compareNames(a, b string) int {
	rank := func(name string) int {
		switch {
		case name == "":
			return 2
		case strings.Contains(name, "*"):
			return 1
		default:
			return 0
		}
	}
	return cmp.Or(rank(a)-rank(b), len(b)-len(a), strings.Compare(a, b))
}

// getsCertificates says whether Caddy looks after a certificate for one of its names.
func (s *Server) getsCertificates() bool {
	return !s.auto.Disable && !s.auto.NoCerts && slices.ContainsFunc(s.names(), func(name string) bool {
		return !slices.Contains(s.auto.SkipCerts, name)
	})
}

// afterHosts is where the routes begin that are for any host.
func (s *Server) afterHosts() int {
	for n := len(s.Routes); n > 0; n-- {
		for _, set := range s.Routes[n-1].Match {
			if slices.ContainsFunc(set, func(m Matcher) bool { _, ok := m.(hostMatcher); return ok }) {
				return n
			}
		}
	}
	return 0
}

func (c *Config) redirectRoute(names []string, port int) *Route {
	set := MatcherSet{protocolMatcher("http")}
	if len(names) > 0 && !slices.Equal(names, []string{""}) {
		set = append(set, hostMatcher(names))
	}
	to := "https://{http.request.host}"
	if !slices.Contains([]int{c.ports.HTTP, c.ports.HTTPS, httpPort, httpsPort}, port) {
		to += fmt.Sprintf(":%d", port)
	}
	return &Route{Match: []MatcherSet{set}, Handlers: []Handler{&redirect{to + "{http.request.uri}"}}}
}
