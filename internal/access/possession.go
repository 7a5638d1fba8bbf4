package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"

	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// possession checks that the sender may use the token: each confirmation that it
// carries has to be met, both when there are two. The proof comes last, because to
// check it is to use it up.
func (c *Checker) possession(r *http.Request, used scheme, raw string, t *token.Token) *problem.Problem {
	if used == bearer && t.Confirmation.JKT != "" {
		return c.invalidToken(bearer, BoundAsBearer, "The token is bound to a DPoP key.")
	}
	if t.Confirmation.X5TS256 != "" {
		if refusal := c.certificate(r, used, t.Confirmation.X5TS256); refusal != nil {
			return refusal
		}
	}
	if used == bearer {
		return nil
	}
	return c.Failures.guard(r, t.Confirmation.JKT, func() *problem.Problem {
		renewal, err := c.Proofs.Check(r.Context(), r, raw, t.Confirmation.JKT)
		if err != nil {
			return c.refusedProof(err)
		}
		if renewal != "" && c.Renew != nil {
			c.Renew(r, renewal)
		}
		return nil
	})
}

// certificate compares the client's certificate with the one that the token is bound
// to (RFC 8705 section 3).
func (c *Checker) certificate(r *http.Request, used scheme, want string) *problem.Problem {
	if c.Certificate == nil {
		return c.invalidToken(used, CertificateBound, "The token is bound to a client certificate, which is not supported here.")
	}
	der, err := c.Certificate(r)
	if err != nil {
		return c.invalidToken(used, CertificateUnreadable, "The client certificate could not be read.").WithCause(err)
	}
	if der == nil {
		return c.invalidToken(used, CertificateMissing, "The token is bound to a client certificate, and none was presented.")
	}
	if !isThumbprint(want, der) {
		return c.invalidToken(used, CertificateWrong, "The token is bound to another client certificate.")
	}
	return nil
}

// isThumbprint says whether the text is the certificate's "x5t#S256" (RFC 8705 section 3.1).
func isThumbprint(text string, der []byte) bool {
	sum := sha256.Sum256(der)
	var is [43]byte // 32 bytes in base64url
	base64.RawURLEncoding.Encode(is[:], sum[:])
	return subtle.ConstantTimeCompare([]byte(text), is[:]) == 1
}
