package policy

import (
	"cmp"
	"encoding/json"
	"math"
	"time"
)

// forEver is a duration that nothing ends.
const forEver = time.Duration(math.MaxInt64)

// tollgateRules are those of the tollgate app. What has none here counts as wider when it
// changes, a member that is new to the app included.
var tollgateRules = byName{
	"redis":              redis,
	"origins":            grows("origins that DPoP proofs may name"),
	"issuers":            issuers,
	"client_certificate": handedCertificates,
	"dpop": inside(byName{
		"nonce_key":    nonceKey,
		"nonce_period": longer("a nonce of DPoP proofs passes for longer", 5*time.Minute),
	}),
	"failures": inside(byName{
		"off":      opens("failures off: an address may try any number of bad tokens", false),
		"burst":    higher("failures: more bad tokens of an address are looked into at once", 200),
		"interval": shorter("failures: bad tokens of an address are looked into more often", 50*time.Millisecond),
	}),
	"revocations": inside(byName{
		"stale":   staleOpen,
		"max_age": longer("tokens pass for longer while nobody knows what is revoked", time.Minute),
	}),
	"audit": audit,
	"rate_limits": inside(byName{
		"nodes": lower("while Redis is away, a node admits a greater part of a limit", 1),
	}),
	"reload_guard": reloadGuard,
}

// issuerRules are those of an issuer. Who is one at all, and which tokens of it are taken,
// requests show.
var issuerRules = byName{
	"url": shown, "audiences": shown, "algorithms": shown, "profile": shown,
	"jwks_uri":      changed("the keys of the issuer come from another place"),
	"jwks_file":     changed("the keys of the issuer come from another place"),
	"leeway":        longer("tokens are taken for longer after their end", 0),
	"introspection": introspection,
}

var introspectionRules = byName{
	"endpoint": changed("opaque tokens of the issuer are asked for elsewhere"),
	"signed":   closes("only answers about opaque tokens that the issuer has signed are taken", false),
	"ttl":      longer("opaque tokens pass for longer after they were asked for", 30*time.Second),
	"timeout":  longer("an answer about an opaque token is waited for longer", 3*time.Second),
}

// redis is where counts, used proofs and revocations are.
func redis(d *differ, at string, was, is any) bool {
	old, new := d.old.Tollgate.HasRedis(), d.new.Tollgate.HasRedis()
	d.flag(at, "without Redis, each node counts alone and follows no revocations", !old, !new)
	if old && new {
		d.tell(Widened, at, "counts, used proofs and revocations are in another Redis", was, is)
	}
	return true
}

func staleOpen(d *differ, at string, was, is any) bool {
	known := func(value any) bool { return value == nil || value == "" || value == "closed" || value == "open" }
	d.flag(at, "stale open: tokens pass while nobody knows what is revoked", was == "open", is == "open")
	return known(was) && known(is)
}

func nonceKey(d *differ, at string, was, is any) bool {
	old, new := was != nil && was != "", is != nil && is != ""
	d.flag(at, "DPoP proofs need no nonce", !old, !new)
	return !old || !new
}

// handedCertificates are how proxies in front hand certificates on.
func handedCertificates(d *differ, at string, was, is any) bool {
	if was == nil || is == nil {
		d.flag(at, "certificates in a header are believed", was != nil, is != nil)
		return true
	}
	return inside(byName{
		"header":   changed("certificates in another header are believed"),
		"encoding": changed("certificates in a header are read otherwise"),
		"proxies":  grows("addresses from which certificates in a header are believed"),
	})(d, at, was, is)
}

// issuers are compared by their URL, in any order.
func issuers(d *differ, at string, was, is any) bool {
	old, wasFine := byURL(was)
	new, isFine := byURL(is)
	if !wasFine || !isFine {
		return false
	}
	for url, issuer := range new {
		if before := old[url]; before != nil {
			d.setting(below(at, url), before, issuer, inside(issuerRules))
		}
	}
	return true
}

