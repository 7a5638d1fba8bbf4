package access

import (
	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/token"
)

// The reasons that are neither the token's nor the proof's.
const (
	// Accepted is the word for requests that are not refused.
	Accepted          = "accepted"
	NoCredentials     = "no_credentials"
	UnsupportedScheme = "unsupported_scheme"
	MalformedHeader   = "malformed_header"
	TwoMethods        = "two_methods"
	TokenInQuery      = "token_in_query"
	TokenInForm       = "token_in_form"
	BoundAsBearer     = "bound_token_as_bearer"
	// CertificateBound says that there is no way here to present a certificate.
	CertificateBound      = "certificate_bound"
	CertificateMissing    = "certificate_missing"
	CertificateWrong      = "certificate_wrong"
	CertificateUnreadable = "certificate_unreadable"
	TooManyFailures       = "too_many_failures"
	Unconstrained         = string(token.NotSenderConstrained) // of a policy for the request, or of the issuer's profile
	StepUpWanted          = insufficientAuthentication
	ScopeMissing          = insufficientScope
	DetailsMissing        = "insufficient_details"
	ClaimRefused          = "claim_mismatch"
)

// Reasons gives every Problem.Reason that this package can come to, and Accepted:
// metrics register them all beforehand.
func Reasons() []string {
	reasons := []string{
		Accepted, NoCredentials, UnsupportedScheme, MalformedHeader, TwoMethods, TokenInQuery, TokenInForm,
		BoundAsBearer, CertificateBound, CertificateMissing, CertificateWrong, CertificateUnreadable,
		TooManyFailures, StepUpWanted, ScopeMissing, DetailsMissing, ClaimRefused,
	}
	for _, reason := range token.Reasons() {
		reasons = append(reasons, string(reason))
	}
	for _, reason := range dpop.Reasons() {
		reasons = append(reasons, string(reason))
	}
	return reasons
}
