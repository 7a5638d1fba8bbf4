package payments

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

// save writes a payment that has changed, and what its client is told of it: both
// commit, or none.
func (s *Server) save(ctx context.Context, tx *sql.Tx, p *payment, did changed, now time.Time) error {
	if err := update(ctx, tx, p, now); err != nil {
		return err
	}
	told := p.event()
	switch did.event {
	case "":
	case eventRefunded, eventRefundRejected:
		told = p.eventOf(did.event)
		told.Data = refundEvent{p.view(), did.moved}
	default:
		told = p.eventOf(did.event)
	}
	return outbox.Publish(ctx, tx, s.db.Dialect, told, now)
}

// transferOf is a transfer of part of a payment, from its debtor to its creditor.
func transferOf(ctx context.Context, tx *sql.Tx, p payment, value int64) (ledger.Transfer, error) {
	debtor, err := ledger.Get(ctx, tx, ledger.Wallet, p.Payer, p.DebtorAccount)
	if err != nil {
		return ledger.Transfer{}, err
	}
	creditor, err := ledger.Get(ctx, tx, ledger.Merchant, p.ClientID, p.CreditorAccount)
	if err != nil {
		return ledger.Transfer{}, err
	}
	return ledger.Transfer{
		Debit: debtor, Credit: creditor, Amount: p.money(value), Purpose: ledger.ForPayment, PaymentID: p.ID,
	}, nil
}

// carryOut moves or holds the money of a consented payment. Every outcome is a
// state of the payment, too little money included.
func carryOut(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error {
	if p.CaptureMethod == manual {
		return hold(ctx, tx, p, RequiresCapture, now.Add(holdTime), now)
	}
	done, err := move(ctx, tx, p, ledger.Post, now)
	if err == nil && done {
		p.Status, p.Captured = Succeeded, p.Amount.Value
	}
	return err
}

// holdForReview sets the money aside until an officer has decided.
func holdForReview(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error {
	return hold(ctx, tx, p, InReview, now.Add(reviewTime), now)
}

// hold sets the money aside, for as long as the payment is in a state.
func hold(ctx context.Context, tx *sql.Tx, p *payment, in Status, until, now time.Time) error {
	done, err := move(ctx, tx, p, ledger.Hold, now)
	if err == nil && done {
		p.Status, p.ExpiresAt = in, fromMicro(until.UnixMicro())
	}
	return err
}

// move makes the payment's one transfer. It is rejected when there is too little money,
// or the account is closed.
func move(ctx context.Context, tx *sql.Tx, p *payment, by func(context.Context, *sql.Tx, ledger.Transfer, time.Time) (string, error), now time.Time) (done bool, err error) {
	t, err := transferOf(ctx, tx, *p, p.Amount.Value)
	if err != nil {
		return false, err
	}
	_, err = by(ctx, tx, t, now)
	switch {
	case errors.Is(err, ledger.ErrInsufficientFunds):
		p.Status, p.ReasonCode = Rejected, insufficientFunds
		return false, nil
	case errors.Is(err, ledger.ErrClosed):
		p.Status, p.ReasonCode = Rejected, accountClosed
		return false, nil
	case err != nil:
		return false, err
	}
	p.Authorised = p.Amount.Value
	return true, nil
}

// take captures part of what is held for a payment, and gives the capture's id.
func take(ctx context.Context, tx *sql.Tx, p *payment, value int64, now time.Time) (id string, err error) {
	hold, _, err := ledger.HoldOf(ctx, tx, p.ID)
	if err != nil {
		return "", err
	}
	t, err := transferOf(ctx, tx, *p, value)
	if err != nil {
		return "", err
	}
	if id, err = ledger.PostHeld(ctx, tx, hold, t, now); err != nil {
		return "", err
	}
	p.Captured += value
	return id, nil
}

// release lets go of what is held and not captured.
func release(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error {
	if p.Authorised == p.Captured {
		return nil
	}
	hold, left, err := ledger.HoldOf(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	t, err := transferOf(ctx, tx, *p, left)
	if err != nil {
		return err
	}
	if err := ledger.Void(ctx, tx, hold, t, now); err != nil {
		return err
	}
	p.Authorised = p.Captured
	return nil
}

// giveUp ends a payment without what has not been captured. One of which something
// was captured has succeeded with that; one without ends as it is told here.
func giveUp(ctx context.Context, tx *sql.Tx, p *payment, end Status, reason string, now time.Time) error {
	if err := release(ctx, tx, p, now); err != nil {
		return err
	}
	if p.Status = Succeeded; p.Captured == 0 {
		p.Status, p.ReasonCode = end, reason
	}
	return nil
}
