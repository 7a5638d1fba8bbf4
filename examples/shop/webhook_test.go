package main

import (
	"net/http"
	"testing"
	"time"
)

func TestWebhookRefusals(t *testing.T) {
	t.Parallel()
	const otherSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, test := range map[string]struct {
		at     time.Duration // from now
		secret string
		kind   string
		change func(*Payment)
		status int
	}{
		"another secret":  {secret: otherSecret, status: http.StatusUnauthorized},
		"too old":         {at: -6 * time.Minute, status: http.StatusUnauthorized},
		"too new":         {at: 6 * time.Minute, status: http.StatusUnauthorized},
		"another amount":  {change: func(p *Payment) { p.Amount.Value-- }, status: http.StatusNoContent},
		"another money":   {change: func(p *Payment) { p.Amount.Currency = "USD" }, status: http.StatusNoContent},
		"unknown payment": {change: func(p *Payment) { p.ID = "pay-9" }, status: http.StatusNoContent},
		"unknown event":   {kind: "payment.applauded", status: http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			path := h.approve(h.buy())
			payment := h.tollgate.onlyPayment()
			if test.change != nil {
				test.change(&payment)
			}
			secret, kind := test.secret, test.kind
			if secret == "" {
				secret = testWebhookSecret
			}
			if kind == "" {
				kind = "payment.succeeded"
			}
			if status := h.notify("msg_1", time.Now().Add(test.at), secret, kind, payment); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			h.wantStatus(path, Waiting)
		})
	}
}

func TestWebhookTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := h.approve(h.buy())
	payment := h.tollgate.onlyPayment()
	payment.Status = "rejected"
	for range 2 {
		if status := h.notify("msg_1", time.Now(), testWebhookSecret, "payment.rejected", payment); status != http.StatusNoContent {
			t.Fatalf("status %d", status)
		}
	}
	order, ok := h.shop.orders.byPaymentID(payment.ID)
	if !ok || order.Attempt != 2 {
		t.Errorf("attempt %d, want 2: the second delivery counted", order.Attempt)
	}
	h.wantStatus(path, Unpaid)
}

func TestWebhookBeforeTheBrowserReturns(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	address := h.buy()
	payment := h.tollgate.onlyPayment()
	h.notify("msg_1", time.Now(), testWebhookSecret, "payment.succeeded", payment)
	h.wantStatus(h.approve(address), Paid)
}