func byURL(value any) (all map[string]any, ok bool) {
	list, isList := value.([]any)
	all = make(map[string]any)
	for _, element := range list {
		issuer, _ := element.(map[string]any)
		url, isText := issuer["url"].(string)
		if !isText || all[url] != nil {
			return nil, false
		}
		all[url] = issuer
	}
	return all, isList || value == nil
}

// introspection is how an issuer is asked. That it is asked at all, requests show.
func introspection(d *differ, at string, was, is any) bool {
	if was == nil || is == nil {
		d.flag(at, "opaque tokens of the issuer are taken", was != nil, is != nil)
		return true
	}
	return inside(introspectionRules)(d, at, was, is)
}

// audit is the log of decisions.
func audit(d *differ, at string, was, is any) bool {
	old, new := d.old.Tollgate.Audit != nil, d.new.Tollgate.Audit != nil
	if !old || !new {
		d.rank(at, "the audit log", rankOf(!old), rankOf(!new), onOff(old), onOff(new))
		return true
	}
	return inside(byName{
		"dir":    changed("the audit log is in another folder"),
		"keep":   shorter("records of the audit log are gone sooner", forEver),
		"stdout": closes("records of the audit log are copied to standard output", false),
	})(d, at, was, is)
}

// reloadGuard is off where it is left out. Whom it names, a hash cannot depend on.
func reloadGuard(d *differ, at string, was, is any) bool {
	old, new := d.old.Tollgate.Guard.On(), d.new.Tollgate.Guard.On()
	if !old || !new {
		d.rank(at, "reload_guard", rankOf(!old), rankOf(!new), onOff(old), onOff(new))
		return true
	}
	return inside(byName{
		"off": shown, "allow": shown,
		"allow_moved": opens("reload_guard lets requests go elsewhere unnamed", false),
		"baseline":    baseline,
	})(d, at, was, is)
}

// baseline is what a process may start with: anything, where it is left out.
func baseline(d *differ, at string, was, is any) bool {
	direction := Widened
	if was == nil || was == "" {
		direction = Narrowed
	}
	d.tell(direction, at, "what a process may start with", was, is)
	return true
}

// longer is of a duration of which more lets more happen, and shorter of one of which less
// does; leftOut is what it is where it is zero, or not there.
func longer(what string, leftOut time.Duration) rule  { return lasts(what, leftOut, 1) }
func shorter(what string, leftOut time.Duration) rule { return lasts(what, leftOut, -1) }

func lasts(what string, leftOut time.Duration, sign int64) rule {
	return func(d *differ, at string, was, is any) bool {
		old, wasFine := durationOf(was)
		new, isFine := durationOf(is)
		if !wasFine || !isFine {
			return false
		}
		old, new = cmp.Or(old, leftOut), cmp.Or(new, leftOut)
		d.rank(at, what, sign*int64(old), sign*int64(new), lasting(old), lasting(new))
		return true
	}
}

func lasting(t time.Duration) string {
	if t == forEver {
		return "for ever"
	}
	return t.String()
}

// durationOf reads a duration of Caddy's; zero where it is left out, which means the same.
func durationOf(value any) (time.Duration, bool) {
	if value == nil {
		return 0, true
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return 0, false
	}
	t, err := parseDuration(raw)
	return t, err == nil && t >= 0
}

// higher is of a number of which more lets more happen, and lower of one of which less does.
func higher(what string, leftOut int64) rule { return counts(what, leftOut, 1) }
func lower(what string, leftOut int64) rule  { return counts(what, leftOut, -1) }

func counts(what string, leftOut, sign int64) rule {
	return func(d *differ, at string, was, is any) bool {
		old, wasFine := orDefault(was, float64(0)).(float64)
		new, isFine := orDefault(is, float64(0)).(float64)
		if !wasFine || !isFine || !isCount(old) || !isCount(new) {
			return false
		}
		before, after := cmp.Or(int64(old), leftOut), cmp.Or(int64(new), leftOut)
		d.rank(at, what, sign*before, sign*after, float64(before), float64(after))
		return true
	}
}

func isCount(n float64) bool { return n >= 0 && n <= math.MaxInt32 && n == math.Trunc(n) }
