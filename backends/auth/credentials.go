package auth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/internal/jose"
)

// readCredentials sees to it that the client authenticates in one way only (RFC
// 6749 section 2.3). Which way is the client's own is decided by the library,
// from the registration alone: so nobody can fall back to another.
func readCredentials(r *http.Request, c *call, issuer string) error {
	if c.form.Has("client_secret") {
		return refusal.New(goidc.ErrorCodeInvalidClient, "A client_secret is taken by HTTP Basic only, not in the form.")
	}
	authorization := r.Header.Values("Authorization")
	c.assertion = c.form.Has("client_assertion")
	switch {
	case len(authorization) > 1 || len(authorization) == 1 && c.assertion:
		return refusal.New(goidc.ErrorCodeInvalidRequest, "The client authenticates in more than one way.")
	case len(authorization) == 1:
		return readBasic(r, c)
	case c.assertion:
		return readAssertion(c, issuer)
	}
	return refusal.New(goidc.ErrorCodeInvalidClient, "The client does not authenticate: send client_secret_basic or private_key_jwt, as registered.")
}

// readBasic undoes the form encoding that RFC 6749 section 2.3.1 puts inside of
// Basic, which the library leaves in place.
func readBasic(r *http.Request, c *call) error {
	malformed := refusal.New(goidc.ErrorCodeInvalidClient, "The Authorization field is not well-formed Basic authentication.")
	id, secret, ok := r.BasicAuth()
	if !ok {
		return malformed
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if errID != nil || errSecret != nil {
		return malformed
	}
	r.SetBasicAuth(id, secret)
	c.clientID = id
	return nil
}

// readAssertion judges what the library does not: FAPI 2.0 section 5.3.2.1 wants
// the audience to be the issuer, as a string. An array is refused even where it
// holds nothing else.
func readAssertion(c *call, issuer string) error {
	message, err := jose.ParseCompact(c.form.Get("client_assertion"))
	if err != nil {
		return refusal.New(goidc.ErrorCodeInvalidClient, "The client_assertion is not a well-formed JWT.")
	}
	claims, err := jose.ParseObject(message.Payload)
	if err != nil {
		return refusal.New(goidc.ErrorCodeInvalidClient, "The claims of the client_assertion are not well-formed.")
	}
	if aud, ok := claims["aud"].(string); !ok || aud != issuer {
		return refusal.New(goidc.ErrorCodeInvalidClient, "The client_assertion's aud must be the issuer, as one string.")
	}
	c.clientID, _ = claims["iss"].(string) // the library compares it with sub and client_id
	return nil
}

// checkProof refuses what the library would take for no proof at all (two fields),
// and keys that it would verify with although they are too weak or of a curve
// that the algorithm is not for.
func checkProof(header http.Header) error {
	proofs := header.Values(goidc.HeaderDPoP)
	if len(proofs) == 0 {
		return nil
	}
	if len(proofs) > 1 {
		return refusal.New(refusal.InvalidDPoPProof, "There is more than one DPoP field.")
	}
	message, err := jose.ParseCompact(proofs[0])
	if err != nil {
		return refusal.New(refusal.InvalidDPoPProof, "The DPoP proof is not a well-formed JWT.")
	}
	if _, err := jose.ParseKey(message.Header.Key); err != nil {
		return refusal.New(refusal.InvalidDPoPProof, "The DPoP proof's jwk is not a public key for ES256, PS256 or EdDSA.")
	}
	return nil
}

// schemeOf splits an Authorization field.
func schemeOf(authorization string) (scheme, value string) {
	scheme, value, _ = strings.Cut(authorization, " ")
	return strings.ToLower(scheme), value
}
