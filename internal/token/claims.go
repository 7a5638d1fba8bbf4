package token

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// Bounds of single claims. Whoever signs a token is trusted, but not to be sane.
const (
	maxIdentifier = 512
	maxDetails    = 16
)

// decode reads the claims of an authentic token (RFC 9068 section 2.2).
func decode(claims map[string]any) (*Token, error) {
	r := reader{claims: claims}
	t := r.token()
	t.Issuer = r.identifier("iss")
	t.ID = r.identifier("jti")
	t.IssuedAt = r.time("iat", true)
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

// reader reads claims by type and keeps the first error.
type reader struct {
	claims map[string]any
	err    error
}

// token reads the claims that every token has, whoever tells of it.
func (r *reader) token() *Token {
	return &Token{
		Subject:   r.identifier("sub"),
		ClientID:  r.identifier("client_id"),
		GrantID:   r.optionalIdentifier("grant_id"),
		Audience:  r.audience(),
		Scopes:    r.scopes(),
		ExpiresAt: r.time("exp", true),
		AuthTime:  r.time("auth_time", false),
		ACR:       r.text("acr"),

		Confirmation: r.confirmation(),
		Details:      r.details(),
		Claims:       r.claims,

		notBefore: r.time("nbf", false),
		kept:      new(kept),
	}
}

func (r *reader) fail(reason Reason, name string) {
	if r.err == nil {
		r.err = refuse(reason, errors.New(name))
	}
}

// text reads an optional string; empty when it is missing.
func (r *reader) text(name string) string {
	value, present := r.claims[name]
	if !present {
		return ""
	}
	s, ok := value.(string)
	if !ok {
		r.fail(InvalidClaim, name)
	}
	return s
}

// identifier reads a required string that becomes part of log lines, metric
// keys and header fields: control characters would end one and start another.
func (r *reader) identifier(name string) string {
	if _, present := r.claims[name]; !present {
		r.fail(MissingClaim, name)
		return ""
	}
	return r.optionalIdentifier(name)
}

// optionalIdentifier reads an identifier; empty when it is missing.
func (r *reader) optionalIdentifier(name string) string {
	if _, present := r.claims[name]; !present {
		return ""
	}
	s := r.text(name)
	if s == "" || len(s) > maxIdentifier || strings.ContainsFunc(s, unicode.IsControl) {
		r.fail(InvalidClaim, name)
	}
	return s
}

// audience reads "aud": a string or an array of strings, never empty.
func (r *reader) audience() []string {
	value, present := r.claims["aud"]
	if !present {
		r.fail(MissingClaim, "aud")
		return nil
	}
	if one, ok := value.(string); ok {
		value = []any{one}
	}
	list, _ := value.([]any)
	if len(list) == 0 {
		r.fail(InvalidClaim, "aud")
		return nil
	}
	audience := make([]string, len(list))
	for i, element := range list {
		s, ok := element.(string)
		if !ok || s == "" {
			r.fail(InvalidClaim, "aud")
		}
		audience[i] = s
	}
	return audience
}

// scopes reads "scope": words separated by single spaces (RFC 6749 section 3.3).
func (r *reader) scopes() []string {
	text := r.text("scope")
	if text == "" {
		return nil
	}
	scopes := strings.Split(text, " ")
	for _, scope := range scopes {
		if scope == "" || strings.ContainsFunc(scope, notScope) {
			r.fail(InvalidClaim, "scope")
		}
	}
	return scopes
}

func notScope(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }

// time reads a NumericDate (RFC 7519 section 2); zero when it is optional and missing.
func (r *reader) time(name string, required bool) time.Time {
	value, present := r.claims[name]
	if !present {
		if required {
			r.fail(MissingClaim, name)
		}
		return time.Time{}
	}
	at, err := jose.NumericDate(value)
	if err != nil {
		r.fail(InvalidClaim, name)
	}
	return at
}

// confirmation reads "cnf". A kind that is not known is a condition that would
// go unchecked, and so is a cnf that holds nothing.
func (r *reader) confirmation() Confirmation {
	value, present := r.claims["cnf"]
	if !present {
		return Confirmation{}
	}
	object, ok := value.(map[string]any)
	if !ok {
		r.fail(InvalidClaim, "cnf")
		return Confirmation{}
	}
	var c Confirmation
	for kind, value := range object {
		thumbprint, _ := value.(string)
		switch kind {
		case "jkt":
			c.JKT = thumbprint
		case "x5t#S256":
			c.X5TS256 = thumbprint
		default:
			r.fail(UnknownConfirmation, "cnf")
			return Confirmation{}
		}
		if thumbprint == "" {
			r.fail(InvalidClaim, "cnf")
		}
	}
	if !c.Bound() {
		r.fail(UnknownConfirmation, "cnf")
	}
	return c
}

// details reads "authorization_details": objects that each name their type.
func (r *reader) details() []Detail {
	value, present := r.claims["authorization_details"]
	if !present {
		return nil
	}
	list, ok := value.([]any)
	if !ok || len(list) > maxDetails {
		r.fail(InvalidClaim, "authorization_details")
		return nil
	}
	details := make([]Detail, 0, len(list))
	for _, element := range list {
		object, _ := element.(map[string]any)
		kind, _ := object["type"].(string)
		raw, err := json.Marshal(object)
		if kind == "" || err != nil {
			r.fail(InvalidClaim, "authorization_details")
			return nil
		}
		details = append(details, Detail{Type: kind, Raw: raw})
	}
	return details
}
