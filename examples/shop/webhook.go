package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	maxWebhook     = 64 << 10
	maxWebhookSeen = 10_000
)

// event is what a webhook says.
type event struct {
	Type string  `json:"type"`
	Data Payment `json:"data"`
}

// deliveries remembers which webhooks have been dealt with: each arrives at
// least once, which means sometimes twice.
type deliveries struct {
	mu   sync.Mutex
	seen *recent[struct{}]
}

// first says whether this id is new, and remembers it.
func (d *deliveries) first(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.seen.get(id); known {
		return false
	}
	d.seen.put(id, struct{}{})
	return true
}

// webhook takes word of payments. The library checks signature and timestamp;
// both cover the exact bytes of the body, so it is read before it is decoded.
func (s *Shop) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		http.Error(w, "the body is too large or broken", http.StatusBadRequest)
		return
	}
	if err := s.webhooks.Verify(body, r.Header); err != nil {
		s.log.Warn("webhook refused", "error", err)
		http.Error(w, "the signature is not valid", http.StatusUnauthorized)
		return
	}
	var said event
	if err := json.Unmarshal(body, &said); err != nil {
		http.Error(w, "the body is not an event", http.StatusBadRequest)
		return
	}
	if s.delivered.first(r.Header.Get(standardwebhooks.HeaderWebhookID)) {
		s.apply(said)
	}
	w.WriteHeader(http.StatusNoContent)
}

// apply brings the order up to date. What is not about one of our orders is
// acknowledged all the same: sending it again would not change that.
func (s *Shop) apply(said event) {
	order, ok := s.orders.byPaymentID(said.Data.ID)
	if !ok {
		s.log.Warn("webhook about an unknown payment", "type", said.Type)
		return
	}
	log := s.log.With("order", order.Number(), "type", said.Type)
	switch {
	case said.Type == "payment.succeeded" && said.Data.Amount != order.Total:
		log.Error("webhook with another amount")
	case said.Type == "payment.succeeded":
		s.orders.setPaid(order.ID)
		log.Info("order paid")
	case said.Data.failed():
		s.orders.endAttempt(order.ID, said.Data.ID, noticeFailed)
		log.Info("payment ended without money", "status", said.Data.Status)
	}
}
