package payments

import (
	"context"
	"database/sql"
	"net/http"
	"slices"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// part is the body of a capture or a refund. Without an amount it is all that is left.
type part struct {
	Amount *money.Amount `json:"amount"`
	Final  bool          `json:"final"` // of a capture: what is left after it is let go
}

// value gives how much of what is left is meant.
func (in part) value(p payment, left int64) (int64, error) {
	var wrong faults
	switch {
	case in.Amount == nil && left == 0:
		wrong.Add("", "asks for all that is left, and nothing is")
	case in.Amount == nil:
		return left, nil
	case in.Amount.Currency != p.Amount.Currency:
		wrong.Add("/amount/currency", "must be the payment's")
	case in.Amount.Value <= 0 || in.Amount.Value > left:
		wrong.Add("/amount/value", "must be positive, and at most what is left")
	}
	if err := wrong.Err(); err != nil {
		return 0, err
	}
	return in.Amount.Value, nil
}

// movedView is a capture or a refund.
type movedView struct {
	ID            string       `json:"id"`
	PaymentID     string       `json:"payment_id"`
	Amount        money.Amount `json:"amount"`
	Status        string       `json:"status,omitempty"`      // of a refund
	ReasonCode    string       `json:"reason_code,omitempty"` // of a refund that came to nothing
	ISO20022      string       `json:"iso20022_reason,omitempty"`
	PaymentStatus Status       `json:"payment_status,omitempty"` // right after it; in lists it is not said
	CreatedAt     time.Time    `json:"created_at"`
}

// change is what a client does to one of its payments.
type change func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) (changed, error)

// changed says what a change has done beside the payment itself.
type changed struct {
	moved *movedView // a capture or refund, which is then the answer
	event string     // what the client is told by webhook; empty is the payment's new state
}

// moved is a capture or refund that was just made.
func (p payment) moved(id string, value int64, now time.Time) *movedView {
	return &movedView{ID: id, PaymentID: p.ID, Amount: p.money(value), PaymentStatus: p.Status, CreatedAt: fromMicro(now.UnixMicro())}
}

// changePayment carries out a change under an Idempotency-Key, on top of the version
// that If-Match names, if it names one.
func (s *Server) changePayment(w http.ResponseWriter, r *http.Request, body []byte, do change) error {
	t := tokencheck.From(r.Context())
	if !byClient(t) {
		return errClientOnly
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var saved payment
	var before Status
	replayed, err := s.once(w, r, body, func(tx *sql.Tx) (idempotency.Response, error) {
		ctx, now := r.Context(), s.now()
		p, err := forUpdate(ctx, tx, s.db.Dialect, id)
		if err != nil {
			return idempotency.Response{}, err
		}
		if p.ClientID != t.ClientID {
			return idempotency.Response{}, errNotFound
		}
		if err := matchesVersion(r, rest.VersionTag(p.Version)); err != nil {
			return idempotency.Response{}, err
		}
		before = p.Status
		did, err := do(ctx, tx, &p, now)
		if err != nil {
			return idempotency.Response{}, err
		}
		if err := s.save(ctx, tx, &p, did, now); err != nil {
			return idempotency.Response{}, err
		}
		saved = p
		return respondChanged(p, did)
	})
	if err != nil || replayed {
		return err
	}
	s.dispatcher.Wake()
	if saved.Status != before {
		s.metrics.settled(saved)
	}
	return nil
}

// respondChanged answers with the capture or refund that was made, else with the payment.
func respondChanged(p payment, did changed) (idempotency.Response, error) {
	if did.moved == nil {
		return respond(http.StatusOK, p.view(), rest.VersionTag(p.Version), "")
	}
	return respond(http.StatusCreated, did.moved, rest.VersionTag(p.Version), "")
}

// matchesVersion refuses a change to another version than the caller has seen, if
// the caller says which.
func matchesVersion(r *http.Request, tag string) error {
	if len(r.Header.Values("If-Match")) == 0 || rest.IfMatch(r, tag) {
		return nil
	}
	return problem.New(http.StatusPreconditionFailed, "version_mismatch", "It has changed since you read it.")
}

// What a payment's state does not allow.
var (
	errNotCapturable = problem.New(http.StatusConflict, "payment_not_capturable", "Nothing is held to be captured.")
	errNotRefundable = problem.New(http.StatusConflict, "payment_not_refundable", "Nothing was captured that could be given back.")
	errNotCancelable = problem.New(http.StatusConflict, "payment_not_cancelable", "The payment is being carried out, or has ended.")
	errNotInReview   = problem.New(http.StatusConflict, "payment_not_in_review", "The payment does not wait for an officer.")
)

// butIs says with a refusal where the payment stands.
func (p payment) butIs(refusal *problem.Problem) error {
	return refusal.WithExtra("payment_status", p.Status)
}

// capturePayment takes all or a part of what is held.
func (s *Server) capturePayment(w http.ResponseWriter, r *http.Request) error {
	var in part
	body, err := readBody(r, &in)
	if err != nil {
		return err
	}
	return s.changePayment(w, r, body, func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) (changed, error) {
		if p.Status != RequiresCapture || !now.Before(p.ExpiresAt) {
			return changed{}, p.butIs(errNotCapturable)
		}
		value, err := in.value(*p, p.Authorised-p.Captured)
		if err != nil {
			return changed{}, err
		}
		id, err := take(ctx, tx, p, value, now)
		if err != nil {
			return changed{}, err
		}
		var did changed
		switch {
		case in.Final:
			err = giveUp(ctx, tx, p, Succeeded, "", now)
		case p.Captured == p.Authorised:
			p.Status = Succeeded
		default:
			did.event = eventCaptured
		}
		did.moved = p.moved(id, value, now)
		return did, err
	})
}

// cancelPayment gives up what has not been captured.
func (s *Server) cancelPayment(w http.ResponseWriter, r *http.Request) error {
	if err := readNothing(r); err != nil {
		return err
	}
	cancelable := []Status{RequiresConsent, InReview, RequiresCapture}
	return s.changePayment(w, r, nil, func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) (changed, error) {
		if !slices.Contains(cancelable, p.Status) {
			return changed{}, p.butIs(errNotCancelable)
		}
		return changed{}, giveUp(ctx, tx, p, Canceled, canceledByClient, now)
	})
}

// listCaptures lists a payment's captures, oldest first.
func (s *Server) listCaptures(w http.ResponseWriter, r *http.Request) error {
	return s.listMoved(w, r, func(p payment, after string, limit int) ([]movedView, error) {
		entries, err := ledger.Moved(r.Context(), s.db, p.ID, ledger.ForPayment, after, limit)
		views := make([]movedView, len(entries))
		for i, e := range entries {
			views[i] = movedView{ID: e.ID, PaymentID: p.ID, Amount: p.money(e.Amount), CreatedAt: e.CreatedAt}
		}
		return views, err
	})
}

// listMoved lists the captures or the refunds of the payment that the path names.
func (s *Server) listMoved(w http.ResponseWriter, r *http.Request, of func(p payment, after string, limit int) ([]movedView, error)) error {
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	p, err := s.visiblePayment(r)
	if err != nil {
		return err
	}
	views, err := of(p, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, func(v movedView) string { return v.ID }))
	return nil
}
