package risk

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

const (
	// DefaultRetention is how long decisions are kept: the five years for which records of
	// transactions are usually to be kept, and a year.
	DefaultRetention = 2192 * 24 * time.Hour
	// MinRetention is what the schema insists on.
	MinRetention = 90 * 24 * time.Hour
	// purgeBatch bounds one deletion, so that it holds no lock for long.
	purgeBatch = 1000
)

// young is what the triggers keep: by the database's clock, in whole seconds. A service
// whose clock is ahead would ask for one of these, and the whole batch would stay.
var young = map[database.Dialect]string{
	database.SQLite:   `(CAST(strftime('%s', 'now') AS INTEGER) - 90 * 86400) * 1000000`,
	database.Postgres: `(extract(epoch FROM now())::bigint - 90 * 86400) * 1000000`,
}

// Purge deletes decisions from before a time, but for those that the schema keeps. What
// officers did is kept for good.
func Purge(ctx context.Context, db *database.DB, before time.Time) error {
	for {
		var deleted int64
		err := db.InTx(ctx, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, `
				DELETE FROM risk_decisions WHERE id IN (
					SELECT id FROM risk_decisions WHERE created_at <= $1 AND created_at <= `+young[db.Dialect]+`
					ORDER BY created_at LIMIT $2)`, before.UnixMicro(), purgeBatch)
			if err != nil {
				return err
			}
			deleted, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("risk: purge: %w", err)
		}
		if deleted < purgeBatch {
			return nil
		}
	}
}
