package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// settings compares what holds for all requests, and what none can show: who may change
// the configuration, whose keys are believed, what is recorded. There is no witness. What
// is not understood counts as wider.
func (d *differ) settings() {
	d.admin(&d.old.Admin, &d.new.Admin)
	d.tollgate(&d.old.Tollgate, &d.new.Tollgate)
	for _, p := range d.servers {
		if p.old != nil && p.new != nil {
			d.server(p.old, p.new)
		}
	}
	before := make(map[string]*API)
	for _, api := range d.old.APIs() {
		before[api.Name] = api
	}
	for _, api := range d.new.APIs() {
		if was := before[api.Name]; was != nil {
			d.api(was, api)
		}
	}
}

// setting adds a change of one.
func (d *differ) setting(direction Direction, api, at, what, was, is string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes["setting "+at+what] = &Change{Direction: direction, API: api, What: what, Rule: Step{At: at, What: "setting"}, Old: was, New: is}
}

// opened is for what lets more happen while it is on, and closed for what lets less.
func (d *differ) opened(was, is bool, api, at, what string) {
	switch {
	case !was && is:
		d.setting(Widened, api, at, what, onOff(was), onOff(is))
	case was && !is:
		d.setting(Narrowed, api, at, what, onOff(was), onOff(is))
	}
}

func (d *differ) closed(was, is bool, api, at, what string) {
	switch {
	case was && !is:
		d.setting(Widened, api, at, what, onOff(was), onOff(is))
	case !was && is:
		d.setting(Narrowed, api, at, what, onOff(was), onOff(is))
	}
}

// grown is for lists of what is let in.
func (d *differ) grown(was, is []string, api, at, what string) {
	more := slices.ContainsFunc(is, func(v string) bool { return !slices.Contains(was, v) })
	less := slices.ContainsFunc(was, func(v string) bool { return !slices.Contains(is, v) })
	if more {
		d.setting(Widened, api, at, what, strings.Join(was, " "), strings.Join(is, " "))
	} else if less {
		d.setting(Narrowed, api, at, what, strings.Join(was, " "), strings.Join(is, " "))
	}
}

func (d *differ) admin(was, is *Admin) {
	const at = "/admin"
	d.opened(!was.Disabled, !is.Disabled, "", at, "the admin API")
	if was.Disabled || is.Disabled {
		return
	}
	switch {
	case was.where() == is.where():
	case isLocal(is.where()) && isLocal(was.where()):
		d.setting(Moved, "", at, "the admin API listens elsewhere", was.where(), is.where())
	case isLocal(is.where()):
		d.setting(Narrowed, "", at, "the admin API listens on loopback alone", was.where(), is.where())
	default:
		d.setting(Widened, "", at, "the admin API listens elsewhere, and not on loopback", was.where(), is.where())
	}
	d.grown(was.Origins, is.Origins, "", at+"/origins", "origins of the admin API")
	d.closed(was.EnforceOrigin, is.EnforceOrigin, "", at+"/enforce_origin", "the admin API checks the origin")
	d.opened(was.Remote != nil, is.Remote != nil, "", at+"/remote", "remote administration")
	if was.Remote != nil && is.Remote != nil && compact(was.Remote) != compact(is.Remote) {
		d.setting(Widened, "", at+"/remote", "who may administer from elsewhere is another, in a way that is not analysed", "", "")
	}
}

func (d *differ) tollgate(was, is *Settings) {
	const at = "/apps/tollgate/"
	d.closed(was.Guard.On(), is.Guard.On(), "", at+"reload_guard", "reload_guard")
	d.closed(was.HasRedis(), is.HasRedis(), "", at+"redis", "edge nodes count and revoke together, in Redis")
	d.closed(was.Audit != nil, is.Audit != nil, "", at+"audit", "the audit log")
	d.grown(was.Origins, is.Origins, "", at+"origins", "origins that DPoP proofs may name")
	d.certificates(was.ClientCertificate, is.ClientCertificate)
	d.issuers(was.Issuers, is.Issuers)
	d.loose(was, is, "failures", "how many bad tokens are looked into")
	d.loose(was, is, "revocations", "what holds while nobody knows what is revoked")
	d.loose(was, is, "dpop", "what DPoP proofs need")
	analysed := []string{"reload_guard", "redis", "audit", "origins", "client_certificate", "issuers", "failures", "revocations", "dpop"}
	all := make(map[string]any)
	maps.Copy(all, was.raw)
	maps.Copy(all, is.raw)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(analysed, name) {
			d.loose(was, is, name, name)
		}
	}
}

