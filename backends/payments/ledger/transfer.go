package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// Purpose says what a transfer is for.
type Purpose string

// The purposes of transfers.
const (
	Deposit    Purpose = "deposit"
	ForPayment Purpose = "payment"
)

// ErrInsufficientFunds says that the wallet does not hold that much. Nothing was
// changed: the caller may go on and commit.
var ErrInsufficientFunds = errors.New("ledger: insufficient funds")

// Transfer moves an amount from one account to another at once.
type Transfer struct {
	Debit, Credit Account
	Amount        money.Amount
	Purpose       Purpose
	PaymentID     string // empty for a deposit
}

// Post writes a direct transfer and the balances of the wallets in it.
//
// What makes an overdraft impossible is that the check and the change are one
// UPDATE (and, behind it, the table's CHECK). Summing first and writing then
// would let two payments both see the same money.
func Post(ctx context.Context, tx *sql.Tx, t Transfer, now time.Time) error {
	// Rows are locked in the order of their ids, so that two transfers in
	// opposite directions cannot wait for each other.
	if t.Credit.Kind == Wallet && t.Credit.ID < t.Debit.ID {
		if err := lock(ctx, tx, t.Credit.ID); err != nil {
			return err
		}
	}
	if err := debit(ctx, tx, t.Debit, t.Amount.Value); err != nil {
		return err
	}
	if err := credit(ctx, tx, t.Credit, t.Amount.Value); err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, payment_id, created_at)
		VALUES ($1, 'direct', $2, $3, $4, $5, $6, $7, $8)`,
		id.String(), t.Debit.ID, t.Credit.ID, t.Amount.Value, t.Amount.Currency, t.Purpose,
		sql.NullString{String: t.PaymentID, Valid: t.PaymentID != ""}, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("ledger: writing a transfer: %w", err)
	}
	return nil
}

// lock takes the row's lock until the transaction ends. SQLite has no SELECT FOR
// UPDATE; an update that changes nothing does it on both databases.
func lock(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE accounts SET version = version WHERE id = $1`, id); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

func debit(ctx context.Context, tx *sql.Tx, a Account, amount int64) error {
	if a.Kind != Wallet {
		return nil
	}
	changed, err := tx.ExecContext(ctx,
		`UPDATE accounts SET debits_posted = debits_posted + $1, version = version + 1
		WHERE id = $2 AND credits_posted - debits_posted - debits_pending >= $1`, amount, a.ID)
	if err != nil {
		return fmt.Errorf("ledger: debiting: %w", err)
	}
	rows, err := changed.RowsAffected()
	if err != nil {
		return fmt.Errorf("ledger: debiting: %w", err)
	}
	if rows == 0 {
		return ErrInsufficientFunds
	}
	return nil
}

func credit(ctx context.Context, tx *sql.Tx, a Account, amount int64) error {
	if a.Kind != Wallet {
		return nil
	}
	_, err := tx.ExecContext(ctx,
		`UPDATE accounts SET credits_posted = credits_posted + $1, version = version + 1 WHERE id = $2`, amount, a.ID)
	if err != nil {
		return fmt.Errorf("ledger: crediting: %w", err)
	}
	return nil
}
