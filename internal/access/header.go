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

// parse splits an Authorization field into scheme and token (RFC 9110 section
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
	credentials = strings.TrimLeft(credentials, " ") // 1*SP
	if !isB64Token(credentials) {
		return unsupported, "", errHeader
	}
	return used, credentials, nil
}

// isB64Token checks for token68: a run of its characters, then padding alone.
func isB64Token(s string) bool {
	core := strings.TrimRight(s, "=")
	if core == "" {
		return false
	}
	for i := range len(core) {
		if c := core[i]; !alphanumeric(c) && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return true
}

// notToken says which runes cannot be in the name of a scheme (RFC 9110 section 5.6.2).
func notToken(r rune) bool {
	if r >= 0x80 {
		return true
	}
	return !alphanumeric(byte(r)) && strings.IndexByte("!#$%&'*+-.^_`|~", byte(r)) < 0
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