// loose is for settings that are another, where nobody looks into how.
func (d *differ) loose(was, is *Settings, name, what string) {
	before, after := compact(was.raw[name]), compact(is.raw[name])
	if before == after {
		return
	}
	if narrower[name] != nil && narrower[name](was.raw[name], is.raw[name]) {
		d.setting(Narrowed, "", "/apps/tollgate/"+name, what, before, after)
		return
	}
	d.setting(Widened, "", "/apps/tollgate/"+name, what+": changed, and not seen to be narrower", "", "")
}

// narrower knows the simple cases of settings that got stricter.
var narrower = map[string]func(was, is any) bool{
	"failures": func(was, _ any) bool { return member(was, "off") == true },
	"revocations": func(was, is any) bool {
		return member(was, "stale") == "open" && compact(without(was, "stale")) == compact(without(is, "stale"))
	},
	"dpop": func(was, is any) bool { return was == nil },
}

func member(object any, name string) any {
	members, _ := object.(map[string]any)
	return members[name]
}

func without(object any, name string) map[string]any {
	members, _ := object.(map[string]any)
	rest := maps.Clone(members)
	delete(rest, name)
	if len(rest) == 0 {
		return nil
	}
	return rest
}

func (d *differ) certificates(was, is *ClientCertificate) {
	const at = "/apps/tollgate/client_certificate"
	d.opened(was != nil, is != nil, "", at, "certificates in a header")
	if was == nil || is == nil {
		return
	}
	if was.Header != is.Header {
		d.setting(Widened, "", at+"/header", "certificates come in another header", was.Header, is.Header)
	}
	d.grown(was.Proxies, is.Proxies, "", at+"/proxies", "proxies whose word about certificates is believed")
}

func (d *differ) issuers(was, is []*Issuer) {
	for _, i := range is {
		for _, before := range was {
			if i == nil || before == nil || i.URL != before.URL {
				continue
			}
			at := "/apps/tollgate/issuers " + i.URL
			if i.source() != before.source() {
				d.setting(Widened, "", at, "issuer "+i.URL+": its keys, or its answers, come from elsewhere", before.source(), i.source())
			}
			if i.Leeway != before.Leeway {
				direction := Widened
				if i.Leeway < before.Leeway {
					direction = Narrowed
				}
				d.setting(direction, "", at+" leeway", "issuer "+i.URL+": leeway", fmt.Sprint(before.Leeway), fmt.Sprint(i.Leeway))
			}
		}
	}
}

// source is where its word comes from.
func (i *Issuer) source() string {
	return compact([]any{i.JWKSURI, i.JWKSFile, i.Introspection})
}

func (d *differ) server(was, is *Server) {
	at := "/apps/http/servers/" + is.Name
	d.grown(was.Listen, is.Listen, "", at+"/listen", "listens on")
	d.closed(was.TLS, is.TLS, "", at, "callers come by TLS")
	d.closed(was.StrictSNI, is.StrictSNI, "", at+"/strict_sni_host", "strict_sni_host")
	if was.trusted != is.trusted && is.TrustedProxies {
		d.setting(Widened, "", at+"/trusted_proxies", "proxies whose word about addresses is believed: changed, in a way that is not analysed", was.trusted, is.trusted)
	}
	if was.policies != is.policies && was.TLS && is.TLS {
		d.setting(Widened, "", at+"/tls_connection_policies", "TLS of callers: changed, in a way that is not analysed", "", "")
	}
}

// api compares what an API of the same name asks beside tokens and limits.
func (d *differ) api(was, is *API) {
	d.closed(was.Audit == "required", is.Audit == "required", is.Name, is.At+" audit required", "audit required")
	d.opened(was.Audit == "off", is.Audit == "off", is.Name, is.At+" audit off", "audit off")
	d.opened(was.WebSocket, is.WebSocket, is.Name, is.At+" websocket", "websocket")
	if slices.ContainsFunc(was.Strip, func(name string) bool { return !slices.Contains(is.Strip, name) }) {
		d.setting(Widened, is.Name, is.At+" strip", "header fields that no caller can send", strings.Join(was.Strip, " "), strings.Join(is.Strip, " "))
	}
}
