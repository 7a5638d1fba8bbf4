package payments

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
)

// reviewView is a payment as an officer sees it.
type reviewView struct {
	ID       string      `json:"id"`
	ClientID string      `json:"client_id"`
	UserID   string      `json:"user_id"`
	Payment  paymentView `json:"payment"`
}

func (p payment) review() reviewView {
	return reviewView{ID: p.ID, ClientID: p.ClientID, UserID: p.Payer, Payment: p.view()}
}

// listReviews lists the payments that wait for an officer, the oldest first.
func (s *Server) listReviews(w http.ResponseWriter, r *http.Request) error {
	page, err := officersPage(r)
	if err != nil {
		return err
	}
	found, err := queryPayments(r.Context(), s.db,
		`WHERE status = 'in_review' AND id > $1 ORDER BY id LIMIT $2`, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]reviewView, len(found))
	for i, p := range found {
		views[i] = p.review()
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, func(v reviewView) string { return v.ID }))
	return nil
}

// verdict is the body of an officer's decision.
type verdict struct {
	Note string `json:"note"`
}

func (in verdict) validate() error {
	var wrong faults
	wrong.text("/note", in.Note, maxNote)
	return wrong.Err()
}

// approve lets a payment go on as if no rule had held it up.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	return s.decideReview(w, r, "review.approved", func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error {
		if p.CaptureMethod == manual {
			p.Status, p.ExpiresAt = RequiresCapture, fromMicro(now.Add(holdTime).UnixMicro())
			return nil
		}
		p.Status = Succeeded
		_, err := take(ctx, tx, p, p.Authorised, now)
		return err
	})
}

// reject gives the payer the money back.
func (s *Server) reject(w http.ResponseWriter, r *http.Request) error {
	return s.decideReview(w, r, "review.rejected", func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error {
		return giveUp(ctx, tx, p, Rejected, reviewRejected, now)
	})
}

// decideReview carries out an officer's decision, and keeps who made it and why.
func (s *Server) decideReview(w http.ResponseWriter, r *http.Request, action string,
	do func(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error) error {
	t := tokencheck.From(r.Context())
	if !byClient(t) {
		return errClientOnly
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var decided payment
	replayed, err := post(s, w, r, func(tx *sql.Tx, in verdict) (idempotency.Response, error) {
		ctx, now := r.Context(), s.now()
		p, err := forUpdate(ctx, tx, s.db.Dialect, id)
		if err != nil {
			return idempotency.Response{}, err
		}
		if err := matchesVersion(r, rest.VersionTag(p.Version)); err != nil {
			return idempotency.Response{}, err
		}
		if p.Status != InReview || !now.Before(p.ExpiresAt) {
			return idempotency.Response{}, p.butIs(errNotInReview)
		}
		if err := do(ctx, tx, &p, now); err != nil {
			return idempotency.Response{}, err
		}
		record := risk.Record{Actor: t.ClientID, Action: action, Object: p.ID, Became: in}
		if err := risk.Note(ctx, tx, record, now); err != nil {
			return idempotency.Response{}, err
		}
		if err := s.save(ctx, tx, &p, changed{}, now); err != nil {
			return idempotency.Response{}, err
		}
		decided = p
		return respond(http.StatusOK, p.review(), rest.VersionTag(p.Version), "")
	})
	if err != nil || replayed {
		return err
	}
	s.dispatcher.Wake()
	s.metrics.settled(decided)
	return nil
}
