// Package access answers who sends a request: it takes the access token from the
// Authorization field, verifies it and the proof or the certificate that it asks for,
// and words the refusals of RFC 6750, RFC 8705, RFC 9449, RFC 9470 and RFC 9728. The edge and the backends behind it
// both use it, so that one request gets the same judgement twice.
package access

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Checker authenticates requests. Its fields are set before the first Check.
type Checker struct {
	// Tokens verifies JWTs: a *token.Verifier. Nil: Opaque is asked about every token.
	Tokens Tokens
	// Opaque verifies what is not a JWT: an *introspect.Client. Nil: such tokens are
	// refused as malformed.
	Opaque Tokens
	// Proofs checks DPoP proofs. When nil, the DPoP scheme and tokens that are bound
	// to a DPoP key are refused.
	Proofs *dpop.Verifier
	// Certificate gives the DER of the certificate whose key the client has proved to
	// hold, nil when there is none: ClientCertificates.Of, or a function that knows
	// better. When nil, tokens that are bound to a certificate are refused.
	Certificate func(*http.Request) ([]byte, error)
	// Failures limits how many bad credentials an address may have verified; nil: any number.
	Failures *Failures
	// Renew is told, for a request that passes, the nonce that its answer has to hand out:
	// the one of its proof is about to end (RFC 9449 section 8.2). Nil: nobody hands it out.
	Renew func(r *http.Request, nonce string)
	// ResourceMetadata is the URL that challenges name (RFC 9728 section 5.1); none when empty.
	ResourceMetadata string
}

// Tokens verifies access tokens of one form. Its errors are *token.Error.
type Tokens interface {
	Verify(ctx context.Context, raw string) (*token.Token, error)
	// Recall answers as Verify does if it costs neither cryptography nor a question to
	// the issuer, and otherwise gives nothing, not even an error.
	Recall(raw string) (*token.Token, error)
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
	t, refusal := c.identify(r, used, raw)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := c.possession(r, used, raw, t); refusal != nil {
		return nil, refusal
	}
	return t, nil
}

// identify gives the token that raw stands for.
func (c *Checker) identify(r *http.Request, used scheme, raw string) (*token.Token, *problem.Problem) {
	tokens := c.Tokens
	if c.Opaque != nil && (tokens == nil || strings.Count(raw, ".") != 2) {
		if !isB64Token(raw) {
			return nil, c.malformedHeader() // nothing to bother the issuer with
		}
		tokens = c.Opaque
	}
	t, err := tokens.Recall(raw)
	if err != nil {
		return nil, c.refusedToken(used, err)
	}
	if t != nil {
		return t, nil
	}
	return c.verify(r, tokens, used, raw)
}

// verify looks into a token that is not remembered.
func (c *Checker) verify(r *http.Request, by Tokens, used scheme, raw string) (t *token.Token, refusal *problem.Problem) {
	refusal = c.Failures.guard(r, "", func() *problem.Problem {
		verified, err := by.Verify(r.Context(), raw)
		if err != nil && !isB64Token(raw) {
			return c.malformedHeader()
		}
		if err != nil {
			return c.refusedToken(used, err)
		}
		t = verified
		return nil
	})
	return t, refusal
}

// refusedToken words what the token's verification says.
func (c *Checker) refusedToken(used scheme, err error) *problem.Problem {
	var refused *token.Error
	if !errors.As(err, &refused) {
		refused = &token.Error{Reason: token.KeysUnavailable, Err: err} // not known to be bad: nobody can tell
	}
	if refused.Reason.Unavailable() {
		return unavailable(string(refused.Reason), outOfReach[refused.Reason], err)
	}
	if refused.Reason == token.NotSenderConstrained {
		return c.unconstrained().WithCause(err)
	}
	detail := "The token is not valid."
	if refused.Reason == token.Expired {
		detail = "The token has expired."
	}
	return c.invalidToken(used, string(refused.Reason), detail).WithCause(err)
}

// outOfReach says what is missing to judge a token.
var outOfReach = map[token.Reason]string{
	token.KeysUnavailable:          "The keys to verify the token with are out of reach.",
	token.RevocationsUnavailable:   "What has been revoked lately is not known.",
	token.IntrospectionUnavailable: "The issuer of the token is out of reach.",
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
	case dpop.TooMany:
		return tooManyProofs(err)
	case dpop.WrongKey:
		return c.invalidToken(dpopScheme, string(refused.Reason), "Invalid DPoP key binding").WithCause(err)
	default:
		return c.invalidProof(string(refused.Reason)).WithCause(err)
	}
}

// retryAfter is what callers are told while something that we need is out of reach.
const retryAfter = 5 * time.Second

// tooManyProofs is no 503: the others can go on.
func tooManyProofs(cause error) *problem.Problem {
	return problem.New(http.StatusTooManyRequests, "too_many_proofs",
		"This key has sent more DPoP proofs lately than can be remembered.").
		WithReason(string(dpop.TooMany)).WithCause(cause).WithRetryAfter(retryAfter)
}

func unavailable(reason, detail string, cause error) *problem.Problem {
	return problem.New(http.StatusServiceUnavailable, "temporarily_unavailable", detail).
		WithReason(reason).WithCause(cause).WithRetryAfter(retryAfter)
}
