package access

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// StepUp is how a user has to have authenticated (RFC 9470). The zero value is met by
// every token.
type StepUp struct {
	// ACR lists the authentication context classes of which one will do; empty: any.
	ACR []string
	// MaxAge is how long ago the authentication may be; zero: however long.
	MaxAge time.Duration
}

// Judge refuses a token that does not say that it was authenticated as it has to be.
func (s StepUp) Judge(t *token.Token, now time.Time) *problem.Problem {
	if len(s.ACR) > 0 && !slices.Contains(s.ACR, t.ACR) {
		return s.refusal(t, "A different authentication level is required.")
	}
	if s.MaxAge > 0 && (t.AuthTime.IsZero() || now.Sub(t.AuthTime) > s.MaxAge) {
		return s.refusal(t, "More recent authentication is required.")
	}
	return nil
}

// refusal names all that is wanted and not only what is missing: who authenticates
// again for the one would otherwise be sent back for the other (RFC 9470 section 3).
func (s StepUp) refusal(t *token.Token, detail string) *problem.Problem {
	challenge := forToken(t).With("error", insufficientAuthentication).With("error_description", detail)
	if len(s.ACR) > 0 {
		challenge = challenge.With("acr_values", strings.Join(s.ACR, " "))
	}
	if s.MaxAge > 0 {
		challenge = challenge.With("max_age", strconv.FormatInt(int64(s.MaxAge/time.Second), 10))
	}
	return problem.New(http.StatusUnauthorized, insufficientAuthentication, detail).
		WithHeader("WWW-Authenticate", challenge.String())
}
