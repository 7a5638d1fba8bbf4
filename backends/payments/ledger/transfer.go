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
	ForRefund  Purpose = "refund"
)

// The kinds of transfer.
const (
	direct  = "direct"  // moves money at once
	pending = "pending" // a hold: sets it aside
	post    = "post"    // moves what a hold set aside, or part of it
	void    = "void"    // lets it go
)

// ErrInsufficientFunds says that the wallet does not hold that much. Nothing was
// changed: the caller may go on and commit.
var ErrInsufficientFunds = errors.New("ledger: insufficient funds")

// Transfer moves an amount from one account to another, at once or by a hold.
type Transfer struct {
	Debit, Credit Account
	Amount        money.Amount
	Purpose       Purpose
	PaymentID     string // empty for a deposit
}

// Post moves the amount at once and gives the transfer's id.
func Post(ctx context.Context, tx *sql.Tx, t Transfer, now time.Time) (id string, err error) {
	v := t.Amount.Value
	return move(ctx, tx, direct, "", t, columns{debitsPosted: v}, columns{creditsPosted: v}, now)
}

// Hold sets the amount aside: nobody else can spend it until it is posted or voided.
func Hold(ctx context.Context, tx *sql.Tx, t Transfer, now time.Time) (id string, err error) {
	v := t.Amount.Value
	return move(ctx, tx, pending, "", t, columns{debitsPending: v}, columns{creditsPending: v}, now)
}

// PostHeld moves part of what a hold set aside. Transfer has the hold's accounts,
// and the amount of this part. More than is left is refused by the schema.
func PostHeld(ctx context.Context, tx *sql.Tx, hold string, t Transfer, now time.Time) (id string, err error) {
	v := t.Amount.Value
	return move(ctx, tx, post, hold, t,
		columns{debitsPending: -v, debitsPosted: v}, columns{creditsPending: -v, creditsPosted: v}, now)
}

// Void lets go of part of what a hold set aside, as PostHeld moves it.
func Void(ctx context.Context, tx *sql.Tx, hold string, t Transfer, now time.Time) error {
	v := t.Amount.Value
	_, err := move(ctx, tx, void, hold, t, columns{debitsPending: -v}, columns{creditsPending: -v}, now)
	return err
}

// move writes a transfer and what it means for both accounts.
//
// What makes an overdraft impossible is that the check and the change are one
// UPDATE (and, behind it, the table's CHECK). Summing first and writing then
// would let two payments both see the same money.
func move(ctx context.Context, tx *sql.Tx, kind, hold string, t Transfer, debit, credit columns, now time.Time) (string, error) {
	uid, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	id := uid.String()
	if t.Credit.Kind == Wallet {
		if err := lockCredited(ctx, tx, t); err != nil {
			return "", err
		}
	}
	if err := apply(ctx, tx, t.Debit, id, debit); err != nil {
		return "", err
	}
	if err := apply(ctx, tx, t.Credit, id, credit); err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO transfers (id, kind, pending_id, debit_account, credit_account, amount, currency, purpose, payment_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		id, kind, null(hold), t.Debit.ID, t.Credit.ID, t.Amount.Value, t.Amount.Currency, t.Purpose, null(t.PaymentID), now.UnixMicro())
	if err != nil {
		return "", fmt.Errorf("ledger: writing a transfer: %w", err)
	}
	return id, nil
}

func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// lockCredited locks the wallet that a transfer goes to before anything is written: a
// closed one refuses it. Rows are locked in the order of their ids, so that two
// transfers in opposite directions cannot wait for each other.
func lockCredited(ctx context.Context, tx *sql.Tx, t Transfer) error {
	if t.Debit.Kind == Wallet && t.Debit.ID < t.Credit.ID {
		if err := lock(ctx, tx, t.Debit.ID); err != nil {
			return err
		}
	}
	return lockOpen(ctx, tx, t.Credit)
}

// lock takes the row's lock until the transaction ends. SQLite has no SELECT FOR
// UPDATE; an update that changes nothing does it on both databases.
func lock(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE accounts SET version = version WHERE id = $1`, id); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// apply adds to the sums of an account: to the row of a wallet, which must not go
// below zero nor be closed, and as an entry to be folded later for others.
func apply(ctx context.Context, tx *sql.Tx, a Account, transfer string, c columns) error {
	if a.Kind != Wallet {
		return note(ctx, tx, a, transfer, c)
	}
	changed, err := tx.ExecContext(ctx, `
		UPDATE accounts SET debits_pending = debits_pending + $1, debits_posted = debits_posted + $2,
			credits_pending = credits_pending + $3, credits_posted = credits_posted + $4, version = version + 1
		WHERE id = $5 AND closed_at IS NULL AND credits_posted + $4 - debits_posted - $2 - debits_pending - $1 >= 0`,
		c.debitsPending, c.debitsPosted, c.creditsPending, c.creditsPosted, a.ID)
	if err != nil {
		return fmt.Errorf("ledger: changing a balance: %w", err)
	}
	rows, err := changed.RowsAffected()
	if err != nil {
		return fmt.Errorf("ledger: changing a balance: %w", err)
	}
	if rows == 0 {
		return whyNot(ctx, tx, a)
	}
	return nil
}
