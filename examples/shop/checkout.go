package main

import (
	"context"
	"net/http"
)

// What the customer reads when there was no payment.
const (
	noticeDenied = "You did not approve the payment. Nothing has been charged, and your order is still here."
	noticeFailed = "The payment did not go through, and no money was taken. You can try again, with another account if you like."
)

// checkout turns the basket into an order and sends the customer to pay it.
func (s *Shop) checkout(w http.ResponseWriter, r *http.Request) {
	owner := s.sessions.id(r)
	lines := s.sessions.takeLines(owner)
	if len(lines) == 0 {
		http.Redirect(w, r, "/basket", http.StatusSeeOther)
		return
	}
	s.pay(w, r, s.orders.create(owner, lines, s.currency))
}

// payAgain is for an order whose payment did not work out.
func (s *Shop) payAgain(w http.ResponseWriter, r *http.Request) {
	order, ok := s.orders.find(r.PathValue("id"), s.sessions.id(r))
	if !ok {
		s.showNotFound(w, r)
		return
	}
	s.pay(w, r, order)
}

// pay sends the browser to Tollgate's consent page, or to the order where there
// is nothing to agree to.
func (s *Shop) pay(w http.ResponseWriter, r *http.Request, order Order) {
	ctx, cancel := context.WithTimeout(r.Context(), tollgateDeadline)
	defer cancel()
	target, err := s.consentAddress(ctx, order)
	if err != nil {
		s.log.Error("payment not started", "order", order.Number(), "error", err)
		s.orders.setNotice(order.ID, friendly(err))
	}
	if target == "" {
		target = orderPath(order)
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// consentAddress gives the address of the consent page, or "" where the order's
// payment has gone beyond consent already.
func (s *Shop) consentAddress(ctx context.Context, order Order) (string, error) {
	if order.Status != Unpaid {
		return "", nil
	}
	payment, err := s.openPayment(ctx, order)
	if err != nil {
		return "", err
	}
	if !payment.needsConsent() {
		s.orders.setWaiting(order.ID)
		return "", nil
	}
	consent, target, err := s.tollgate.beginConsent(ctx, order.ID, payment.AuthorizationDetails)
	if err != nil {
		return "", err
	}
	s.sessions.putConsent(order.Owner, consent)
	return target, nil
}

// openPayment gives the order's payment: the one there is, unless it has ended
// without money, or else a new one. Asking first is what makes "pay again" safe
// when nobody knows what became of the last try.
func (s *Shop) openPayment(ctx context.Context, order Order) (Payment, error) {
	if order.PaymentID != "" {
		payment, err := s.tollgate.readPayment(ctx, order.PaymentID)
		if err != nil || !payment.failed() {
			return payment, err
		}
		s.orders.endAttempt(order.ID, order.PaymentID, noticeFailed)
		order, _ = s.orders.find(order.ID, order.Owner)
	}
	payment, err := s.tollgate.createPayment(ctx, order)
	if err != nil {
		return Payment{}, err
	}
	s.orders.setPayment(order.ID, payment.ID)
	return payment, nil
}

// callback is where Tollgate sends the browser back to.
func (s *Shop) callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	owner := s.sessions.id(r)
	consent, ok := s.sessions.takeConsent(owner, query.Get("state"))
	if !ok {
		s.showForeignAnswer(w, r)
		return
	}
	if err := s.tollgate.checkIssuer(query.Get("iss")); err != nil {
		s.log.Warn("authorization response refused", "error", err)
		s.showForeignAnswer(w, r)
		return
	}
	order, ok := s.orders.find(consent.OrderID, owner)
	if !ok {
		s.showNotFound(w, r)
		return
	}
	switch code := query.Get("code"); {
	case query.Get("error") == "access_denied":
		s.orders.setNotice(order.ID, noticeDenied)
	case code == "":
		s.log.Error("no code in the authorization response", "order", order.Number())
		s.orders.setNotice(order.ID, noticeFailed)
	default:
		s.confirm(r.Context(), order, consent, code)
	}
	http.Redirect(w, r, orderPath(order), http.StatusSeeOther)
}

// confirm carries the payment out with the customer's consent. The order is not
// paid after this: that is for the webhook to say.
func (s *Shop) confirm(ctx context.Context, order Order, consent consentInProgress, code string) {
	ctx, cancel := context.WithTimeout(ctx, tollgateDeadline)
	defer cancel()
	payment, err := s.redeem(ctx, order, consent, code)
	switch {
	case err != nil:
		s.log.Error("payment not confirmed", "order", order.Number(), "error", err)
		s.orders.setNotice(order.ID, friendly(err))
	case payment.failed():
		s.orders.endAttempt(order.ID, payment.ID, noticeFailed)
	default:
		s.orders.setWaiting(order.ID)
	}
}

func (s *Shop) redeem(ctx context.Context, order Order, consent consentInProgress, code string) (Payment, error) {
	token, err := s.tollgate.finishConsent(ctx, consent, code)
	if err != nil {
		return Payment{}, err
	}
	return s.tollgate.confirmPayment(ctx, order, token)
}

// showForeignAnswer refuses an answer that this browser did not ask for: an old
// link, or somebody else's code (RFC 9700 section 4.7).
func (s *Shop) showForeignAnswer(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusBadRequest, page{
		Name: "message", Title: "This payment was not started here",
		Message: "Please go back to the shop and start the payment again. Nothing has been charged.",
	})
}

func orderPath(order Order) string { return "/orders/" + order.ID }
