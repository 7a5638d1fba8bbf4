package idempotency

import (
	"context"
	"database/sql"
	"fmt"
)

// purgeBatch bounds one deletion, so that it holds no lock for long.
const purgeBatch = 1000

// Purge deletes keys that are past their time.
func (k *Keeper) Purge(ctx context.Context) error {
	for {
		var deleted int64
		err := k.db.InTx(ctx, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, `
				DELETE FROM idempotency_keys WHERE (client_id, method, route, idem_key) IN (
					SELECT client_id, method, route, idem_key FROM idempotency_keys
					WHERE created_at <= $1 ORDER BY created_at LIMIT $2)`, k.cutoff(), purgeBatch)
			if err != nil {
				return err
			}
			deleted, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("idempotency: purge: %w", err)
		}
		if deleted < purgeBatch {
			return nil
		}
	}
}
