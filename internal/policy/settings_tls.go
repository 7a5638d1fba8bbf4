package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// connectionPolicies compares what connections of a server have to be like: each with its
// own, where the policies are for the same names in the same order. Without any, Caddy
// takes its defaults.
func connectionPolicies(d *differ, at string, was, is any) bool {
	policies := func(value any) []any {
		if list, isList := value.([]any); isList && len(list) > 0 || value != nil && !isList {
			return list
		}
		return []any{map[string]any{}}
	}
	old, new := policies(was), policies(is)
	if len(new) == 0 || !slices.EqualFunc(old, new, sameNames) {
		return false
	}
	for n := range new {
		d.setting(fmt.Sprintf("%s/%d", at, n), old[n], new[n], inside(byName{
			"protocol_min":          leastTLS,
			"client_authentication": clientAuthentication,
		}))
	}
	return true
}

func sameNames(a, b any) bool {
	match := func(policy any) any {
		members, _ := policy.(map[string]any)
		return members["match"]
	}
	return reflect.DeepEqual(match(a), match(b))
}

// versions are Caddy's names of them, the oldest first.
var versions = []string{"tls1.0", "tls1.1", "tls1.2", "tls1.3"}

func leastTLS(d *differ, at string, was, is any) bool {
	version := func(value any) int {
		text, _ := orDefault(value, "").(string)
		return slices.Index(versions, cmp.Or(text, "tls1.2"))
	}
	old, new := version(was), version(is)
	if old < 0 || new < 0 {
		return false
	}
	d.rank(at, "TLS below what was allowed", -int64(old), -int64(new), versions[old], versions[new])
	return true
}

// clientAuthentication compares who gets a connection. Who is trusted has no order.
func clientAuthentication(d *differ, at string, was, is any) bool {
	old, wasFine := clientAuthOf(was)
	new, isFine := clientAuthOf(is)
	if !wasFine || !isFine {
		return false
	}
	d.certificates(at, old, new)
	if old == noClientAuth || new == noClientAuth {
		return true
	}
	return inside(byName{"mode": shown})(d, at, was, is)
}

const noClientAuth = "none"

// admitted is who gets a connection in each mode: without a certificate, with one that
// nobody has verified, with one that is verified.
var admitted = map[string][3]bool{
	noClientAuth:         {true, true, true}, // nobody asks
	"request":            {true, true, true},
	"require":            {false, true, true},
	"verify_if_given":    {true, false, true},
	"require_and_verify": {false, false, true},
}

func (d *differ) certificates(at, was, is string) {
	more, less := false, false
	for n := range admitted[was] {
		more = more || admitted[is][n] && !admitted[was][n]
		less = less || admitted[was][n] && !admitted[is][n]
	}
	if more {
		d.tell(Widened, at, "client certificates are verified less", was, is)
	}
	if less {
		d.tell(Narrowed, at, "client certificates are verified more", was, is)
	}
	if was != is && !more && !less { // tokens can be bound to those that nobody has verified
		d.rank(at, "client certificates are asked for, and not verified", rankOf(was == "request"), rankOf(is == "request"), was, is)
	}
}

// clientAuthOf is Caddy's mode of a client_authentication, and what it takes where there is none.
func clientAuthOf(value any) (mode string, known bool) {
	members, isObject := value.(map[string]any)
	if value != nil && !isObject {
		return "", false
	}
	mode, _ = members["mode"].(string)
	if mode == "" {
		mode = defaultClientAuth(members)
	}
	_, known = admitted[mode]
	return mode, known
}

func defaultClientAuth(members map[string]any) string {
	there := func(name string) bool {
		list, isList := members[name].([]any)
		return members[name] != nil && (!isList || len(list) > 0)
	}
	switch {
	case slices.ContainsFunc([]string{"ca", "trusted_ca_certs", "trusted_ca_certs_pem_files", "trusted_leaf_certs"}, there):
		return "require_and_verify"
	case there("verifiers"):
		return "require"
	default:
		return noClientAuth
	}
}
