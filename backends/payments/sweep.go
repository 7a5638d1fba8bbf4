package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/outbox"
)

const (
	expireEvery = 15 * time.Second
	purgeEvery  = 10 * time.Minute
	expireBatch = 100
	purgeBatch  = 5000
	// expiredKept is how long a payment is kept that nobody consented to: as long as
	// the event that told of it.
	expiredKept = outbox.Retention
)

// sweep expires payments whose time for consent is over, and forgets what is past
// its retention, until ctx ends.
func (s *Server) sweep(ctx context.Context) error {
	expire, purge := time.NewTicker(expireEvery), time.NewTicker(purgeEvery)
	defer expire.Stop()
	defer purge.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-expire.C:
			err = s.expire(ctx)
		case <-purge.C:
			err = s.purge(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("sweep", "error", err) // the next one tries again
		}
	}
}

// purge forgets idempotency keys, events and expired payments that are past their
// time. What moved money is kept for good.
func (s *Server) purge(ctx context.Context) error {
	return errors.Join(s.keys.Purge(ctx), outbox.Purge(ctx, s.db, s.now()), s.purgeExpired(ctx))
}

// purgeExpired deletes a batch; the next sweep takes more. An expired payment has
// neither a transfer nor a consent: the schema would not let it go.
func (s *Server) purgeExpired(ctx context.Context) error {
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM payments WHERE id IN (
				SELECT id FROM payments WHERE status = 'expired' AND updated_at <= $1 ORDER BY updated_at LIMIT $2)`,
			s.now().Add(-expiredKept).UnixMicro(), purgeBatch)
		return err
	})
	if err != nil {
		return fmt.Errorf("purging payments: %w", err)
	}
	return nil
}

// expire ends the payments that nobody consented to in time.
func (s *Server) expire(ctx context.Context) error {
	overdue, err := queryPayments(ctx, s.db,
		`WHERE status = 'requires_consent' AND expires_at <= $1 ORDER BY expires_at LIMIT $2`, s.now().UnixMicro(), expireBatch)
	if err != nil {
		return err
	}
	for _, p := range overdue {
		if err := s.expireOne(ctx, p.ID); err != nil {
			return err
		}
	}
	if len(overdue) > 0 {
		s.dispatcher.Wake()
	}
	return nil
}

func (s *Server) expireOne(ctx context.Context, id string) error {
	ended := false
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		p, err := forUpdate(ctx, tx, s.db.Dialect, id)
		if err != nil || p.Status != RequiresConsent {
			return err // confirmed, or expired by another instance, in the meantime
		}
		p.Status, p.ReasonCode = Expired, consentTimeout
		if err := update(ctx, tx, &p, s.now()); err != nil {
			return err
		}
		ended = true
		return outbox.Publish(ctx, tx, s.db.Dialect, p.event(), s.now())
	})
	if err != nil {
		return fmt.Errorf("expiring %s: %w", id, err)
	}
	if ended {
		s.metrics.settled(Expired)
	}
	return nil
}
