// Package token verifies JWT access tokens (RFC 9068) by the rules of RFC 8725:
// an own strict parser in front of the signature check, the keys of exactly the
// issuer that the token names, and a bounded memory of what has been verified.
package token

import (
	"encoding/json"
	"slices"
	"time"
)

// Token is a verified access token. It is shared between requests: read it only.
type Token struct {
	Issuer   string
	Subject  string
	ClientID string
	// ID is the "jti". A token is revoked by Issuer and ID.
	ID string
	// GrantID is the "grant_id": what the user consented to once, and what all tokens
	// that came of it have in common. Empty when the token does not say.
	GrantID  string
	Audience []string
	Scopes   []string

	IssuedAt  time.Time
	ExpiresAt time.Time
	// AuthTime is when the user authenticated; zero when the token does not say.
	AuthTime time.Time
	// ACR is how the user authenticated; empty when the token does not say.
	ACR string

	Confirmation Confirmation
	Details      []Detail

	// Claims are all claims of the token, the registered ones too. Numbers are json.Number.
	Claims map[string]any

	KeyID     string
	Algorithm string

	notBefore time.Time
	kept      *kept
}

// Confirmation is the "cnf" claim (RFC 7800): what the sender has to prove the
// possession of. Both members are empty in a plain bearer token.
type Confirmation struct {
	// JKT is the thumbprint of the DPoP key (RFC 9449 section 6.1).
	JKT string
	// X5TS256 is the thumbprint of the client certificate (RFC 8705 section 3.1).
	X5TS256 string
}

// Bound says whether the token is of use only with a proof of possession.
func (c Confirmation) Bound() bool { return c.JKT != "" || c.X5TS256 != "" }

// Detail is one element of authorization_details (RFC 9396).
type Detail struct {
	Type string
	// Raw is the whole element as JSON, its members sorted by name.
	Raw json.RawMessage
}

// HasScope says whether the token was granted the scope.
func (t *Token) HasScope(scope string) bool { return slices.Contains(t.Scopes, scope) }

// Claim gives a claim by its exact name.
func (t *Token) Claim(name string) (any, bool) {
	value, present := t.Claims[name]
	return value, present
}

// HasDetail says whether the token was granted an authorization detail of the type.
func (t *Token) HasDetail(kind string) bool {
	return slices.ContainsFunc(t.Details, func(d Detail) bool { return d.Type == kind })
}
