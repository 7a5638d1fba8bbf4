package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// callTimeout bounds one call of another service.
	callTimeout = 5 * time.Second
	// maxAnswer bounds what another service may send.
	maxAnswer = 4 << 20
	// The scopes that this service has at the others: to see and revoke grants, and
	// to ask whether a user's money is at rest.
	grantsScope    = "internal:grants"
	customersScope = "internal:customers"
)

// Platform is what this service asks of the others.
type Platform interface {
	// Consents gives what a user has granted and not revoked.
	Consents(ctx context.Context, user string) ([]Consent, error)
	// RevokeConsent revokes one; errNotFound when there is no such consent.
	RevokeConsent(ctx context.Context, user, id string) error
	// RevokeAll revokes everything that a user has granted.
	RevokeAll(ctx context.Context, user string) error
	// MoneyOpen tells whether a user has money here, or some on its way.
	MoneyOpen(ctx context.Context, user string) (Money, error)
	// CloseAccounts closes a user's accounts for good, unless money is open, and tells
	// whether it is. It can be repeated.
	CloseAccounts(ctx context.Context, user string) (Money, error)
	// Payments gives a page of a user's payments, the first of them with the accounts.
	Payments(ctx context.Context, user, cursor string) (PaymentData, error)
}

// Consent is what a user has granted to an app.
type Consent struct {
	ID                   string            `json:"id"`
	ClientID             string            `json:"client_id"`
	ClientName           string            `json:"client_name"`
	Scopes               []string          `json:"scopes"`
	AuthorizationDetails []json.RawMessage `json:"authorization_details"`
	GrantedAt            time.Time         `json:"granted_at"`
	LastUsedAt           time.Time         `json:"last_used_at"`
	ExpiresAt            time.Time         `json:"expires_at"`
}

// Money is what keeps a user from being erased.
type Money struct {
	Open     bool // any of these
	Balance  bool // in an account
	Payments bool // that are not at their end
}

// PaymentData is what the payments service has of a user.
type PaymentData struct {
	Accounts   []json.RawMessage `json:"accounts"`
	Payments   []json.RawMessage `json:"payments"`
	NextCursor string            `json:"next_cursor"`
}

// PlatformConfig says where the other services are, and who this one is there.
type PlatformConfig struct {
	AuthURL, PaymentsURL   string
	ClientID, ClientSecret string // registered with the scopes internal:grants and internal:customers
}

// NewPlatform makes the client of the other services.
func NewPlatform(cfg PlatformConfig) Platform {
	// No redirects: a service that answers with one is not ours.
	plain := &http.Client{Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	credentials := clientcredentials.Config{
		ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, TokenURL: cfg.AuthURL + "/oauth/token",
		Scopes: []string{grantsScope, customersScope}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	// The client outlives every request: its tokens are kept until they end.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, plain)
	return &platform{auth: cfg.AuthURL, payments: cfg.PaymentsURL, client: plain, tokens: credentials.TokenSource(ctx)}
}

type platform struct {
	auth, payments string
	client         *http.Client
	tokens         oauth2.TokenSource
}

func (p *platform) Consents(ctx context.Context, user string) ([]Consent, error) {
	var list struct{ Data []Consent }
	err := p.call(ctx, http.MethodGet, p.auth+"/internal/users/"+url.PathEscape(user)+"/grants", &list)
	return list.Data, err
}

func (p *platform) RevokeConsent(ctx context.Context, user, id string) error {
	return p.call(ctx, http.MethodDelete, p.auth+"/internal/users/"+url.PathEscape(user)+"/grants/"+url.PathEscape(id), nil)
}

func (p *platform) RevokeAll(ctx context.Context, user string) error {
	return p.call(ctx, http.MethodDelete, p.auth+"/internal/users/"+url.PathEscape(user)+"/grants", nil)
}

func (p *platform) MoneyOpen(ctx context.Context, user string) (Money, error) {
	return p.money(ctx, http.MethodGet, user, "money")
}

func (p *platform) CloseAccounts(ctx context.Context, user string) (Money, error) {
	return p.money(ctx, http.MethodPost, user, "close")
}

func (p *platform) money(ctx context.Context, method, user, what string) (Money, error) {
	var answer struct {
		Open              *bool
		Balance, Payments bool
	}
	if err := p.call(ctx, method, p.payments+"/internal/users/"+url.PathEscape(user)+"/"+what, &answer); err != nil {
		return Money{}, err
	}
	if answer.Open == nil {
		return Money{}, errors.New("payments: an answer that is none")
	}
	return Money{Open: *answer.Open, Balance: answer.Balance, Payments: answer.Payments}, nil
}

func (p *platform) Payments(ctx context.Context, user, cursor string) (data PaymentData, err error) {
	target := p.payments + "/internal/users/" + url.PathEscape(user) + "/data?cursor=" + url.QueryEscape(cursor)
	return data, p.call(ctx, http.MethodGet, target, &data)
}

// call calls another service. Errors name no URL: users are in them.
func (p *platform) call(ctx context.Context, method, target string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		return withoutURL(err)
	}
	token, err := p.tokens.Token()
	if err != nil {
		return fmt.Errorf("no token for the other services: %w", tokenError(err))
	}
	token.SetAuthHeader(r)
	answer, err := p.client.Do(r)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or given up
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return withoutURL(err)
	case answer.StatusCode == http.StatusNotFound:
		return errNotFound
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("another service answered %d", answer.StatusCode)
	case len(body) > maxAnswer:
		return errors.New("another service answered too much")
	case out == nil:
		return nil
	}
	return json.Unmarshal(body, out)
}

func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// tokenError leaves out the answer, which the library's error would repeat.
func tokenError(err error) error {
	if e := (*oauth2.RetrieveError)(nil); errors.As(err, &e) && e.Response != nil {
		return fmt.Errorf("the authorization server answered %d %s", e.Response.StatusCode, e.ErrorCode)
	}
	return withoutURL(err)
}
