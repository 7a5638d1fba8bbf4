package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// errNotFound is the answer for what is not there and for what is someone else's.
var errNotFound = problem.New(http.StatusNotFound, "not_found", "There is no such object that this token may see.")

const paymentColumns = `SELECT id, client_id, creditor_account, creditor_name, COALESCE(payer, ''), COALESCE(debtor_account, ''),
	amount, currency, capture_method, authorised, captured, refunded, status, reason_code, description, COALESCE(end_to_end_id, ''),
	metadata, version, created_at, updated_at, expires_at FROM payments `

func scanPayment(row interface{ Scan(...any) error }) (payment, error) {
	var p payment
	var metadata []byte
	var created, updated, expires int64
	err := row.Scan(&p.ID, &p.ClientID, &p.CreditorAccount, &p.CreditorName, &p.Payer, &p.DebtorAccount,
		&p.Amount.Value, &p.Amount.Currency, &p.CaptureMethod, &p.Authorised, &p.Captured, &p.Refunded, &p.Status, &p.ReasonCode,
		&p.Description, &p.EndToEndID, &metadata, &p.Version, &created, &updated, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return payment{}, errNotFound
	}
	if err != nil {
		return payment{}, fmt.Errorf("payments: %w", err)
	}
	if err := json.Unmarshal(metadata, &p.Metadata); err != nil {
		return payment{}, fmt.Errorf("payments: metadata of %s: %w", p.ID, err)
	}
	p.CreatedAt, p.UpdatedAt, p.ExpiresAt = fromMicro(created), fromMicro(updated), fromMicro(expires)
	return p, nil
}

func fromMicro(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// insert writes a new payment.
func insert(ctx context.Context, tx *sql.Tx, p payment) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO payments (id, client_id, creditor_account, creditor_name, amount, currency, capture_method, status, description,
			end_to_end_id, metadata, version, created_at, updated_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		p.ID, p.ClientID, p.CreditorAccount, p.CreditorName, p.Amount.Value, p.Amount.Currency, p.CaptureMethod, p.Status, p.Description,
		null(p.EndToEndID), p.metadataJSON(), p.Version, p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro(), p.ExpiresAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("payments: %w", err)
	}
	return nil
}

// update writes what can change, on top of the version that was read. The caller
// holds the row (see forUpdate), so that a miss is a fault of ours.
func update(ctx context.Context, tx *sql.Tx, p *payment, now time.Time) error {
	result, err := tx.ExecContext(ctx, `
		UPDATE payments SET payer = $1, debtor_account = $2, authorised = $3, captured = $4, refunded = $5, status = $6,
			reason_code = $7, version = version + 1, updated_at = $8, expires_at = $9
		WHERE id = $10 AND version = $11`,
		null(p.Payer), null(p.DebtorAccount), p.Authorised, p.Captured, p.Refunded, p.Status,
		p.ReasonCode, now.UnixMicro(), p.ExpiresAt.UnixMicro(), p.ID, p.Version)
	if err != nil {
		return fmt.Errorf("payments: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("payments: %w", err)
	}
	if rows != 1 {
		return fmt.Errorf("payments: %s changed while it was held", p.ID)
	}
	p.Version++
	p.UpdatedAt = fromMicro(now.UnixMicro())
	return nil
}

// forUpdate reads a payment and holds it until the transaction ends. On SQLite
// the transaction itself is the only writer.
func forUpdate(ctx context.Context, tx *sql.Tx, dialect database.Dialect, id string) (payment, error) {
	query := paymentColumns + `WHERE id = $1`
	if dialect == database.Postgres {
		query += ` FOR UPDATE`
	}
	return scanPayment(tx.QueryRowContext(ctx, query, id))
}

// queryPayments reads a list.
func queryPayments(ctx context.Context, q ledger.Querier, condition string, args ...any) ([]payment, error) {
	rows, err := q.QueryContext(ctx, paymentColumns+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("payments: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var payments []payment
	for rows.Next() {
		p, err := scanPayment(rows)
		if err != nil {
			return nil, err
		}
		payments = append(payments, p)
	}
	return payments, rows.Err()
}
