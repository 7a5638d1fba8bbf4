package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// maxServiceAnswer bounds what another service may send.
const maxServiceAnswer = 256 << 10

// errNotThere is a 404 of another service.
var errNotThere = errors.New("not there")

// peer is another service of the platform. It knows us by a token that we sign
// ourselves, for an audience that no client's token can have.
type peer struct {
	url    string
	scope  string
	client *http.Client
	token  func(ctx context.Context, scope string) (string, error)
}

func (p peer) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		return err
	}
	token, err := p.token(ctx, p.scope)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(r)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or given up
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return errNotThere
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %d", p.scope, answer.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxServiceAnswer)).Decode(out); err != nil {
		return fmt.Errorf("%s: its answer: %w", p.scope, err)
	}
	return nil
}

// withoutURL keeps the query, in which users are named, out of the log.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// internalToken mints the token that another service knows us by.
func (s *Server) internalToken(ctx context.Context, scope string) (string, error) {
	keys, err := s.keys.published(ctx)
	if err != nil {
		return "", err
	}
	now := s.now()
	claims, err := json.Marshal(map[string]any{
		"iss": s.issuer, "aud": []string{internalAudience}, "sub": internalClient, "client_id": internalClient,
		"scope": scope, "jti": uuid.NewString(), "iat": now.Unix(), "exp": now.Add(internalLifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	header := jws.NewHeaders()
	if err := errors.Join(header.Set("typ", "at+jwt"), header.Set("kid", keys[0].ID)); err != nil {
		return "", err
	}
	signed, err := jws.Sign(claims, jws.WithKey(jwa.ES256(), keys[0].Private, jws.WithProtectedHeaders(header)))
	return string(signed), err
}

// usersService is the users service's internal part.
type usersService struct{ peer }

// passwordResult says what a password is worth.
type passwordResult struct {
	Result string `json:"result"`
	User   struct {
		ID       string `json:"id"`
		Username string `json:"username"`
		Name     string `json:"name"`
	} `json:"user"`
	RetryAfter int `json:"retry_after"` // seconds
}

const (
	passwordOK      = "ok"
	passwordRefused = "refused"
	passwordLocked  = "locked"
)

func (u usersService) checkPassword(ctx context.Context, username, password string) (passwordResult, error) {
	var result passwordResult
	in := map[string]string{"username": username, "password": password}
	if err := u.call(ctx, http.MethodPost, "/internal/password-checks", in, &result); err != nil {
		return result, err
	}
	switch result.Result {
	case passwordRefused, passwordLocked:
		return result, nil
	case passwordOK:
		if result.User.ID != "" {
			return result, nil
		}
	}
	return result, fmt.Errorf("%s: an answer that is none", u.scope)
}

// paymentsService is the payments service's internal part.
type paymentsService struct{ peer }

// payment is a payment as the ledger has it.
type payment struct {
	ID          string       `json:"id"`
	ClientID    string       `json:"client_id"`
	Status      string       `json:"status"`
	Amount      money.Amount `json:"amount"`
	Description string       `json:"description"`
	ExpiresAt   time.Time    `json:"expires_at"`
	Creditor    struct {
		Name      string `json:"name"`
		AccountID string `json:"account_id"`
	} `json:"creditor"`
}

// account is an account of the user.
type account struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Currency  string       `json:"currency"`
	Available money.Amount `json:"available"`
}

func (p paymentsService) payment(ctx context.Context, id string) (payment, error) {
	var found payment
	err := p.call(ctx, http.MethodGet, "/internal/payments/"+url.PathEscape(id), nil, &found)
	if errors.Is(err, errNotThere) {
		return found, fmt.Errorf("%w: it does not exist", errDifferent)
	}
	return found, err
}

// accounts gives the user's accounts in the currency.
func (p paymentsService) accounts(ctx context.Context, owner, currency string) ([]account, error) {
	var list struct {
		Data []account `json:"data"`
	}
	query := url.Values{"owner": {owner}, "currency": {currency}}
	if err := p.call(ctx, http.MethodGet, "/internal/accounts?"+query.Encode(), nil, &list); err != nil {
		return nil, err
	}
	var accounts []account
	for _, a := range list.Data {
		if a.Available.Currency == currency {
			accounts = append(accounts, a)
		}
	}
	return accounts, nil
}

func serviceURL(raw string) string { return strings.TrimSuffix(raw, "/") }
