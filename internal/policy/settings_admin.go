package policy

import (
	"cmp"
	"net"
)

// admin compares who reaches what can change everything. What is beside that, where
// configurations are loaded from, has no order.
func admin(d *differ, at string, was, is any) bool {
	old, new := &d.old.Admin, &d.new.Admin
	d.rank(at, "the admin API can be reached from further away", old.reach(), new.reach(), old.where(), new.where())
	if !old.Disabled && !new.Disabled {
		d.localAdmin(at, old, new)
	}
	return inside(byName{
		"disabled": shown, "listen": shown, "origins": shown, "enforce_origin": shown,
		"remote": remoteAdmin,
		"config": inside(byName{"load": loaded}),
	})(d, at, was, is)
}

func (a *Admin) reach() int64 {
	switch {
	case a.Disabled:
		return 0
	case isLocal(a.where()):
		return 1
	default:
		return 2
	}
}

// localAdmin compares two that are on.
func (d *differ) localAdmin(at string, old, new *Admin) {
	if old.where() != new.where() && old.reach() == new.reach() {
		direction := Widened
		if isLocal(new.where()) {
			direction = Moved
		}
		d.tell(direction, at, "the admin API listens elsewhere", old.where(), new.where())
	}
	if old.Origins != nil || new.Origins != nil { // else they are the address, and follow it
		d.grown("", at+"/origins", "origins of the admin API", old.origins(), new.origins())
	}
	d.flag(at+"/enforce_origin", "the admin API does not check the origin", !old.EnforceOrigin, !new.EnforceOrigin)
}

// origins are those that Caddy lets in.
func (a *Admin) origins() []string {
	if a.Origins != nil {
		return a.Origins
	}
	if _, port, err := net.SplitHostPort(a.where()); err == nil && isLocal(a.where()) {
		return []string{net.JoinHostPort("localhost", port), net.JoinHostPort("::1", port), net.JoinHostPort("127.0.0.1", port)}
	}
	return []string{a.where()}
}

// remoteAdmin compares who may administer from elsewhere.
func remoteAdmin(d *differ, at string, was, is any) bool {
	d.flag(at, "remote administration is on", was != nil, is != nil)
	return was == nil || is == nil
}

// loaded compares what fetches another configuration while this one runs.
func loaded(d *differ, at string, was, is any) bool {
	direction := Widened
	if is == nil {
		direction = Narrowed
	}
	d.tell(direction, at, "another configuration is fetched, by a loader that is not analysed", loaderName(was), loaderName(is))
	return true
}

// loaderName is the module that fetches: how it is set may be secret.
func loaderName(load any) string {
	o, _ := load.(map[string]any)
	module, _ := o["module"].(string)
	return cmp.Or(module, "none")
}
