package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// settingsDiff compares what holds for all requests and that no single one shows: who is
// believed, where the edge listens, what happens while something is away. Its changes have
// no request.
type settingsDiff struct {
	changes []*Change
}

func compareSettings(before, after *Config) []*Change {
	d := new(settingsDiff)
	d.tollgate(&before.Tollgate, &after.Tollgate)
	d.issuers(before.Tollgate.Issuers, after.Tollgate.Issuers)
	d.admin(&before.Admin, &after.Admin)
	d.audit(before, after)
	for _, s := range after.Servers {
		for _, o := range before.Servers {
			if sameListeners(o, s) {
				d.server(o, s)
			}
		}
	}
	return d.changes
}

// rank notes a change of a setting whose higher values let more happen.
func (d *settingsDiff) rank(at, what string, old, new int, before, after string) {
	switch direction := cmp.Compare(new, old); {
	case direction > 0:
		d.add(Widened, at, what, before, after)
	case direction < 0:
		d.add(Narrowed, at, what, before, after)
	}
}

func (d *settingsDiff) flag(at, what string, old, new bool) {
	d.rank(at, what, rankOf(old), rankOf(new), onOff(old), onOff(new))
}

// changed notes a change of what has no order: each side may be the wider one.
func (d *settingsDiff) changed(at, what, before, after string) {
	if before != after {
		d.add(Widened, at, what, before, after)
	}
}

func (d *settingsDiff) add(direction Direction, at, what, before, after string) {
	d.changes = append(d.changes, &Change{Direction: direction, What: what, Rule: Step{At: at, What: "setting"}, Old: before, New: after})
}

func rankOf(on bool) int {
	if on {
		return 1
	}
	return 0
}

func (d *settingsDiff) tollgate(old, new *Settings) {
	const at = "/apps/tollgate"
	d.flag(at+"/redis", "without Redis, each node counts alone and follows no revocations", !old.HasRedis(), !new.HasRedis())
	d.flag(at+"/revocations", "stale open: tokens pass while nobody knows what is revoked", old.staleOpen(), new.staleOpen())
	d.flag(at+"/failures", "failures off: an address may try any number of bad tokens", old.failuresOff(), new.failuresOff())
	d.flag(at+"/dpop", "DPoP proofs need no nonce", !old.wantsNonce(), !new.wantsNonce())
	header := func(s *Settings) (name string, proxies []string) {
		if s.ClientCertificate == nil {
			return "none", nil
		}
		return s.ClientCertificate.Header, s.ClientCertificate.Proxies
	}
	was, trusted := header(old)
	is, trusts := header(new)
	switch more := missing(trusts, trusted); {
	case new.ClientCertificate == nil && old.ClientCertificate != nil:
		d.add(Narrowed, at+"/client_certificate", "certificates in a header are believed", was, is)
	case was != is:
		d.add(Widened, at+"/client_certificate", "certificates in a header are believed", was, is)
	case len(more) > 0:
		d.add(Widened, at+"/client_certificate", "certificates in a header are believed from more addresses", strings.Join(trusted, " "), strings.Join(trusts, " "))
	case len(trusted) != len(trusts):
		d.add(Narrowed, at+"/client_certificate", "certificates in a header are believed from more addresses", strings.Join(trusted, " "), strings.Join(trusts, " "))
	}
}

func (s *Settings) staleOpen() bool   { return s.Revocations != nil && s.Revocations.Stale == "open" }
func (s *Settings) failuresOff() bool { return s.Failures != nil && s.Failures.Off }
func (s *Settings) wantsNonce() bool  { return s.DPoP != nil && s.DPoP.NonceKey != "" }

// missing gives what is in the first and not in the second.
func missing(all, in []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(in, s) })
}

// issuers compares whose keys tokens are verified with. Who is an issuer at all, a request shows.
func (d *settingsDiff) issuers(old, new []*Issuer) {
	for _, i := range new {
		n := slices.IndexFunc(old, func(o *Issuer) bool { return o.URL == i.URL })
		if n < 0 {
			continue
		}
		at := "/apps/tollgate/issuers/" + i.URL
		d.changed(at, "the keys of the issuer come from another place", old[n].keys(), i.keys())
		d.changed(at, "opaque tokens of the issuer are asked for elsewhere", old[n].asked(), i.asked())
		d.rank(at, "tokens are taken for longer after their end", int(old[n].Leeway), int(i.Leeway), fmt.Sprint(old[n].Leeway), fmt.Sprint(i.Leeway))
	}
}

