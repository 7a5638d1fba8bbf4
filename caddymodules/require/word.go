package require

import "errors"

var errWord = errors.New(`must be printable ASCII without space, '"' and '\'`)

// validWord holds a scope to its grammar (RFC 6749 section 3.3), and to the same one
// what else is listed with spaces between and quoted in challenges: the classes of
// authentication (RFC 9470 section 3) and the types of authorization_details.
func validWord(word string) bool {
	for _, c := range []byte(word) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return word != ""
}
