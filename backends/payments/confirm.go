package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// confirmPayment carries out what the token's user consented to. The body is an
// empty object, or nothing. With "Prefer: respond-async" (RFC 7240) a worker carries
// it out after the answer.
func (s *Server) confirmPayment(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := readNothing(r); err != nil {
		return err
	}
	async := prefersAsync(r)
	var confirmed payment
	// What the body could say is nothing, however it is written.
	replayed, err := s.once(w, r, nil, func(tx *sql.Tx) (idempotency.Response, error) {
		p, err := s.confirm(r.Context(), tx, tokencheck.From(r.Context()), id, async)
		if err != nil {
			return idempotency.Response{}, err
		}
		confirmed = p
		return respondConfirmed(p, async)
	})
	var wanted *stepUpWanted
	if errors.As(err, &wanted) {
		return s.refuseForStepUp(r.Context(), wanted)
	}
	if err != nil || replayed {
		return err
	}
	s.dispatcher.Wake()
	s.workers.Wake()
	s.metrics.settled(confirmed)
	return nil
}

// respondConfirmed answers with the payment: 202 where it is not decided yet, and
// where to ask for it.
func respondConfirmed(p payment, async bool) (idempotency.Response, error) {
	status, after := http.StatusOK, ""
	switch p.Status {
	case Processing:
		status, after = http.StatusAccepted, "1"
	case InReview:
		status, after = http.StatusAccepted, "60"
	}
	resp, err := respond(status, p.view(), rest.VersionTag(p.Version), "")
	if err == nil && after != "" {
		resp.Header.Set("Location", "/api/payments/"+p.ID)
		resp.Header.Set("Retry-After", after)
	}
	if err == nil && async && status == http.StatusAccepted {
		resp.Header.Set("Preference-Applied", "respond-async")
	}
	return resp, err
}

// prefersAsync reads Prefer (RFC 7240 section 4.1): a list of preferences, of which
// this one has no value.
func prefersAsync(r *http.Request) bool {
	for preference := range strings.SplitSeq(strings.Join(r.Header.Values("Prefer"), ","), ",") {
		name, _, _ := strings.Cut(preference, ";")
		if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
			return true
		}
	}
	return false
}

// confirm checks the consent, judges the risk, uses the consent up, and moves the
// money or leaves it to a worker, all in the caller's transaction.
func (s *Server) confirm(ctx context.Context, tx *sql.Tx, t *token.Token, id string, async bool) (payment, error) {
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
	p.Payer, p.DebtorAccount = debtor.Owner, debtor.ID
	decision, err := s.judge(ctx, tx, t, p, now)
	if err != nil {
		return payment{}, err
	}
	if err := useConsent(ctx, tx, t, p, debtor, now); err != nil {
		return payment{}, err
	}
	switch {
	case decision.Outcome == risk.Deny:
		p.Status, p.ReasonCode = Rejected, riskDenied
	case decision.Outcome == risk.Review:
		err = holdForReview(ctx, tx, &p, now)
	case async:
		p.Status = Processing
		err = enqueue(ctx, tx, p.ID, now)
	default:
		err = carryOut(ctx, tx, &p, now)
	}
	if err != nil {
		return payment{}, err
	}
	err = s.save(ctx, tx, &p, changed{}, now)
	return p, err
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
		return p.butIs(problem.New(http.StatusConflict, "payment_not_confirmable", "The payment does not wait for consent."))
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
