package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// confirmPayment carries out what the token's user consented to. The body is an
// empty object, or nothing.
func (s *Server) confirmPayment(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if r.ContentLength != 0 {
		if _, err := readBody(r, &struct{}{}); err != nil {
			return err
		}
	}
	var confirmed payment
	// What the body could say is nothing, however it is written.
	replayed, err := s.once(w, r, nil, func(tx *sql.Tx) (idempotency.Response, error) {
		p, err := s.confirm(r.Context(), tx, tokencheck.From(r.Context()), id)
		if err != nil {
			return idempotency.Response{}, err
		}
		confirmed = p
		return respond(http.StatusOK, p.view(), rest.VersionTag(p.Version), "")
	})
	if err != nil || replayed {
		return err
	}
	s.dispatcher.Wake()
	s.metrics.settled(confirmed.Status)
	return nil
}

// confirm checks the consent, uses it up, and moves the money, all in the
// caller's transaction.
func (s *Server) confirm(ctx context.Context, tx *sql.Tx, t *token.Token, id string) (payment, error) {
	p, err := forUpdate(ctx, tx, s.db.Dialect, id)
	if err != nil {
		return payment{}, err
	}
	if p.ClientID != t.ClientID {
		return payment{}, errNotFound
	}
	debtor, err := consentedWallet(ctx, tx, t, p)
	if err != nil {
		return payment{}, err
	}
	now := s.now()
	if err := confirmable(p, now); err != nil {
		return payment{}, err
	}
	if err := useConsent(ctx, tx, t, p, debtor, now); err != nil {
		return payment{}, err
	}
	return settle(ctx, tx, s.db.Dialect, p, debtor, now)
}

// consentedWallet gives the account to pay from: the one that the user chose,
// which must be the user's own and hold the payment's currency.
func consentedWallet(ctx context.Context, tx *sql.Tx, t *token.Token, p payment) (ledger.Account, error) {
	refusal := access.InsufficientDetails(t, detailsType, "payments:confirm")
	account, err := consentedAccount(t, p)
	if errors.Is(err, errConsent) {
		return ledger.Account{}, refusal
	}
	if err != nil {
		return ledger.Account{}, err
	}
	debtor, err := ledger.Get(ctx, tx, ledger.Wallet, t.Subject, account)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Account{}, refusal
	}
	if err == nil && debtor.Currency != p.Amount.Currency {
		return ledger.Account{}, refusal
	}
	return debtor, err
}

// confirmable refuses what is not waiting for consent, or no longer.
func confirmable(p payment, now time.Time) error {
	if p.Status != RequiresConsent {
		return problem.New(http.StatusConflict, "payment_not_confirmable", "The payment does not wait for consent.").
			WithExtra("payment_status", p.Status)
	}
	if !now.Before(p.ExpiresAt) {
		return problem.New(http.StatusConflict, "payment_expired", "The payment has waited for consent for too long.")
	}
	return nil
}

// useConsent notes that the consent was used. The keys of the table let a payment
// have one, and a token serve once.
func useConsent(ctx context.Context, tx *sql.Tx, t *token.Token, p payment, debtor ledger.Account, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO consents (payment_id, token_id, client_id, user_id, debtor_account, creditor_account, amount, currency, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.ID, t.ID, t.ClientID, t.Subject, debtor.ID, p.CreditorAccount, p.Amount.Value, p.Amount.Currency, now.UnixMicro())
	if database.IsUnique(err) {
		return problem.New(http.StatusConflict, "consent_used", "This consent has been used.")
	}
	if err != nil {
		return fmt.Errorf("payments: consent: %w", err)
	}
	return nil
}

// settle decides what becomes of a consented payment and carries it out. Every
// outcome is a state of the payment, too little money included. This is where a
// review or a hold would end in another state than succeeded.
func settle(ctx context.Context, tx *sql.Tx, dialect database.Dialect, p payment, debtor ledger.Account, now time.Time) (payment, error) {
	creditor, err := ledger.Get(ctx, tx, ledger.Merchant, p.ClientID, p.CreditorAccount)
	if err != nil {
		return payment{}, err
	}
	p.Payer, p.DebtorAccount = debtor.Owner, debtor.ID
	err = ledger.Post(ctx, tx, ledger.Transfer{
		Debit: debtor, Credit: creditor, Amount: p.Amount, Purpose: ledger.ForPayment, PaymentID: p.ID,
	}, now)
	switch {
	case errors.Is(err, ledger.ErrInsufficientFunds):
		p.Status, p.ReasonCode = Rejected, insufficientFunds
	case err != nil:
		return payment{}, err
	default:
		p.Status, p.Authorised, p.Captured = Succeeded, p.Amount.Value, p.Amount.Value
	}
	if err := update(ctx, tx, &p, now); err != nil {
		return payment{}, err
	}
	return p, outbox.Publish(ctx, tx, dialect, p.event(), now)
}
