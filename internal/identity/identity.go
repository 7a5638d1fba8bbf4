// Package identity knows the header fields in which a backend may look for what only
// the edge can know: who the caller is, how it was authenticated, and which method or
// path was really meant. A caller's own such fields are never forwarded.
package identity

import (
	"net/http"
	"slices"
	"strings"
)

// exact are whole names, prefixes the beginnings of names; both in lower case with
// hyphens, which is how a name is folded before it is looked up.
var (
	exact = map[string]struct{}{
		"forwarded":              {}, // RFC 7239; Caddy speaks X-Forwarded-For, -Host and -Proto
		"remote-user":            {},
		"remote-email":           {},
		"remote-groups":          {},
		"remote-name":            {},
		"x-email":                {},
		"x-groups":               {},
		"x-http-method":          {},
		"x-http-method-override": {},
		"x-method-override":      {},
		"x-original-host":        {},
		"x-original-method":      {},
		"x-original-uri":         {},
		"x-original-url":         {},
		"x-real-ip":              {},
		"x-rewrite-url":          {},
		"x-roles":                {},
		"x-scope":                {},
		"x-scopes":               {},
		"x-sub":                  {},
		"x-subject":              {},
	}
	prefixes = []string{
		"client-cert", // RFC 9440: Client-Cert and Client-Cert-Chain
		"ssl-client-",
		"x-amzn-oidc-",
		"x-auth", // X-Auth-*, X-Authenticated-*, X-Authorization
		"x-client-",
		"x-consumer-",
		"x-credential-",
		"x-forwarded-",
		"x-goog-authenticated-",
		"x-jwt-",
		"x-ms-client-principal",
		"x-remote-",
		"x-ssl-",
		"x-token-",
		"x-tollgate-",
		"x-user", // X-User, X-User-*, X-UserId, X-Username
		"x-webauth-",
	}
	// proxied are set by reverse_proxy itself, from the connection or from a trusted proxy.
	proxied = map[string]struct{}{
		"x-forwarded-for":   {},
		"x-forwarded-host":  {},
		"x-forwarded-proto": {},
	}
)

// longest is more than the longest name in exact.
const longest = 32

// Strip removes the fields, however they are spelt. A backend that follows CGI reads
// "X_User.Id" as "X-User-Id", so those spellings go too.
func Strip(h http.Header) {
	for name := range h {
		if isReserved(name) {
			delete(h, name)
		}
	}
}

func isReserved(name string) bool {
	var buffer [longest]byte
	folded := fold(buffer[:0], name)
	if _, ok := proxied[string(folded)]; ok && len(name) == len(folded) {
		return !isProxied(name)
	}
	if _, ok := exact[string(folded)]; ok && len(name) == len(folded) {
		return true
	}
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		return len(folded) >= len(prefix) && string(folded[:len(prefix)]) == prefix
	})
}

// isProxied says whether the name is one that reverse_proxy replaces: that spelling only.
func isProxied(name string) bool { return !strings.ContainsAny(name, "_.") }

// fold appends as much of the name as matters, in the spelling of the tables.
func fold(buffer []byte, name string) []byte {
	for i := 0; i < min(len(name), longest); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_' || c == '.':
			c = '-'
		}
		buffer = append(buffer, c)
	}
	return buffer
}
