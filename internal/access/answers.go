package access

import (
	"net/http"
	"strings"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// The error codes of RFC 6750 section 3.1, RFC 9449 section 7.1 and RFC 9470 section 3.
const (
	invalidRequest             = "invalid_request"
	invalidToken               = "invalid_token"
	invalidProof               = "invalid_dpop_proof"
	useNonce                   = "use_dpop_nonce"
	insufficientScope          = "insufficient_scope"
	insufficientAuthentication = "insufficient_user_authentication"
)

// challenge makes a challenge of the scheme; code and description may be empty.
func (c *Checker) challenge(s scheme, code, description string) string {
	ch := problem.NewChallenge(string(s))
	if code != "" {
		ch = ch.With("error", code)
	}
	if description != "" {
		ch = ch.With("error_description", description)
	}
	if s == dpopScheme {
		ch = ch.With("algs", c.Proofs.Algorithms())
	}
	if c.ResourceMetadata != "" {
		ch = ch.With("resource_metadata", c.ResourceMetadata)
	}
	return ch.String()
}

// refuse puts the error code on the challenge of the scheme that was used, and adds
// the bare challenge of the other scheme if that would do as well.
func (c *Checker) refuse(p *problem.Problem, used scheme, code, description string) *problem.Problem {
	p = p.WithHeader("WWW-Authenticate", c.challenge(used, code, description))
	if used == dpopScheme {
		return p.WithHeader("WWW-Authenticate", c.challenge(bearer, "", ""))
	}
	if c.Proofs != nil {
		return p.WithHeader("WWW-Authenticate", c.challenge(dpopScheme, "", ""))
	}
	return p
}

// noCredentials challenges without an error code: the caller may not have known
// that there is something to authenticate for (RFC 6750 section 3.1).
func (c *Checker) noCredentials(reason string) *problem.Problem {
	p := problem.New(http.StatusUnauthorized, "missing_credentials", "This resource needs an access token.")
	return c.refuse(p.WithReason(reason), bearer, "", "")
}

func (c *Checker) badRequest(reason, detail string) *problem.Problem {
	p := problem.New(http.StatusBadRequest, invalidRequest, detail)
	return p.WithReason(reason).WithHeader("WWW-Authenticate", c.challenge(bearer, invalidRequest, ""))
}

func (c *Checker) malformedHeader() *problem.Problem {
	return c.badRequest(MalformedHeader, "The Authorization header is malformed.")
}

func (c *Checker) invalidToken(used scheme, reason, detail string) *problem.Problem {
	p := problem.New(http.StatusUnauthorized, invalidToken, detail).WithReason(reason)
	return c.refuse(p, used, invalidToken, detail)
}

func (c *Checker) invalidProof(reason string) *problem.Problem {
	p := problem.New(http.StatusUnauthorized, invalidProof, "The DPoP proof is not valid for this request.").WithReason(reason)
	return c.refuse(p, dpopScheme, invalidProof, "")
}

// nonceWanted hands out the nonce that the next proof has to bear (RFC 9449 section 9).
// No cache may hand it to somebody else.
func (c *Checker) nonceWanted() *problem.Problem {
	p := problem.New(http.StatusUnauthorized, useNonce, "The DPoP proof has to bear the nonce of the DPoP-Nonce header.").
		WithReason(string(dpop.NonceWanted)).
		WithHeader("DPoP-Nonce", c.Proofs.Nonce()).
		WithHeader("Cache-Control", "no-store")
	return c.refuse(p, dpopScheme, useNonce, "")
}

// InsufficientScope refuses a token that lacks one of the scopes that are needed.
func InsufficientScope(t *token.Token, needed []string) *problem.Problem {
	scope := strings.Join(needed, " ")
	challenge := forToken(t).With("error", insufficientScope).With("scope", scope)
	return problem.New(http.StatusForbidden, insufficientScope, "The token lacks a scope: "+scope+" is needed.").
		WithReason(insufficientScope).
		WithHeader("WWW-Authenticate", challenge.String())
}

// InsufficientDetails refuses a token whose authorization_details do not allow what
// is asked for. kind is the type that would; the scopes are those needed with it.
func InsufficientDetails(t *token.Token, kind string, needed ...string) *problem.Problem {
	challenge := forToken(t).With("error", insufficientScope)
	if len(needed) > 0 {
		challenge = challenge.With("scope", strings.Join(needed, " "))
	}
	return problem.New(http.StatusForbidden, "insufficient_authorization_details",
		"The token's authorization_details do not allow this: one of type "+kind+" is needed.").
		WithReason(DetailsMissing).
		WithHeader("WWW-Authenticate", challenge.String())
}

// ClaimMismatch refuses a token whose claim is not what a policy wants. No other
// scope would help, so there is no challenge.
func ClaimMismatch(claim string) *problem.Problem {
	return problem.New(http.StatusForbidden, "claim_mismatch", "The token's claim "+claim+" does not allow this.").
		WithReason(ClaimRefused)
}

// forToken starts a challenge of the scheme that the token is used with.
func forToken(t *token.Token) problem.Challenge {
	if t.Confirmation.JKT != "" {
		return problem.NewChallenge(string(dpopScheme))
	}
	return problem.NewChallenge(string(bearer))
}

// WithMetadata gives a copy of a refusal whose challenges all name the resource's
// metadata (RFC 9728 section 5.1), for refusals that no Checker made.
func WithMetadata(p *problem.Problem, url string) *problem.Problem {
	const field = "WWW-Authenticate"
	challenges := p.Header.Values(field)
	if url == "" || len(challenges) == 0 {
		return p
	}
	c := *p
	c.Header = p.Header.Clone()
	c.Header.Del(field)
	for _, challenge := range challenges {
		separator := ", "
		if !strings.Contains(challenge, " ") {
			separator = " "
		}
		c.Header.Add(field, challenge+separator+`resource_metadata="`+url+`"`)
	}
	return &c
}
