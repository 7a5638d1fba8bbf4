package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// Retention is how long an event is kept: ten times as long as it is tried to
// deliver it, so that a client's questions can still be answered.
const Retention = 30 * 24 * time.Hour

// purgeBatch bounds one deletion, so that it holds no lock for long.
const purgeBatch = 200

// removedBatch is that of deliveries whose endpoint was removed.
const removedBatch = 1000

// Purge deletes events that are past their time, with their deliveries, whatever
// became of these, secrets that no longer sign, and endpoints that were removed, with
// theirs. An event that still waits for an endpoint that is on stays until it has been
// tried to the end.
func Purge(ctx context.Context, db *database.DB, now time.Time) error {
	if _, err := db.ExecContext(ctx, `DELETE FROM webhook_old_secrets WHERE expires_at <= $1`, now.UnixMicro()); err != nil {
		return fmt.Errorf("outbox: purge: %w", err)
	}
	if err := purgeRemoved(ctx, db); err != nil {
		return fmt.Errorf("outbox: purge: %w", err)
	}
	for {
		deleted, err := purgeSome(ctx, db, now.Add(-Retention))
		if err != nil {
			return fmt.Errorf("outbox: purge: %w", err)
		}
		if deleted < purgeBatch {
			return nil
		}
	}
}

// purgeRemoved deletes the deliveries of endpoints that were removed, in batches, and then
// the endpoints. A try that was under way when its endpoint was removed notes nothing new.
func purgeRemoved(ctx context.Context, db *database.DB) error {
	for more := true; more; {
		err := db.InTx(ctx, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, `
				DELETE FROM webhook_deliveries WHERE id IN (
					SELECT d.id FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id
					WHERE e.client_id = $1 LIMIT $2)`, removed, removedBatch)
			if err != nil {
				return err
			}
			deleted, err := result.RowsAffected()
			more = deleted == removedBatch
			return err
		})
		if err != nil {
			return err
		}
	}
	_, err := db.ExecContext(ctx, `
		DELETE FROM webhook_endpoints WHERE client_id = $1 AND NOT EXISTS (
			SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = webhook_endpoints.id)`, removed)
	return err
}

func purgeSome(ctx context.Context, db *database.DB, before time.Time) (deleted int, err error) {
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		ids, err := queryIDs(ctx, tx, `
			SELECT e.id FROM events e WHERE e.created_at <= $1 AND NOT EXISTS (
				SELECT 1 FROM webhook_deliveries d JOIN webhook_endpoints p ON p.id = d.endpoint_id
				WHERE d.event_id = e.id AND d.state = 'pending' AND p.disabled_at IS NULL)
			ORDER BY e.created_at LIMIT $2`, before.UnixMicro(), purgeBatch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM webhook_deliveries WHERE event_id = $1`, id); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM events WHERE id = $1`, id); err != nil {
				return err
			}
		}
		deleted = len(ids)
		return nil
	})
	return deleted, err
}
