// Package access answers who sends a request: it takes the access token from the
// Authorization field, verifies it and the proof that it asks for, and words the
// refusals of RFC 6750, RFC 9449 and RFC 9728. The edge and the backends behind it
// both use it, so that one request gets the same judgement twice.
package access

import (
	"errors"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Checker authenticates requests. Its fields are set before the first Check.
type Checker struct {
	Tokens *token.Verifier
	// Proofs checks DPoP proofs. When nil, the DPoP scheme and tokens that are bound
	// to a DPoP key are refused.
	Proofs *dpop.Verifier
	// Certificate gives the DER of the certificate whose key the client has proved to
	// hold, nil when there is none: ClientCertificates.Of, or a function that knows
	// better. When nil, tokens that are bound to a certificate are refused.
	Certificate func(*http.Request) ([]byte, error)
	// ResourceMetadata is the URL that challenges name (RFC 9728 section 5.1); none when empty.
	ResourceMetadata string
}

// Check gives the token that the request carries, or the refusal. It may replace
// r.Body: a form is looked at for a token that does not belong there.
func (c *Checker) Check(r *http.Request) (*token.Token, *problem.Problem) {
	if inQuery(r.URL.RawQuery) {
		return nil, c.badRequest(TokenInQuery, "An access token belongs in the Authorization header, not in the query.")
	}
	if inForm(r) {
		return nil, c.badRequest(TokenInForm, "An access token belongs in the Authorization header, not in the body.")
	}
	fields := r.Header["Authorization"]
	if len(fields) == 0 {
		return nil, c.noCredentials(NoCredentials)
	}
	if len(fields) > 1 {
		return nil, c.badRequest(TwoMethods, "There is more than one Authorization header.")
	}
	used, raw, err := parse(fields[0])
	if err != nil {
		return nil, c.malformedHeader()
	}
	if used == unsupported || used == dpopScheme && c.Proofs == nil {
		return nil, c.noCredentials(UnsupportedScheme)
	}
	return c.authenticate(r, used, raw)
}

// authenticate verifies the token, and that the sender may use it.
func (c *Checker) authenticate(r *http.Request, used scheme, raw string) (*token.Token, *problem.Problem) {
	t, err := c.Tokens.Verify(r.Context(), raw)
	if err != nil && !isB64Token(raw) {
		return nil, c.malformedHeader()
	}
	if err != nil {
		return nil, c.refusedToken(used, err)
	}
	if refusal := c.possession(r, used, raw, t); refusal != nil {
		return nil, refusal
	}
	return t, nil
}

// refusedToken words what the token's verification says.
func (c *Checker) refusedToken(used scheme, err error) *problem.Problem {
	var refused *token.Error
	if !errors.As(err, &refused) {
		refused = &token.Error{Reason: token.KeysUnavailable, Err: err} // not known to be bad: nobody can tell
	}
	if refused.Reason == token.KeysUnavailable {
		return unavailable(string(refused.Reason), "The keys to verify the token with are out of reach.", err)
	}
	detail := "The token is not valid."
	if refused.Reason == token.Expired {
		detail = "The token has expired."
	}
	return c.invalidToken(used, string(refused.Reason), detail).WithCause(err)
}

// refusedProof words what the proof's verification says.
func (c *Checker) refusedProof(err error) *problem.Problem {
	var refused *dpop.Error
	if !errors.As(err, &refused) {
		refused = &dpop.Error{Reason: dpop.ReplayUnavailable, Err: err}
	}
	switch refused.Reason {
	case dpop.ReplayUnavailable:
		return unavailable(string(refused.Reason), "The memory of used proofs is out of reach.", err)
	case dpop.NonceWanted:
		return c.nonceWanted().WithCause(err)
	case dpop.WrongKey:
		return c.invalidToken(dpopScheme, string(refused.Reason), "Invalid DPoP key binding").WithCause(err)
	default:
		return c.invalidProof(string(refused.Reason)).WithCause(err)
	}
}

// retryAfter is what callers are told while something that we need is out of reach.
const retryAfter = 5 * time.Second

func unavailable(reason, detail string, cause error) *problem.Problem {
	return problem.New(http.StatusServiceUnavailable, "temporarily_unavailable", detail).
		WithReason(reason).WithCause(cause).WithRetryAfter(retryAfter)
}
