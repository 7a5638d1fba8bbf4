package token

import (
	"strings"
	"time"
)

// Introspected gives the token that an issuer has described as active (RFC 7662
// section 2.2), or an *Error. What a JWT would have to say, the description has to
// say as well, but for "iss", "jti" and "iat", which few servers give.
func Introspected(claims map[string]any, from Issuer, now time.Time) (*Token, error) {
	r := reader{claims: claims}
	r.accessToken()
	t := r.token()
	t.Issuer = from.URL
	t.ID = r.optionalIdentifier("jti")
	t.IssuedAt = r.time("iat", false)
	if named := r.optionalIdentifier("iss"); named != "" && named != from.URL {
		r.fail(UnknownIssuer, "iss")
	}
	if r.err == nil && r.dpop() && t.Confirmation.JKT == "" {
		r.fail(UnknownConfirmation, "cnf") // bound, but nobody says to what: as Bearer it would pass unbound
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := from.accept(t, now); err != nil {
		return nil, err
	}
	return t, nil
}

// kinds are the members by which servers tell an access token from a refresh token,
// which is active too, and what an access token has there, in lower case.
var kinds = map[string][]string{
	"token_type": {"bearer", "dpop"},           // RFC 7662 section 2.2
	"token_use":  {"access_token", "access"},   // in wide use, never registered
	"typ":        {"bearer", "dpop", "at+jwt"}, // Keycloak: beside Refresh, Offline and ID
}

// accessToken refuses what says that it is a token of another kind.
func (r *reader) accessToken() {
	for name, allowed := range kinds {
		kind := r.text(name)
		if _, present := r.claims[name]; present && !containsFold(allowed, kind) {
			r.fail(WrongType, name)
		}
	}
}

// dpop says whether the token is said to be bound to a DPoP key (RFC 9449 section 6.2).
func (r *reader) dpop() bool {
	return strings.EqualFold(r.text("token_type"), "dpop") || strings.EqualFold(r.text("typ"), "dpop")
}

func containsFold(list []string, s string) bool {
	for _, element := range list {
		if strings.EqualFold(element, s) {
			return true
		}
	}
	return false
}
