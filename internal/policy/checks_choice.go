package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// given are placeholders whose values no caller can make up one after the other: they are
// of the issuer, of the connection, of the edge itself, or there are few of them. All
// others may be of the caller's choice.
var (
	given = []string{
		"http.auth.client.id", "http.auth.user.id", "http.vars.client_ip", "client_ip", "http.request.remote.host", "remote_host",
		"http.request.method", "http.request.scheme", "http.request.proto", "http.request.tls.version", "http.request.tls.cipher_suite",
	}
	givenKinds = []string{"http.auth.token.", "http.request.local.", "env.", "file.", "system."}
)

// chooses says whether a caller of the server can make up the value of a placeholder, or
// have another one for each request.
func (s *Server) chooses(name string) bool {
	switch {
	case name == "http.auth.token.jti": // who asks for a token gets another one
		return true
	case strings.HasPrefix(name, "http.request.tls.client."):
		return !s.verifiesClients()
	default:
		return !slices.Contains(given, name) && !slices.ContainsFunc(givenKinds, func(kind string) bool { return strings.HasPrefix(name, kind) })
	}
}

// verifiesClients says whether no certificate gets in that nobody has verified.
func (s *Server) verifiesClients() bool {
	policies, _ := s.settings["tls_connection_policies"].([]any)
	return len(policies) > 0 && !slices.ContainsFunc(policies, func(policy any) bool {
		members, _ := policy.(map[string]any)
		mode, known := clientAuthOf(members["client_authentication"])
		return !known || admitted[mode][1]
	})
}

func limitByChoice(l *linter) {
	for _, r := range l.rules {
		for _, c := range r.zones {
			if slices.ContainsFunc(c.what.zone.key.placeholders(), r.server.chooses) {
				l.found(r.API, c.what.limit.At, "zone %s counts by %s", c.what.zone.Name, c.what.zone.Key)
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
			names := placeholder.FindAllString(u.Dial, -1)
			if slices.ContainsFunc(names, func(name string) bool { return r.server.chooses(strings.Trim(name, "{}")) }) {
				l.found(r.API, r.At, "%s leads to %s", r.Where(), u.Dial)
			}
		}
	})
}

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
