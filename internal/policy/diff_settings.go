package policy

import (
	"maps"
	"slices"
	"strings"
)

// settings compares what compareSettings does not: what says whether something is there,
// lists of what is let in, and what is not understood, which counts as wider.
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
	if before, after := was.loader(), is.loader(); compact(before) != compact(after) {
		direction := Widened
		if after == nil {
			direction = Narrowed
		}
		d.setting(direction, "", at+"/config/load", "another configuration is fetched, by a loader that is not analysed", loaderName(before), loaderName(after))
	}
	if was.Remote != nil && is.Remote != nil && compact(was.Remote) != compact(is.Remote) {
		d.setting(Widened, "", at+"/remote", "who may administer from elsewhere is another, in a way that is not analysed", "", "")
	}
	if was.Disabled || is.Disabled {
		return
	}
	if was.where() != is.where() && (isLocal(is.where()) == isLocal(was.where())) {
		direction := Widened
		if isLocal(is.where()) {
			direction = Moved
		}
		d.setting(direction, "", at, "the admin API listens elsewhere", was.where(), is.where())
	}
	const origins = "origins of the admin API"
	switch none := func(a *Admin) bool { return a.Origins != nil && len(a.Origins) == 0 }; {
	case none(was) && is.Origins == nil: // which are those of its address
		d.setting(Widened, "", at+"/origins", origins, "none", "those of its address")
	case was.Origins == nil && none(is):
		d.setting(Narrowed, "", at+"/origins", origins, "those of its address", "none")
	default:
		d.grown(was.Origins, is.Origins, "", at+"/origins", origins)
	}
	d.closed(was.EnforceOrigin, is.EnforceOrigin, "", at+"/enforce_origin", "the admin API checks the origin")
}

func (d *differ) tollgate(was, is *Settings) {
	const at = "/apps/tollgate/"
	d.closed(was.Guard.On(), is.Guard.On(), "", at+"reload_guard", "reload_guard")
	d.opened(was.Guard.letsMove(), is.Guard.letsMove(), "", at+"reload_guard/allow_moved", "reload_guard lets requests go elsewhere unnamed")
	if before, after := was.Guard.startsWith(), is.Guard.startsWith(); before != after {
		direction := Widened
		if before == "" {
			direction = Narrowed
		}
		d.setting(direction, "", at+"reload_guard/baseline", "what a process may start with", before, after)
	}
	d.closed(was.Audit != nil, is.Audit != nil, "", at+"audit", "the audit log")
	d.grown(was.Origins, is.Origins, "", at+"origins", "origins that DPoP proofs may name")
	analysed := []string{"reload_guard", "redis", "audit", "origins", "client_certificate", "issuers"}
	for name, seen := range map[string]bool{
		"failures":    was.failuresOff() != is.failuresOff(),
		"revocations": was.staleOpen() != is.staleOpen(),
		"dpop":        was.wantsNonce() != is.wantsNonce(),
	} {
		if seen {
			analysed = append(analysed, name)
		}
	}
	all := make(map[string]any)
	maps.Copy(all, was.raw)
	maps.Copy(all, is.raw)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(analysed, name) && compact(was.raw[name]) != compact(is.raw[name]) {
			d.setting(Widened, "", at+name, name+": changed, in a way that is not analysed", "", "")
		}
	}
}

func (d *differ) server(was, is *Server) {
	at := "/apps/http/servers/" + is.Name
	if slices.ContainsFunc(is.Listen, func(address string) bool {
		return !slices.ContainsFunc(was.Listen, func(old string) bool { return covers(old, address) })
	}) {
		d.setting(Widened, "", at+"/listen", "listens on more", strings.Join(was.Listen, " "), strings.Join(is.Listen, " "))
	}
	d.closed(was.StrictSNI, is.StrictSNI, "", at+"/strict_sni_host", "strict_sni_host")
	if was.TLS && is.TLS && was.policies != is.policies && was.leastTLS() == is.leastTLS() && was.clientAuth() == is.clientAuth() {
		d.setting(Widened, "", at+"/tls_connection_policies", "TLS of callers: changed, in a way that is not analysed", "", "")
	}
}

// covers says whether who listens on the one address is reached at the other as well.
func covers(wide, address string) bool {
	split := func(a string) (host, port string) {
		if _, rest, found := strings.Cut(a, "/"); found {
			a = rest
		}
		n := strings.LastIndexByte(a, ':')
		return a[:max(n, 0)], a[n+1:]
	}
	host, port := split(wide)
	other, same := split(address)
	return port == same && (host == other || host == "" || host == "0.0.0.0" || host == "[::]")
}

// api compares what an API of the same name asks beside tokens and limits.
func (d *differ) api(was, is *API) {
	d.opened(was.WebSocket, is.WebSocket, is.Name, is.At+" websocket", "websocket")
	if slices.ContainsFunc(was.Strip, func(name string) bool { return !slices.Contains(is.Strip, name) }) {
		d.setting(Widened, is.Name, is.At+" strip", "header fields that no caller can send", strings.Join(was.Strip, " "), strings.Join(is.Strip, " "))
	}
}
