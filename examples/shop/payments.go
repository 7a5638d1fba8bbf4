package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Payment is the part of a payment that the shop reads.
type Payment struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Amount Money  `json:"amount"`
	// AuthorizationDetails is what to ask the customer for, to be passed on untouched.
	AuthorizationDetails json.RawMessage `json:"authorization_details"`
}

// needsConsent says that the customer has not been asked, or has not agreed.
func (p Payment) needsConsent() bool { return p.Status == "requires_consent" }

// failed says that the payment has ended and no money came.
func (p Payment) failed() bool {
	return p.Status == "rejected" || p.Status == "canceled" || p.Status == "expired"
}

// createPayment announces the payment of an order. The order's reference is the
// Idempotency-Key: asking again, after a timeout say, gives the same payment.
func (t *Tollgate) createPayment(ctx context.Context, order Order) (Payment, error) {
	body, err := json.Marshal(map[string]any{
		"amount":        order.Total,
		"description":   "Corner Shop order " + order.Number(),
		"end_to_end_id": order.Reference(),
		"metadata":      map[string]string{"order_id": order.ID},
	})
	if err != nil {
		return Payment{}, err
	}
	payment, err := t.asShop(ctx, call{
		method: http.MethodPost,
		url:    t.url("/api/payments"),
		header: idempotent(order.Reference()),
		body:   body,
	})
	if err != nil {
		return Payment{}, fmt.Errorf("creating a payment: %w", err)
	}
	if payment.Amount != order.Total {
		return Payment{}, errors.New("creating a payment: the answer has another amount")
	}
	return payment, nil
}

// readPayment asks how a payment stands.
func (t *Tollgate) readPayment(ctx context.Context, id string) (Payment, error) {
	payment, err := t.asShop(ctx, call{method: http.MethodGet, url: t.url("/api/payments/" + url.PathEscape(id))})
	if err != nil {
		return Payment{}, fmt.Errorf("reading a payment: %w", err)
	}
	return payment, nil
}

// confirmPayment carries out what the customer agreed to, with the customer's
// token. A repetition with the same key pays once.
func (t *Tollgate) confirmPayment(ctx context.Context, order Order, token *oauth2.Token) (Payment, error) {
	payment, err := t.withToken(ctx, token, call{
		method: http.MethodPost,
		url:    t.url("/api/payments/" + url.PathEscape(order.PaymentID) + "/confirm"),
		header: idempotent("confirm-" + order.Reference()),
		body:   []byte("{}"),
	})
	if err != nil {
		return Payment{}, fmt.Errorf("confirming a payment: %w", err)
	}
	return payment, nil
}

// idempotent makes the header of a POST that may be repeated. The key is a
// structured field string, hence the quotes.
func idempotent(key string) http.Header {
	return http.Header{"Idempotency-Key": {strconv.Quote(key)}, "Content-Type": {"application/json"}}
}

// withToken makes a call with a token and decodes the payment in the answer.
func (t *Tollgate) withToken(ctx context.Context, token *oauth2.Token, c call) (Payment, error) {
	c.header = c.header.Clone()
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set("Authorization", token.Type()+" "+token.AccessToken)
	body, err := t.send(ctx, c)
	if err != nil {
		return Payment{}, err
	}
	var payment Payment
	if err := json.Unmarshal(body, &payment); err != nil {
		return Payment{}, err
	}
	if payment.ID == "" {
		return Payment{}, errors.New("the answer is not a payment")
	}
	return payment, nil
}

// asShop makes a call with the shop's own token. A token can be revoked before
// it expires, so the first 401 is answered with a fresh one.
func (t *Tollgate) asShop(ctx context.Context, c call) (Payment, error) {
	token, err := t.shopToken(ctx)
	if err != nil {
		return Payment{}, err
	}
	payment, err := t.withToken(ctx, token, c)
	if !isUnauthorized(err) {
		return payment, err
	}
	t.machine.forget(token)
	if token, err = t.shopToken(ctx); err != nil {
		return Payment{}, err
	}
	return t.withToken(ctx, token, c)
}

// shopToken gives the shop's own token, by client credentials.
func (t *Tollgate) shopToken(ctx context.Context) (*oauth2.Token, error) {
	_, endpoints, err := t.config(ctx)
	if err != nil {
		return nil, err
	}
	token, err := t.machine.get(func() oauth2.TokenSource {
		cfg := clientcredentials.Config{
			ClientID:     t.oauth.ClientID,
			ClientSecret: t.oauth.ClientSecret,
			TokenURL:     endpoints.Token,
			Scopes:       []string{"payments:create", "payments:read"},
			AuthStyle:    oauth2.AuthStyleInHeader,
		}
		// The source outlives this request, so it must not end with its context;
		// the HTTP client's timeout bounds it.
		return cfg.TokenSource(t.withClient(context.Background()))
	})
	if err != nil {
		return nil, fmt.Errorf("client credentials: %w", err)
	}
	return token, nil
}

// machineToken holds the source of the shop's own token. The source keeps a token
// until shortly before it expires.
type machineToken struct {
	mu     sync.Mutex
	source oauth2.TokenSource
	last   *oauth2.Token
}

func (m *machineToken) get(open func() oauth2.TokenSource) (*oauth2.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.source == nil {
		m.source = open()
	}
	token, err := m.source.Token()
	if err != nil {
		return nil, err
	}
	m.last = token
	return token, nil
}

// forget drops a token that was refused, unless somebody has replaced it already.
func (m *machineToken) forget(refused *oauth2.Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == refused {
		m.source, m.last = nil, nil
	}
}
