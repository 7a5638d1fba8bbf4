package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// The address of a client is that of the connection, or what a proxy says that is believed:
// which of the two, the server decides before any route sees the request.

// proxies are those that a server believes, as Caddy has it (trusted_proxies).
type proxies struct {
	source string // that knows them, where they are not written; empty: nobody asks
	ranges []netip.Prefix
	fields []string // that have the address (client_ip_headers)
	strict bool     // the last one that is no proxy's counts, and not the first
	socket bool     // who comes by a Unix socket is one (trusted_proxies_unix)
}

// rawProxies are the members of a server that say it.
type rawProxies struct {
	Source json.RawMessage `json:"trusted_proxies"`
	Fields []string        `json:"client_ip_headers"`
	Strict int             `json:"trusted_proxies_strict"`
	Unix   bool            `json:"trusted_proxies_unix"`
}

// forwardedFor is the field where nothing else is said.
const forwardedFor = "X-Forwarded-For"

func newProxies(raw rawProxies, listen []string) (p proxies, err error) {
	p = proxies{fields: slices.Clone(raw.Fields), strict: raw.Strict > 0}
	if raw.Fields == nil {
		p.fields = []string{forwardedFor}
	}
	for n := range p.fields {
		p.fields[n] = canonicalField(p.fields[n])
	}
	p.socket = raw.Unix && slices.ContainsFunc(listen, func(address string) bool { return strings.HasPrefix(address, "unix") })
	var source struct {
		Source string   `json:"source"`
		Ranges []string `json:"ranges"`
	}
	if len(raw.Source) == 0 || string(raw.Source) == "null" {
		return p, nil
	}
	if err := json.Unmarshal(raw.Source, &source); err != nil {
		return p, err
	}
	if source.Source != "static" {
		p.source = source.Source
		return p, nil
	}
	p.ranges, err = prefixes(source.Ranges)
	return p, err
}

// prefixes reads networks, and single addresses.
func prefixes(texts []string) (all []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, err
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		all = append(all, prefix)
	}
	return all, nil
}

// any says whether somebody is believed.
func (p *proxies) any() bool { return p.source != "" || len(p.ranges) > 0 || p.socket }

func (p *proxies) has(address netip.Addr) bool {
	address = address.WithZone("")
	return slices.ContainsFunc(p.ranges, func(r netip.Prefix) bool { return r.Contains(address) })
}

// client gives the address that the fields of a believed proxy have; that of the connection
// where they have none.
func (p *proxies) client(remote netip.Addr, values func(field string) []string) netip.Addr {
	if p.strict {
		for _, field := range p.fields {
			for _, text := range slices.Backward(strings.Split(strings.Join(values(field), ","), ",")) {
				if address, ok := forwarded(text); ok && !p.has(address) {
					return address
				}
			}
		}
		return remote.WithZone("")
	}
	var all []string
	for _, field := range p.fields {
		all = append(all, values(field)...)
	}
	for _, text := range strings.Split(strings.Join(all, ","), ",") {
		if address, ok := forwarded(text); ok {
			return address
		}
	}
	return remote.WithZone("")
}

// forwarded reads an element of such a field, in which some proxies leave the port.
func forwarded(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "%")
	address, err := netip.ParseAddr(text)
	return address, err == nil
}

// believes says whether the sender of the request is a proxy that is believed.
func (w *walk) believes(remote netip.Addr) bool {
	p := &w.server.proxies
	switch {
	case p.has(remote):
		return true
	case p.source != "":
		return w.unknown(fmt.Sprintf("whether %s is a proxy that is believed (trusted_proxies %s)", remote, p.source))
	default:
		return p.socket && w.unknown("whether the request comes by a Unix socket (trusted_proxies_unix)")
	}
}

// client gives the address of the client, and decides what it depends on.
func (w *walk) client() netip.Addr {
	remote := w.remote()
	if w.server == nil || !w.server.proxies.any() || !w.believes(remote) {
		return remote.WithZone("")
	}
	return w.server.proxies.client(remote, w.asSent)
}

// clientOf gives the address of the client of a request that is complete, and whether it is known.
func (s *Server) clientOf(r *Request) (address netip.Addr, known bool) {
	switch {
	case s == nil || !s.proxies.any():
		return r.Remote.WithZone(""), true
	case s.proxies.has(r.Remote):
		return s.proxies.client(r.Remote, func(field string) []string { return r.Header[field] }), true
	default:
		return r.Remote.WithZone(""), s.proxies.source == "" && !s.proxies.socket
	}
}

// forwarded is the request as a proxy hands it on that is believed, with another client, as far as
// matchers have left that open. Nil: there is none. It is known whether there is, unless what
// matchers have said of a field leaves out all that is tried.
func (s *Server) forwarded(r *Request) (forwarded *Request, known bool) {
	if len(s.proxies.ranges) == 0 || !s.proxies.has(r.Remote) && r.asked["address"] {
		return nil, true
	}
	by := *r
	if !s.proxies.has(r.Remote) {
		by.Remote = s.proxies.ranges[0].Masked().Addr()
	}
	if client, _ := s.clientOf(&by); client != by.Remote.WithZone("") {
		return &by, true
	}
	known = true
	for _, field := range s.proxies.fields {
		for _, address := range s.proxies.clients(by.Remote) {
			values, may := r.possibly(field, address.String())
			if !may {
				known = known && r.isClosed(field)
				continue
			}
			by.Header = maps.Clone(r.Header)
			by.Header[field] = values
			return &by, true
		}
	}
	return nil, known
}

// clients are addresses that a proxy can say and that count then. Beside the ranges, if there is
// anything, is something next to one of them.
func (p *proxies) clients(proxy netip.Addr) (all []netip.Addr) {
	all = []netip.Addr{netip.MustParseAddr("198.51.100.99"), netip.MustParseAddr("2001:db8::99")}
	for _, r := range p.ranges {
		all = append(all, r.Masked().Addr().Prev(), lastOfNetwork(r).Next())
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return !a.IsValid() || a == proxy || p.strict && p.has(a) })
}

// possibly gives the values of a field with one more, if matchers have left that open.
func (r *Request) possibly(field, value string) (values []string, may bool) {
	part := "header " + field
	open := r.parts[part]
	switch {
	case !r.asked[part]:
		return []string{value}, true
	case open == nil, open.rulesOut([]string{value}):
		return nil, false
	default:
		return append(slices.Clone(open.values), value), true
	}
}

// isClosed says whether it is decided which values there are.
func (r *Request) isClosed(field string) bool {
	open := r.parts["header "+field]
	return open == nil || open.closed
}

// gatherProxies has those that are believed told from others, and what they can say.
func (a *atoms) gatherProxies(s *Server) {
	if s.proxies.any() {
		a.networks = append(a.networks, addressMatcher{ranges: s.proxies.ranges})
	}
}

// gatherClients has each address for what a proxy says.
func (a *atoms) gatherClients(s *Server) {
	if !s.proxies.any() {
		return
	}
	for _, field := range s.proxies.fields {
		for _, address := range a.addresses {
			a.wanted[field] = append(a.wanted[field], address.String())
		}
	}
}
