package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

const callbackPath = "/callback"

// consentInProgress is what the shop remembers while the customer is away at
// Tollgate's consent page. It stays in the browser's session.
type consentInProgress struct {
	State    string // ties the answer to this browser
	Verifier string // PKCE: ties the code to this shop
	OrderID  string
}

// beginConsent announces what the customer will be asked for, and gives the
// address to send the browser to. Nothing that matters travels through the
// browser: the request is pushed from server to server (RFC 9126).
func (t *Tollgate) beginConsent(ctx context.Context, orderID string, details json.RawMessage) (consentInProgress, string, error) {
	cfg, endpoints, err := t.config(ctx)
	if err != nil {
		return consentInProgress{}, "", err
	}
	consent := consentInProgress{State: rand.Text(), Verifier: oauth2.GenerateVerifier(), OrderID: orderID}
	requestURI, err := t.pushAuthorizationRequest(ctx, endpoints.PAR, cfg.AuthCodeURL(consent.State,
		oauth2.S256ChallengeOption(consent.Verifier),
		oauth2.SetAuthURLParam("authorization_details", "["+string(details)+"]"),
	))
	if err != nil {
		return consentInProgress{}, "", fmt.Errorf("pushed authorization request: %w", err)
	}
	query := url.Values{"client_id": {cfg.ClientID}, "request_uri": {requestURI}}
	return consent, endpoints.Authorization + "?" + query.Encode(), nil
}

// pushAuthorizationRequest adds to golang.org/x/oauth2 what it lacks: it takes
// the parameters that the library would put into the browser's address, pushes
// them, and gives the request_uri that stands for them (RFC 9126 section 2).
func (t *Tollgate) pushAuthorizationRequest(ctx context.Context, endpoint, authCodeURL string) (string, error) {
	u, err := url.Parse(authCodeURL)
	if err != nil {
		return "", err
	}
	body, err := t.send(ctx, call{
		method: http.MethodPost,
		url:    endpoint,
		header: http.Header{
			"Authorization": {basicAuth(t.oauth.ClientID, t.oauth.ClientSecret)},
			"Content-Type":  {"application/x-www-form-urlencoded"},
		},
		body: []byte(u.Query().Encode()),
	})
	if err != nil {
		return "", err
	}
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	if answer.RequestURI == "" {
		return "", errors.New("the answer has no request_uri")
	}
	return answer.RequestURI, nil
}

// basicAuth is client_secret_basic: form-encoded first, then as RFC 7617 has it
// (RFC 6749 section 2.3.1).
func basicAuth(id, secret string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r.Header.Get("Authorization")
}

// errForeignAnswer says that an authorization response is not from Tollgate.
var errForeignAnswer = errors.New("the authorization response names another issuer")

// checkIssuer refuses a response that another authorization server made (RFC 9207).
func (t *Tollgate) checkIssuer(issuer string) error {
	if issuer != t.base.String() {
		return errForeignAnswer
	}
	return nil
}

// finishConsent exchanges the code for the customer's token. A code works once,
// so this is the one request that is never repeated.
func (t *Tollgate) finishConsent(ctx context.Context, consent consentInProgress, code string) (*oauth2.Token, error) {
	cfg, _, err := t.config(ctx)
	if err != nil {
		return nil, err
	}
	return cfg.Exchange(t.withClient(ctx), code, oauth2.VerifierOption(consent.Verifier))
}
