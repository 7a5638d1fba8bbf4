package payments

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/payments/risk"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// stepUpWanted ends the transaction of a confirmation: nothing of it is kept, the
// consent is not used, and the user may come again with another token.
type stepUpWanted struct {
	decision risk.Decision
	refusal  *problem.Problem
}

func (w *stepUpWanted) Error() string { return w.refusal.Error() }

// judge asks the risk rules about a payment whose payer is known, and keeps what
// they say with it.
func (s *Server) judge(ctx context.Context, tx *sql.Tx, t *token.Token, p payment, now time.Time) (risk.Decision, error) {
	refusal := s.stepUp.Judge(t, now)
	decision, err := risk.Decide(ctx, tx, s.db.Dialect, risk.Payment{
		ID: p.ID, Client: p.ClientID, User: p.Payer, Payee: p.CreditorAccount, Amount: p.Amount, SteppedUp: refusal == nil,
	}, now)
	if err != nil {
		return risk.Decision{}, err
	}
	// Also what an officer is to look at has to come from the user; what is denied
	// is, whoever it comes from.
	if decision.WantsStepUp() && decision.Outcome != risk.Deny {
		return risk.Decision{}, &stepUpWanted{decision, refusal}
	}
	return decision, risk.Keep(ctx, tx, decision)
}

// refuseForStepUp keeps the decision, in a transaction of its own, and gives the refusal.
func (s *Server) refuseForStepUp(ctx context.Context, w *stepUpWanted) error {
	err := s.db.InTx(ctx, func(tx *sql.Tx) error { return risk.Keep(ctx, tx, w.decision) })
	if err != nil {
		return fmt.Errorf("payments: keeping a decision: %w", err)
	}
	s.metrics.steps.Inc()
	return w.refusal
}
