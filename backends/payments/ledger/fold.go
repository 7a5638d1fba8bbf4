package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// note leaves an entry for an account whose row is not to be updated by every
// payment that names it: all of a merchant's payments would wait for each other.
func note(ctx context.Context, tx *sql.Tx, a Account, transfer string, c columns) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO unfolded (account, transfer_id, debits_pending, debits_posted, credits_pending, credits_posted)
		VALUES ($1, $2, $3, $4, $5, $6)`, a.ID, transfer, c.debitsPending, c.debitsPosted, c.creditsPending, c.creditsPosted)
	if err != nil {
		return fmt.Errorf("ledger: writing an entry: %w", err)
	}
	return nil
}

// foldBatch is how many accounts are folded in one transaction: each transaction of
// SQLite waits for the disk.
const foldBatch = 100

// Fold adds the entries that wait to the rows of their accounts. Without, balances
// would be just as right, and reading them slower with every payment.
func Fold(ctx context.Context, db *database.DB) error {
	accounts, err := accountsToFold(ctx, db)
	if err != nil {
		return fmt.Errorf("ledger: folding: %w", err)
	}
	for batch := range slices.Chunk(accounts, foldBatch) {
		err := db.InTx(ctx, func(tx *sql.Tx) error {
			for _, account := range batch {
				if err := foldOne(ctx, tx, account); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("ledger: folding: %w", err)
		}
	}
	return nil
}

// accountsToFold are in the order of ids, in which rows are locked.
func accountsToFold(ctx context.Context, db *database.DB) (accounts []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT DISTINCT account FROM unfolded ORDER BY account`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		accounts = append(accounts, id)
	}
	return accounts, rows.Err()
}

// foldOne takes all entries that it sees. The row is locked first: two that fold
// one account at once could else take the end of a hold without its beginning.
func foldOne(ctx context.Context, tx *sql.Tx, account string) error {
	if err := lock(ctx, tx, account); err != nil {
		return err
	}
	sum, err := takeEntries(ctx, tx, account)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE accounts SET debits_pending = debits_pending + $1, debits_posted = debits_posted + $2,
			credits_pending = credits_pending + $3, credits_posted = credits_posted + $4 WHERE id = $5`,
		sum.debitsPending, sum.debitsPosted, sum.creditsPending, sum.creditsPosted, account)
	return err
}

// takeEntries deletes an account's entries and gives what they come to: one
// statement, so that what is deleted is what is counted.
func takeEntries(ctx context.Context, tx *sql.Tx, account string) (sum columns, err error) {
	rows, err := tx.QueryContext(ctx, `
		DELETE FROM unfolded WHERE account = $1
		RETURNING debits_pending, debits_posted, credits_pending, credits_posted`, account)
	if err != nil {
		return columns{}, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c columns
		if err := rows.Scan(&c.debitsPending, &c.debitsPosted, &c.creditsPending, &c.creditsPosted); err != nil {
			return columns{}, err
		}
		sum.debitsPending += c.debitsPending
		sum.debitsPosted += c.debitsPosted
		sum.creditsPending += c.creditsPending
		sum.creditsPosted += c.creditsPosted
	}
	return sum, rows.Err()
}

// Rebuild makes every balance anew from the transfers, in one transaction that
// keeps all others from moving money. It gives how many balances were wrong, and
// changes nothing when the transfers themselves leave a wallet below zero.
func Rebuild(ctx context.Context, db *database.DB) (corrected int64, err error) {
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		if db.Dialect == database.Postgres {
			// All the books in one statement may take longer than a payment may.
			if _, err := tx.ExecContext(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `LOCK TABLE accounts, transfers, unfolded IN EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		corrected, err = rebuild(ctx, tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ledger: rebuild: %w", err)
	}
	return corrected, nil
}

func rebuild(ctx context.Context, tx *sql.Tx) (corrected int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM (`+wrongBalances+`) wrong`).Scan(&corrected)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM unfolded`); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE accounts SET debits_pending = COALESCE(r.debits_pending, 0), debits_posted = COALESCE(r.debits_posted, 0),
			credits_pending = COALESCE(r.credits_pending, 0), credits_posted = COALESCE(r.credits_posted, 0)
		FROM (SELECT a.id, m.* FROM accounts a LEFT JOIN (`+replay+` GROUP BY account) m ON m.account = a.id) r
		WHERE r.id = accounts.id`)
	return corrected, err
}
