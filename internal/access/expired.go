package access

import (
	"net/http"

	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// ExpiredToken refuses a token that was let in by its issuer's leeway alone, where that
// is not enough.
func ExpiredToken(t *token.Token) *problem.Problem {
	const detail = "The token has expired."
	challenge := forToken(t).With("error", invalidToken).With("error_description", detail)
	return problem.New(http.StatusUnauthorized, invalidToken, detail).
		WithReason(string(token.Expired)).
		WithHeader("WWW-Authenticate", challenge.String())
}
