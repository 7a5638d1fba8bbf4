package policy

import (
	"maps"
	"net/netip"
	"slices"
)

// verifiesClients says whether no certificate gets in that nobody has verified.
func (s *Server) verifiesClients() bool {
	policies, _ := s.settings["tls_connection_policies"].([]any)
	return len(policies) > 0 && !slices.ContainsFunc(policies, func(policy any) bool {
		members, _ := policy.(map[string]any)
		mode, known := clientAuthOf(members["client_authentication"])
		return !known || admitted[mode][1]
	})
}

// asksClients says whether some connections are asked for a client certificate.
func (s *Server) asksClients() bool {
	policies, _ := s.settings["tls_connection_policies"].([]any)
	return slices.ContainsFunc(policies, func(policy any) bool {
		members, _ := policy.(map[string]any)
		mode, _ := clientAuthOf(members["client_authentication"])
		return mode != noClientAuth
	})
}

// addressNames are the placeholders that are an address.
var addressNames = []string{"http.vars.client_ip", "client_ip", "http.request.remote.host", "remote_host"}

// byEach says whether it counts each address of a network that one caller has: of IPv6,
// nobody is given less than a /64.
func (z *Zone) byEach() bool {
	isAddress := func(name string) bool { return slices.Contains(addressNames, name) }
	return z.IPv6Prefix > defaultIPv6 && slices.ContainsFunc(z.key.placeholders(), isAddress)
}

// passesBy says whether requests of the rule can go past the zone uncounted.
func (z *Zone) passesBy(r *Rule) bool {
	if c := z.Cost; c != nil && c.Value == "0" && c.Response == "" {
		return true
	}
	there := func(name string) bool {
		return slices.Contains(addressNames, name) || len(r.Token) > 0 && (name == "http.auth.client.id" || name == "http.auth.user.id")
	}
	return z.EmptyKey == emptySkip && slices.ContainsFunc(z.key.placeholders(), func(name string) bool { return !there(name) })
}

func limitByChoice(l *linter) {
	for _, r := range l.rules {
		for _, c := range r.zones {
			switch zone := c.what.zone; {
			case slices.ContainsFunc(zone.key.placeholders(), r.server.chooses):
				l.found(r.API, c.what.limit.At, "zone %s counts by %s", zone.Name, zone.Key)
			case zone.byEach():
				l.found(r.API, c.what.limit.At, "zone %s counts each address of a caller's network, by ipv6_prefix %d", zone.Name, zone.IPv6Prefix)
			}
		}
	}
}

func costByChoice(l *linter) {
	for _, r := range l.rules {
		for _, c := range r.zones {
			if cost := c.what.zone.Cost; cost != nil && slices.ContainsFunc(cost.text.placeholders(), r.server.chooses) {
				l.found(r.API, c.what.limit.At, "zone %s costs %s", c.what.zone.Name, cost.Value)
			}
		}
	}
}

func upstreamByChoice(l *linter) {
	l.each(func(r *Rule) {
		if r.proxy == nil {
			return
		}
		for _, u := range r.proxy.Upstreams {
			if r.madeUp(u.Dial, ofChance) {
				l.found(r.API, r.At, "%s leads to %s", r.Where(), u.Dial)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.proxy.leaves)) {
			_, leads := ruleOf(leading, name)
			if text := r.proxy.leaves[name]; leads && r.madeUp(text, ofChance) {
				l.found(r.API, r.At, "%s leads where %s says: %s", r.Where(), name, mask(name, publicText(text)))
			}
		}
	})
}

// leading are the members of reverse_proxy that say which service is asked, beside upstreams.
var leading = setOf([]string{"dynamic_upstreams", "transport.forward_proxy_url", "transport.network_proxy"})

// The shortest prefixes that are somebody's, and not everybody's: those of large networks
// of proxies are longer.
const (
	everybodyIPv4 = 8
	everybodyIPv6 = 16
)

func proxyIsAnybody(l *linter) {
	for _, s := range l.config.Servers {
		source, _ := s.settings["trusted_proxies"].(map[string]any)
		ranges, _ := source["ranges"].([]any)
		for _, text := range ranges {
			text, _ := text.(string)
			prefix, err := netip.ParsePrefix(text)
			if err == nil && (prefix.Addr().Is4() && prefix.Bits() < everybodyIPv4 || prefix.Addr().Is6() && prefix.Bits() < everybodyIPv6) && !prefix.Addr().IsPrivate() {
				l.found("", "/apps/http/servers/"+s.Name+"/trusted_proxies", "all of %s is believed", text)
			}
		}
	}
}

func clientByChoice(l *linter) {
	for _, s := range l.config.Servers {
		if p := &s.proxies; p.any() && !p.strict && slices.Contains(p.fields, forwardedFor) {
			l.found("", "/apps/http/servers/"+s.Name+"/trusted_proxies", "the first address of %s counts", forwardedFor)
		}
	}
}
