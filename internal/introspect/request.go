package introspect

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/open-tollgate/tollgate/internal/outbound"
	"github.com/open-tollgate/tollgate/internal/token"
)

// maxBody bounds an answer.
const maxBody = 64 << 10

// The media types of answers.
const (
	plainAnswer  = "application/json"
	signedAnswer = "application/token-introspection+jwt"
)

// ask puts the question and gives the token, or a *token.Error.
func (c *Client) ask(ctx context.Context, raw string) (*token.Token, error) {
	body, err := c.post(ctx, raw)
	if err != nil {
		return nil, refuse(token.IntrospectionUnavailable, err)
	}
	return c.read(ctx, body)
}

// post gives the body of an answer of the type that is wanted.
func (c *Client) post(ctx context.Context, raw string) ([]byte, error) {
	endpoint, err := c.endpoint.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	header := make(http.Header)
	if err := c.config.Credentials.authenticate(header, form, c.config.Now()); err != nil {
		return nil, fmt.Errorf("authenticate at the issuer: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", c.wanted())
	response, err := c.config.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := outbound.ReadBody(response, maxBody)
	if err != nil {
		return nil, fmt.Errorf("introspection endpoint: %w", err)
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != c.wanted() {
		return nil, errors.New("introspection endpoint: answered with another media type than was asked for")
	}
	return body, nil
}

func (c *Client) wanted() string {
	if c.signatures != nil {
		return signedAnswer
	}
	return plainAnswer
}
