package policy

import (
	"encoding/json"
	"maps"
	"slices"
)

// unread is what a handler has that the model does not go by. Requests do not show its
// changes, so they are told as those of settings are.
type unread struct {
	kind    string
	at      string
	members map[string]any
	text    string // of the members
}

// readBy are the handlers of Tollgate, and their members of which requests show something,
// or that are told by API. Those of other handlers are compared on the way of requests.
var readBy = map[string][]string{
	"api":          {"name", "public", "profile", "methods", "websocket", "strip", "audit", "routes"},
	"access_token": {"issuers", "audiences"},
	"require":      {"scopes", "claims", "sender_constrained", "dpop", "mtls", "acr", "max_age", "authorization_details"},
	"rate_limit":   {}, // and of its zones: zoneMembers
}

// zoneMembers are those of a zone of a rate_limit that requests show.
var zoneMembers = []string{
	"match", "key", "kind", "window", "period", "max_events", "burst", "cost", "empty_key",
	"ipv4_prefix", "ipv6_prefix", "on_failure", "shadow",
}

// note keeps what is unread of a handler.
func (p *parser) note(at string, raw json.RawMessage, h Handler) Handler {
	var kind struct {
		Handler string `json:"handler"`
	}
	var parts map[string]json.RawMessage
	if json.Unmarshal(raw, &kind) != nil || json.Unmarshal(raw, &parts) != nil {
		return h // does not load
	}
	read, known := readBy[kind.Handler]
	if !known {
		return h
	}
	all := make(map[string]any)
	for name, part := range parts {
		var value any
		if name != "handler" && name != "@id" && !slices.Contains(read, name) && json.Unmarshal(part, &value) == nil {
			all[name] = WithoutIDs(value)
		}
	}
	if kind.Handler == "rate_limit" {
		unreadZones(all)
	}
	if len(all) > 0 {
		if p.config.unread == nil {
			p.config.unread = make(map[Handler]*unread)
		}
		p.config.unread[h] = &unread{kind.Handler, at, all, compact(all)}
	}
	return h
}

// unreadZones leaves of zones what they have beside what is compared.
func unreadZones(limit map[string]any) {
	zones, _ := limit["rate_limits"].(map[string]any)
	for name, zone := range zones {
		members, _ := zone.(map[string]any)
		maps.DeleteFunc(members, func(name string, _ any) bool { return slices.Contains(zoneMembers, name) })
		if len(members) == 0 {
			delete(zones, name)
		}
	}
	if len(zones) == 0 {
		delete(limit, "rate_limits")
	}
}

// unreadPair is a difference between two handlers of a kind; one that is nil is not there.
type unreadPair struct{ was, is *unread }

// key is the same wherever Caddy repeats a route.
func (p unreadPair) key() string {
	text := func(u *unread) string {
		if u == nil {
			return ""
		}
		return u.kind + u.text
	}
	return text(p.was) + "\x00" + text(p.is)
}

func (p unreadPair) at() string {
	if p.is == nil {
		return p.was.at
	}
	return p.is.at
}

// beside keeps what a request does not show of the handlers and the APIs on its way.
func (d *differ) beside(was, is *Outcome) {
	if !was.Admits() || !is.Admits() {
		return
	}
	if was.api != nil && is.api != nil && was.API != is.API { // else they are compared by name
		d.mu.Lock()
		names := [2]string{was.API, is.API}
		if there, ok := d.renamed[names]; !ok || is.api.At < there[1].At {
			d.renamed[names] = [2]*API{was.api, is.api}
		}
		d.mu.Unlock()
	}
	same := func(a, b *unread) bool { return a.kind == b.kind && a.text == b.text }
	if slices.EqualFunc(was.unread, is.unread, same) {
		return
	}
	for _, p := range paired(was.unread, is.unread) {
		if p.was != nil && p.is != nil && same(p.was, p.is) {
			continue
		}
		d.mu.Lock()
		if there, ok := d.unreads[p.key()]; !ok || p.at() < there.at() {
			d.unreads[p.key()] = p
		}
		d.mu.Unlock()
	}
}

// paired gives handlers of a kind in their order, each with its like.
func paired(old, new []*unread) (all []unreadPair) {
	rest := slices.Clone(new)
	for _, was := range old {
		p := unreadPair{was: was}
		if n := slices.IndexFunc(rest, func(u *unread) bool { return u.kind == was.kind }); n >= 0 {
			p.is = rest[n]
			rest = slices.Delete(rest, n, n+1)
		}
		all = append(all, p)
	}
	for _, is := range rest {
		all = append(all, unreadPair{is: is})
	}
	return all
}

// unread tells what was found beside requests.
func (d *differ) unread() {
	for _, apis := range d.renamed {
		d.api(apis[0], apis[1])
	}
	for _, p := range d.unreads {
		var kind string
		var was, is any
		if p.was != nil {
			kind, was = p.was.kind, p.was.members
		}
		if p.is != nil {
			kind, is = p.is.kind, p.is.members
		}
		if was == nil || is == nil {
			d.tell(Widened, p.at(), kind+": is there or not, in a way that is not analysed", was, is)
			continue
		}
		d.unknown(p.at(), was, is)
	}
}
