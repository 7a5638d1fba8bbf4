package require

import "errors"

var errScope = errors.New(`a scope is printable ASCII without space, '"' and '\'`)

// validScope holds a scope to its grammar (RFC 6749 section 3.3): what it is compared
// with is split at spaces, and it is quoted in challenges.
func validScope(scope string) bool {
	for _, c := range []byte(scope) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}