func (i *Issuer) keys() string {
	return strings.TrimSpace(cmp.Or(i.JWKSURI, "as its metadata says") + " " + i.JWKSFile)
}

func (i *Issuer) asked() string {
	if i.Introspection == nil {
		return "nowhere"
	}
	return cmp.Or(i.Introspection.Endpoint, "as its metadata says")
}

func (d *settingsDiff) admin(old, new *Admin) {
	reach := func(a *Admin) int {
		switch {
		case a.Disabled:
			return 0
		case isLocal(a.where()):
			return 1
		default:
			return 2
		}
	}
	d.rank("/admin", "the admin API can be reached from further away", reach(old), reach(new), old.where(), new.where())
	d.flag("/admin/remote", "remote administration is on", old.Remote != nil, new.Remote != nil)
}

// audit compares what is recorded, and what is refused when it cannot be.
func (d *settingsDiff) audit(before, after *Config) {
	rank := func(c *Config, api *API) (int, string) {
		switch {
		case c.Tollgate.Audit == nil || api.Audit == "off":
			return 2, "not recorded"
		case api.Audit == "required":
			return 0, "required"
		default:
			return 1, "recorded"
		}
	}
	old := make(map[string]*API)
	for _, api := range before.APIs() {
		old[api.Name] = api
	}
	for _, api := range after.APIs() {
		if o := old[api.Name]; o != nil {
			was, before := rank(before, o)
			is, after := rank(after, api)
			d.rank(api.At, "api "+api.Name+": less of its decisions is sure to be in the audit log", was, is, before, after)
		}
	}
}

func (d *settingsDiff) server(old, new *Server) {
	at := "/apps/http/servers/" + new.Name
	elsewhere := func(s *Server) bool {
		return slices.ContainsFunc(s.Listen, func(a string) bool { return !isLocal(a) })
	}
	d.rank(at+"/listen", "listens beyond this machine", rankOf(elsewhere(old)), rankOf(elsewhere(new)), strings.Join(old.Listen, " "), strings.Join(new.Listen, " "))
	d.flag(at, "plain HTTP", !old.TLS, !new.TLS)
	d.changed(at+"/trusted_proxies", "the addresses of clients are believed from other proxies", old.proxies, new.proxies)
	if old.TLS && new.TLS {
		d.rank(at+"/tls_connection_policies", "TLS below what was allowed", -old.leastTLS(), -new.leastTLS(), fmt.Sprintf("1.%d", old.leastTLS()), fmt.Sprintf("1.%d", new.leastTLS()))
		d.rank(at+"/tls_connection_policies", "client certificates are verified less", -old.clientAuth(), -new.clientAuth(), clientAuthModes[old.clientAuth()], clientAuthModes[new.clientAuth()])
	}
}

// leastTLS is the minor version that connections have at least.
func (s *Server) leastTLS() int {
	least := 3
	for _, p := range s.Policies {
		least = min(least, slices.Index([]string{"tls1.0", "tls1.1", "tls1.2", "tls1.3"}, cmp.Or(p.MinVersion, "tls1.2")))
	}
	if len(s.Policies) == 0 {
		return 2
	}
	return max(least, 0)
}

// clientAuthModes are Caddy's, the strictest last.
var clientAuthModes = []string{"none", "request", "require", "verify_if_given", "require_and_verify"}

// clientAuth is what the least strict of the policies asks of clients.
func (s *Server) clientAuth() int {
	least := len(clientAuthModes) - 1
	for _, p := range s.Policies {
		mode := ""
		if p.ClientAuth != nil {
			mode = cmp.Or(p.ClientAuth.Mode, "require_and_verify") // with authorities, which Caddy's default asks for
		}
		least = min(least, max(slices.Index(clientAuthModes, mode), 0))
	}
	if len(s.Policies) == 0 {
		return 0
	}
	return least
}

// canonicalJSON is a text that is equal for what means the same.
func canonicalJSON(raw json.RawMessage) string {
	var value any
	if len(raw) == 0 || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return compact(value)
}
