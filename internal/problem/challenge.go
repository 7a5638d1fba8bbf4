package problem

import "strings"

// Challenge is one WWW-Authenticate challenge: a scheme and its parameters in
// the order in which they were added.
type Challenge struct {
	scheme string
	params []string
}

// NewChallenge starts a challenge of the scheme "Bearer" or "DPoP".
func NewChallenge(scheme string) Challenge { return Challenge{scheme: scheme} }

// With adds a parameter. Values are the project's own words: never text of the
// request, which could otherwise end the quoted string (RFC 9110 section 5.6.4).
func (c Challenge) With(name, value string) Challenge {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
	params := append(append([]string(nil), c.params...), name+`="`+quoted+`"`)
	return Challenge{scheme: c.scheme, params: params}
}

// String gives the field value.
func (c Challenge) String() string {
	if len(c.params) == 0 {
		return c.scheme
	}
	return c.scheme + " " + strings.Join(c.params, ", ")
}
