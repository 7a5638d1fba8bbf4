package policy

import (
	"strings"
	"time"
)

// NewToken makes a token of its claims, as an issuer would sign them. An algorithm that is
// empty is an opaque token's.
func NewToken(claims map[string]any, algorithm string) *Token {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	t := &Token{
		Issuer: text("iss"), Subject: text("sub"), Client: text("client_id"), ACR: text("acr"), Algorithm: algorithm,
		Scopes: strings.Fields(text("scope")), Audience: list(claims["aud"]), Claims: claims,
		AuthTime: moment(claims["auth_time"]), Expires: moment(claims["exp"]),
	}
	details, _ := claims["authorization_details"].([]any)
	for _, detail := range details {
		if element, ok := detail.(map[string]any); ok {
			kind, _ := element["type"].(string)
			t.Details = append(t.Details, kind)
		}
	}
	confirmation, _ := claims["cnf"].(map[string]any)
	_, t.JKT = confirmation["jkt"]
	_, t.X5T = confirmation["x5t#S256"]
	return t
}

func list(value any) (all []string) {
	if one, ok := value.(string); ok {
		return []string{one}
	}
	elements, _ := value.([]any)
	for _, element := range elements {
		if s, ok := element.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func moment(value any) time.Time {
	seconds, ok := value.(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
