package access

import (
	"errors"
	"strings"
)

// scheme is an authentication scheme of the Authorization field.
type scheme string

const (
	bearer      scheme = "Bearer"
	dpopScheme  scheme = "DPoP"
	unsupported scheme = ""
)

var errHeader = errors.New("malformed Authorization")

// parse splits an Authorization field into scheme and credentials (RFC 9110 section
// 11.6.2, RFC 6750 section 2.1). Of a scheme that is not ours only the name is read.
func parse(field string) (scheme, string, error) {
	name, credentials, _ := strings.Cut(field, " ")
	if name == "" || strings.ContainsFunc(name, notToken) {
		return unsupported, "", errHeader
	}
	used := unsupported
	switch {
	case strings.EqualFold(name, string(bearer)):
		used = bearer
	case strings.EqualFold(name, string(dpopScheme)):
		used = dpopScheme
	default:
		return unsupported, "", nil
	}
	return used, strings.TrimLeft(credentials, " "), nil // 1*SP
}

// isB64Token checks for token68: a run of its characters, then padding alone. Only
// what has been refused as a token is asked about: an access token is made of these
// characters, and reading a good one a second time would take as long as all the rest.
func isB64Token(s string) bool {
	core := strings.TrimRight(s, "=")
	for i := range len(core) {
		if !token68[core[i]] {
			return false
		}
	}
	return core != ""
}

// notToken says which runes cannot be in the name of a scheme (RFC 9110 section 5.6.2).
func notToken(r rune) bool { return r >= 0x80 || !tokenChars[byte(r)] }

var (
	token68    = table("-._~+/")
	tokenChars = table("!#$%&'*+-.^_`|~")
)

// table holds the letters, the digits and the marks.
func table(marks string) (is [256]bool) {
	const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, c := range []byte(alphanumeric + marks) {
		is[c] = true
	}
	return is
}
