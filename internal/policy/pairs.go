package policy

import (
	"slices"
)

// pairs matches servers by what they listen on: names are the configuration's own affair,
// and a Caddyfile's are numbers. The more two have in common, the earlier they are a pair.
func (d *differ) pairs() {
	rest := slices.Clone(d.old.Servers)
	paired := make(map[*Server]*Server)
	for _, like := range []func(a, b *Server) bool{
		func(a, b *Server) bool { return a.Name == b.Name && sameAddresses(a, b) },
		sameAddresses, sharedAddress, sharedPort,
		func(a, b *Server) bool { return len(a.Listen) == 0 && len(b.Listen) == 0 },
	} {
		for _, s := range d.new.Servers {
			n := slices.IndexFunc(rest, func(old *Server) bool { return like(old, s) })
			if paired[s] == nil && n >= 0 {
				paired[s] = rest[n]
				rest = slices.Delete(rest, n, n+1)
			}
		}
	}
	for _, s := range d.new.Servers {
		d.servers = append(d.servers, pair{old: paired[s], new: s})
	}
	for _, old := range rest {
		d.servers = append(d.servers, pair{old: old})
	}
	for _, p := range d.servers {
		if p.old != nil {
			d.takeOver(p)
		}
	}
}

// takeOver finds servers that get something of what the old one of a pair got: of two that listen
// at one port, the one with the address gets the request, and with that gone the one for all.
func (d *differ) takeOver(p pair) {
	for _, address := range p.old.Listen {
		if p.new != nil && p.new.keeps(address) {
			continue
		}
		for _, s := range d.new.Servers {
			other := pair{p.old, s}
			wider := slices.ContainsFunc(s.Listen, func(wide string) bool { return newListener(wide).mayTake(newListener(address)) })
			if s != p.new && wider && !slices.Contains(d.taken, other) {
				d.taken = append(d.taken, other)
			}
		}
	}
}

// keeps says whether it listens at all of an address as well, and at none that is for more.
func (s *Server) keeps(address string) bool {
	host := newListener(address).host
	return covered(address, slices.DeleteFunc(slices.Clone(s.Listen), func(other string) bool { return newListener(other).host != host }))
}

// isTaken says whether others get all that a server got that is gone.
func (d *differ) isTaken(old *Server) bool {
	var all []string
	for _, s := range d.new.Servers {
		all = append(all, s.Listen...)
	}
	return !slices.ContainsFunc(old.Listen, func(address string) bool { return !covered(address, all) })
}

func sameAddresses(a, b *Server) bool {
	return len(a.Listen) > 0 && len(missing(a.Listen, b.Listen))+len(missing(b.Listen, a.Listen)) == 0
}

func sharedAddress(a, b *Server) bool { return len(missing(a.Listen, b.Listen)) < len(a.Listen) }

func sharedPort(a, b *Server) bool {
	return slices.ContainsFunc(a.Listen, func(x string) bool {
		return slices.ContainsFunc(b.Listen, func(y string) bool { return newListener(x).sharesPort(newListener(y)) })
	})
}
