package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Entry is a transfer as one of its accounts sees it.
type Entry struct {
	ID        string
	Kind      string // direct, pending, post or void
	Credit    bool   // into the account; otherwise out of it
	Amount    int64
	Currency  string
	Purpose   Purpose
	PaymentID string // empty for a deposit
	CreatedAt time.Time
}

// Entries lists an account's entries, newest first, before the id `before`
// (empty: from the newest).
func Entries(ctx context.Context, q Querier, account, before string, limit int) ([]Entry, error) {
	// Two index scans, each bounded, instead of an OR that neither index serves.
	const side = `SELECT * FROM (
		SELECT id, kind, %s AS credit, amount, currency, purpose, COALESCE(payment_id, ''), created_at
		FROM transfers WHERE %s = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3) AS %[2]s_side`
	query := fmt.Sprintf(side, "1", "credit_account") + ` UNION ALL ` + fmt.Sprintf(side, "0", "debit_account") +
		` ORDER BY id DESC LIMIT $3`
	rows, err := q.QueryContext(ctx, query, account, before, limit)
	if err != nil {
		return nil, fmt.Errorf("ledger: entries: %w", err)
	}
	return scanEntries(rows)
}

func scanEntries(rows *sql.Rows) ([]Entry, error) {
	defer func() { _ = rows.Close() }()
	var entries []Entry
	for rows.Next() {
		var e Entry
		var created int64
		if err := rows.Scan(&e.ID, &e.Kind, &e.Credit, &e.Amount, &e.Currency, &e.Purpose, &e.PaymentID, &created); err != nil {
			return nil, fmt.Errorf("ledger: entries: %w", err)
		}
		e.CreatedAt = time.UnixMicro(created).UTC()
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// Moved lists what moved for a payment with a purpose, oldest first: its captures,
// or its refunds. They are bounded by its amount, and paged like entries.
func Moved(ctx context.Context, q Querier, payment string, purpose Purpose, after string, limit int) ([]Entry, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, kind, 0, amount, currency, purpose, payment_id, created_at FROM transfers
		WHERE payment_id = $1 AND purpose = $2 AND kind IN ('direct', 'post') AND id > $3 ORDER BY id LIMIT $4`,
		payment, purpose, after, limit)
	if err != nil {
		return nil, fmt.Errorf("ledger: moved: %w", err)
	}
	return scanEntries(rows)
}

// HoldOf gives the id of the hold of a payment, and what is left of it.
func HoldOf(ctx context.Context, q Querier, payment string) (id string, left int64, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT id, amount - COALESCE((SELECT CAST(SUM(amount) AS BIGINT) FROM transfers e WHERE e.pending_id = transfers.id), 0)
		FROM transfers WHERE payment_id = $1 AND purpose = 'payment' AND kind = 'pending'`, payment).Scan(&id, &left)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, fmt.Errorf("ledger: payment %s has no hold", payment)
	}
	if err != nil {
		return "", 0, fmt.Errorf("ledger: hold: %w", err)
	}
	return id, left, nil
}
