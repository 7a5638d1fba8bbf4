// Package jose is the strict half of JOSE that Tollgate judges tokens and proofs
// by: JSON without duplicates or trailing data, the compact serialization alone
// (RFC 7515 section 7.1), a short list of asymmetric algorithms, public keys.
//
// The JOSE library does the cryptography. It is lenient about what surrounds it:
// padded or standard-alphabet base64, altered trailing bits, duplicate members
// and a second document after the first all pass there. Here they do not.
package jose

import "errors"

// ErrMalformed is what every syntax error of this package wraps.
var ErrMalformed = errors.New("malformed")

// ErrSignature says that a signature does not verify under the key.
var ErrSignature = errors.New("signature does not verify")

// ErrKey says that a JSON Web Key is not one that Tollgate will verify with.
var ErrKey = errors.New("unusable key")

// Algorithm is a JWS "alg" value (RFC 7518 section 3.1).
type Algorithm string

// The algorithms that Tollgate verifies. RS256 is for issuers that cannot do
// better and has to be asked for; FAPI 2.0 does not allow it.
const (
	ES256 Algorithm = "ES256"
	PS256 Algorithm = "PS256"
	EdDSA Algorithm = "EdDSA"
	RS256 Algorithm = "RS256"
)

// ed25519Name is EdDSA with an Ed25519 key under its own name (RFC 9864 section 2.2). There is
// no other kind of key for EdDSA here, so that both names are of one algorithm, and are
// one from where they are read on.
const ed25519Name = "Ed25519"

// AlgorithmOf gives the algorithm of this name; one that is not Supported stays as it is.
func AlgorithmOf(name string) Algorithm {
	if name == ed25519Name {
		return EdDSA
	}
	return Algorithm(name)
}

// Supported says whether tokens of this algorithm can be verified at all.
// HMAC and "none" are not, whatever a configuration asks for.
func (a Algorithm) Supported() bool {
	switch a {
	case ES256, PS256, EdDSA, RS256:
		return true
	}
	return false
}

// rsa says whether the algorithm is used with RSA keys.
func (a Algorithm) rsa() bool { return a == PS256 || a == RS256 }
