package introspect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
)

// How old a signed answer may be, and how far ahead the issuer's clock.
const (
	maxAnswerAge  = time.Minute
	maxAnswerSkew = 10 * time.Second
)

// read gives the token that the answer describes, or a *token.Error. An answer that
// cannot be understood is none: it says nothing about the token.
func (c *Client) read(ctx context.Context, body []byte) (*token.Token, error) {
	description, err := c.describe(ctx, body)
	if err != nil {
		return nil, refuse(token.IntrospectionUnavailable, err)
	}
	if description["active"] != true {
		return nil, refuse(token.Inactive, nil)
	}
	return token.Introspected(description, c.config.Issuer, c.config.Now())
}

// describe gives the members of the answer, which belong to the token.
func (c *Client) describe(ctx context.Context, body []byte) (map[string]any, error) {
	if c.signatures == nil {
		return jose.ParseObject(body)
	}
	// RFC 9701 section 5: the description is a claim, so that the answer cannot be used as a token itself.
	m, err := jose.ParseCompact(strings.TrimSpace(string(body)))
	if err != nil {
		return nil, err
	}
	if m.Header.Type != "token-introspection+jwt" || m.Header.Key != nil || m.Header.KeyID == "" {
		return nil, errors.New("header of the signed answer")
	}
	if _, err := c.signatures.Verify(ctx, m); err != nil {
		return nil, err
	}
	claims, err := jose.ParseObject(m.Payload)
	if err != nil {
		return nil, err
	}
	if err := c.checkSigned(claims); err != nil {
		return nil, err
	}
	description, ok := claims["token_introspection"].(map[string]any)
	if !ok {
		return nil, errors.New("no token_introspection in the signed answer")
	}
	return description, nil
}

// checkSigned judges the envelope: is it the issuer's answer, to us, and of now?
func (c *Client) checkSigned(claims map[string]any) error {
	if claims["iss"] != c.config.Issuer.URL {
		return errors.New("iss of the signed answer")
	}
	if !c.isForUs(claims["aud"]) {
		return errors.New("aud of the signed answer")
	}
	at, err := jose.NumericDate(claims["iat"])
	if now := c.config.Now(); err != nil || at.Before(now.Add(-maxAnswerAge)) || at.After(now.Add(maxAnswerSkew)) {
		return errors.New("iat of the signed answer")
	}
	return nil
}

// isForUs compares an "aud" with the name that the issuer knows us by and with those
// that it puts into tokens: servers use either.
func (c *Client) isForUs(aud any) bool {
	list, ok := aud.([]any)
	if !ok {
		list = []any{aud}
	}
	return slices.ContainsFunc(list, func(element any) bool {
		name, _ := element.(string)
		return name != "" && (name == c.config.Credentials.clientID() || slices.Contains(c.config.Issuer.Audiences, name))
	})
}
