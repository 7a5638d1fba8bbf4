package payments

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

// What became of a refund.
const (
	refundSucceeded = "succeeded"
	refundRejected  = "rejected"
)

// refundPayment gives back all or a part of what was captured. That it cannot be given
// back, since the payer's account is closed, is an outcome like too little money is one
// of a payment: the refund is there, rejected, and the money stays where it is.
func (s *Server) refundPayment(w http.ResponseWriter, r *http.Request) error {
	var in part
	body, err := readBody(r, &in)
	if err != nil {
		return err
	}
	if in.Final {
		return rest.Faults{{Pointer: "/final", Detail: "is for captures"}}.Err()
	}
	return s.changePayment(w, r, body, func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) (changed, error) {
		if p.Captured == 0 {
			return changed{}, p.butIs(errNotRefundable)
		}
		value, err := in.value(*p, p.Captured-p.Refunded)
		if err != nil {
			return changed{}, err
		}
		return refund(ctx, tx, p, value, now)
	})
}

func refund(ctx context.Context, tx *sql.Tx, p *payment, value int64, now time.Time) (changed, error) {
	t, err := transferOf(ctx, tx, *p, value)
	if err != nil {
		return changed{}, err
	}
	// The merchant has it: what came in for a payment goes out by its refunds only.
	t.Debit, t.Credit, t.Purpose = t.Credit, t.Debit, ledger.ForRefund
	id, err := ledger.Post(ctx, tx, t, now)
	if errors.Is(err, ledger.ErrClosed) {
		return rejectRefund(ctx, tx, p, value, accountClosed, now)
	}
	if err != nil {
		return changed{}, err
	}
	p.Refunded += value
	did := changed{moved: p.moved(id, value, now), event: eventRefunded}
	did.moved.Status = refundSucceeded
	return did, nil
}

// rejectRefund keeps a refund that came to nothing.
func rejectRefund(ctx context.Context, tx *sql.Tx, p *payment, value int64, reason string, now time.Time) (changed, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return changed{}, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO rejected_refunds (id, payment_id, amount, reason_code, created_at) VALUES ($1, $2, $3, $4, $5)`,
		id.String(), p.ID, value, reason, now.UnixMicro())
	if err != nil {
		return changed{}, fmt.Errorf("payments: rejected refund: %w", err)
	}
	did := changed{moved: p.moved(id.String(), value, now), event: eventRefundRejected}
	did.moved.reject(reason)
	return did, nil
}

func (v *movedView) reject(reason string) {
	v.Status, v.ReasonCode, v.ISO20022 = refundRejected, reason, iso20022Reasons[reason]
}

// listRefunds lists a payment's refunds, also those that came to nothing, oldest first.
func (s *Server) listRefunds(w http.ResponseWriter, r *http.Request) error {
	return s.listMoved(w, r, func(p payment, after string, limit int) ([]movedView, error) {
		entries, err := ledger.Moved(r.Context(), s.db, p.ID, ledger.ForRefund, after, limit)
		if err != nil {
			return nil, err
		}
		views, err := rejectedRefunds(r.Context(), s.db, p, after, limit)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			views = append(views, movedView{
				ID: e.ID, PaymentID: p.ID, Amount: p.money(e.Amount), Status: refundSucceeded, CreatedAt: e.CreatedAt,
			})
		}
		slices.SortFunc(views, func(a, b movedView) int { return cmp.Compare(a.ID, b.ID) })
		return views[:min(limit, len(views))], nil
	})
}

func rejectedRefunds(ctx context.Context, q ledger.Querier, p payment, after string, limit int) (views []movedView, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, amount, reason_code, created_at FROM rejected_refunds WHERE payment_id = $1 AND id > $2 ORDER BY id LIMIT $3`,
		p.ID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("payments: rejected refunds: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		v := movedView{PaymentID: p.ID}
		var value, created int64
		var reason string
		if err := rows.Scan(&v.ID, &value, &reason, &created); err != nil {
			return nil, fmt.Errorf("payments: rejected refunds: %w", err)
		}
		v.Amount, v.CreatedAt = p.money(value), fromMicro(created)
		v.reject(reason)
		views = append(views, v)
	}
	return views, rows.Err()
}
