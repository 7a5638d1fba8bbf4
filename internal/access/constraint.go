package access

import (
	"net/http"

	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Constraint is a way in which a token has to be bound to its sender.
type Constraint string

// What a policy can ask for.
const (
	AnyConstraint    Constraint = "sender_constrained"
	DPoPConstraint   Constraint = "dpop"
	MutualConstraint Constraint = "mtls"
)

// Holds says whether the token is bound in this way.
func (c Constraint) Holds(t *token.Token) bool {
	switch c {
	case AnyConstraint:
		return t.Confirmation.Bound()
	case DPoPConstraint:
		return t.Confirmation.JKT != ""
	case MutualConstraint:
		return t.Confirmation.X5TS256 != ""
	default:
		return false
	}
}

// wanted are the words for each constraint.
var wanted = map[Constraint]string{
	AnyConstraint:    "A sender-constrained access token is required.",
	DPoPConstraint:   "An access token that is bound to a DPoP key is required.",
	MutualConstraint: "An access token that is bound to a client certificate is required.",
}

// unconstrained refuses a token of an issuer whose tokens all have to be bound.
func (c *Checker) unconstrained() *problem.Problem {
	algorithms := ""
	if c.Proofs != nil {
		algorithms = c.Proofs.Algorithms()
	}
	return WithMetadata(NotSenderConstrained(AnyConstraint, algorithms), c.ResourceMetadata)
}

// NotSenderConstrained asks for another token rather than for another permission:
// that is a 401 (RFC 6750 section 3.1), in the scheme that would do. algorithms are
// those of DPoP proofs; empty where DPoP is not possible.
func NotSenderConstrained(c Constraint, algorithms string) *problem.Problem {
	scheme := bearer // certificates have none of their own (RFC 8705 section 3)
	if algorithms != "" && c != MutualConstraint {
		scheme = dpopScheme
	}
	challenge := problem.NewChallenge(string(scheme)).With("error", invalidToken).With("error_description", wanted[c])
	if scheme == dpopScheme {
		challenge = challenge.With("algs", algorithms)
	}
	return problem.New(http.StatusUnauthorized, invalidToken, wanted[c]).
		WithReason(Unconstrained).WithHeader("WWW-Authenticate", challenge.String())
}
