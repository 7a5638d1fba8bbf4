package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrClosed says that an account is closed. Nothing was changed: the caller may go on
// and commit.
var ErrClosed = errors.New("ledger: the account is closed")

// Close closes the wallets of an owner for good, also of one who has none: nothing is moved
// to or from them any more, and no other is opened. One that holds money, or takes part in a hold, cannot be closed; done is false
// then, and the caller has to roll back, since others may have been closed.
//
// Closing and moving change the same row, so that of a refund and a closing at once one
// comes first: it then has money, or is closed.
func Close(ctx context.Context, tx *sql.Tx, owner string, now time.Time) (done bool, err error) {
	_, err = tx.ExecContext(ctx, `
		UPDATE accounts SET closed_at = $1, version = version + 1 WHERE kind = 'wallet' AND owner = $2 AND closed_at IS NULL
			AND credits_posted = debits_posted AND debits_pending = 0 AND credits_pending = 0`, now.UnixMicro(), owner)
	if err != nil {
		return false, wrapClosing(err)
	}
	err = tx.QueryRowContext(ctx, `
		SELECT NOT EXISTS (SELECT 1 FROM accounts WHERE kind = 'wallet' AND owner = $1 AND closed_at IS NULL)`, owner).Scan(&done)
	if err != nil || !done {
		return false, wrapClosing(err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO closed_owners (owner, closed_at) VALUES ($1, $2) ON CONFLICT (owner) DO NOTHING`,
		owner, now.UnixMicro())
	return err == nil, wrapClosing(err)
}

func wrapClosing(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ledger: closing: %w", err)
}

// lockOpen takes the lock of a wallet's row, as lock does, unless it is closed.
func lockOpen(ctx context.Context, tx *sql.Tx, wallet Account) error {
	locked, err := tx.ExecContext(ctx, `UPDATE accounts SET version = version WHERE id = $1 AND closed_at IS NULL`, wallet.ID)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	rows, err := locked.RowsAffected()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if rows == 0 {
		return ErrClosed
	}
	return nil
}

// whyNot says why a wallet's row did not take a change.
func whyNot(ctx context.Context, tx *sql.Tx, wallet Account) error {
	var closed bool
	err := tx.QueryRowContext(ctx, `SELECT closed_at IS NOT NULL FROM accounts WHERE id = $1`, wallet.ID).Scan(&closed)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: changing a balance: %w", err)
	case closed:
		return ErrClosed
	}
	return ErrInsufficientFunds
}
