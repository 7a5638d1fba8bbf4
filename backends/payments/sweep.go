package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
)

const (
	foldEvery   = 30 * time.Second
	expireEvery = 15 * time.Second
	purgeEvery  = 10 * time.Minute
	expireBatch = 100
	purgeBatch  = 5000
	// expiredKept is how long a payment is kept that nobody consented to: as long as
	// the event that told of it.
	expiredKept = outbox.Retention
)

// sweep folds balances, expires payments whose time is over, and forgets what is
// past its retention, until ctx ends.
func (s *Server) sweep(ctx context.Context) error {
	fold, expire, purge := time.NewTicker(foldEvery), time.NewTicker(expireEvery), time.NewTicker(purgeEvery)
	defer fold.Stop()
	defer expire.Stop()
	defer purge.Stop()
	err := ledger.Fold(ctx, s.db) // what an instance before this one has left
	for {
		if err != nil && ctx.Err() == nil {
			s.log.Error("sweep", "error", err) // the next one tries again
		}
		select {
		case <-ctx.Done():
			return nil
		case <-fold.C:
			err = ledger.Fold(ctx, s.db)
		case <-expire.C:
			err = s.expire(ctx)
		case <-purge.C:
			err = s.purge(ctx)
		}
	}
}

// purge forgets idempotency keys, events, expired payments and risk decisions that are
// past their time. What moved money is kept for good.
func (s *Server) purge(ctx context.Context) error {
	return errors.Join(s.keys.Purge(ctx), outbox.Purge(ctx, s.db, s.now()), s.purgeExpired(ctx),
		risk.Purge(ctx, s.db, s.now().Add(-s.keepDecisions)))
}

// purgeExpired deletes a batch; the next sweep takes more. A payment that nobody
// consented to has neither a transfer nor a consent. One whose hold expired has
// both: it is kept, and the schema would not let it go.
func (s *Server) purgeExpired(ctx context.Context) error {
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM payments WHERE id IN (
				SELECT id FROM payments WHERE status = 'expired' AND payer IS NULL AND updated_at <= $1 ORDER BY updated_at LIMIT $2)`,
			s.now().Add(-expiredKept).UnixMicro(), purgeBatch)
		return err
	})
	if err != nil {
		return fmt.Errorf("purging payments: %w", err)
	}
	return nil
}

// expire ends the payments that nobody consented to in time, and the holds that
// nobody took in time: all that are overdue. One that cannot be ended does not keep
// the others, and the first such error is told.
func (s *Server) expire(ctx context.Context) (failed error) {
	now := s.now().UnixMicro()
	// Two lists, one for each index.
	for _, states := range []string{`'requires_consent'`, `'requires_capture', 'in_review'`} {
		var last payment
		for more := true; more; {
			overdue, err := queryPayments(ctx, s.db, `WHERE status IN (`+states+`) AND expires_at <= $1
				AND (expires_at, id) > ($2, $3) ORDER BY expires_at, id LIMIT $4`, now, last.ExpiresAt.UnixMicro(), last.ID, expireBatch)
			if err != nil {
				return err
			}
			for _, p := range overdue {
				if err := s.expireOne(ctx, p.ID); failed == nil {
					failed = err
				}
				last = p
			}
			if len(overdue) > 0 {
				s.dispatcher.Wake()
			}
			more = len(overdue) == expireBatch && ctx.Err() == nil
		}
	}
	return failed
}

// expireReasons say why a payment expires in each state that can.
var expireReasons = map[Status]string{RequiresConsent: consentTimeout, RequiresCapture: holdExpired, InReview: reviewTimeout}

func (s *Server) expireOne(ctx context.Context, id string) error {
	var ended *payment
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		ended = nil
		p, err := forUpdate(ctx, tx, s.db.Dialect, id)
		if err != nil {
			return err
		}
		reason, open := expireReasons[p.Status]
		if now := s.now(); !open || now.Before(p.ExpiresAt) {
			return nil // it went on, or was expired by another instance, in the meantime
		}
		if err := giveUp(ctx, tx, &p, Expired, reason, s.now()); err != nil {
			return err
		}
		ended = &p
		return s.save(ctx, tx, &p, changed{}, s.now())
	})
	if err != nil {
		return fmt.Errorf("expiring %s: %w", id, err)
	}
	if ended != nil {
		s.metrics.settled(*ended)
	}
	return nil
}
