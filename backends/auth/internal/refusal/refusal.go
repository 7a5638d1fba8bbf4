// Package refusal marks the OAuth errors that Tollgate's own guards speak. The
// library's descriptions are generic and its causes may hold request text, so
// only what is marked here reaches a client word for word.
package refusal

import (
	"errors"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// OAuth error codes that the library has no constant for.
const (
	ConsentRequired  goidc.ErrorCode = "consent_required"   // OpenID Connect Core 1.0 section 3.1.2.6
	InvalidDPoPProof goidc.ErrorCode = "invalid_dpop_proof" // RFC 9449 section 12.2
	ServerError      goidc.ErrorCode = "server_error"       // RFC 6749 section 4.1.2.1
	Unavailable      goidc.ErrorCode = "temporarily_unavailable"
)

var errOwn = errors.New("refused by a guard")

// New makes an OAuth error whose description is safe to show: words of ours,
// never text of the request.
func New(code goidc.ErrorCode, description string) error {
	return goidc.WrapError(code, description, errOwn)
}

// Own gives the OAuth error if err is one of ours.
func Own(err error) (goidc.Error, bool) {
	var e goidc.Error
	if !errors.Is(err, errOwn) {
		return e, false
	}
	// The library wraps what it passes on; the innermost error is the one made here.
	for inner := err; errors.As(inner, &e); inner = e.Unwrap() {
		if e.Unwrap() == errOwn {
			return e, true
		}
	}
	return e, false
}
