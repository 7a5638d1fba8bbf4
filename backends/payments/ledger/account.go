// Package ledger keeps accounts and the transfers between them: double entry,
// append-only, guarded by the constraints of the schema. It moves money only
// inside a transaction of its caller.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kind says how an account may be used.
type Kind string

// The kinds of account.
const (
	Wallet   Kind = "wallet"   // a user's money; never below zero; keeps running balances
	Merchant Kind = "merchant" // a client's takings; takes entries that are folded later
	External Kind = "external" // the world outside, one per currency; may be below zero
)

// ErrNotFound says that there is no such account.
var ErrNotFound = errors.New("ledger: no such account")

// Account is an account without its balances.
type Account struct {
	ID        string
	Kind      Kind
	Owner     string // user id or client id; empty for external
	Name      string
	Currency  string
	Version   int64
	CreatedAt time.Time
	Closed    bool // nothing is moved to or from it any more
}

// Balances are an account's sums in minor units.
type Balances struct {
	Posted    int64 // what has been moved
	Pending   int64 // what holds would add (or take, when negative)
	Available int64 // what can be spent: posted, less what holds have set aside
}

// Querier is what reading needs of a database or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Open adds an account. ID, Version and CreatedAt are filled in.
// A second account of the same owner and name violates a unique constraint. An owner
// whose accounts were closed gets no other: ErrClosed.
func Open(ctx context.Context, tx *sql.Tx, a Account, now time.Time) (Account, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Account{}, err
	}
	a.ID, a.Version, a.CreatedAt = id.String(), 1, now.UTC().Truncate(time.Microsecond)
	var closed bool
	err = tx.QueryRowContext(ctx, `SELECT $1 = 'wallet' AND EXISTS (SELECT 1 FROM closed_owners WHERE owner = $2)`,
		string(a.Kind), a.Owner).Scan(&closed)
	if err != nil {
		return Account{}, fmt.Errorf("ledger: opening an account: %w", err)
	}
	if closed {
		return Account{}, ErrClosed
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO accounts (id, kind, owner, name, currency, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		a.ID, a.Kind, a.Owner, a.Name, a.Currency, a.CreatedAt.UnixMicro())
	if err != nil {
		return Account{}, fmt.Errorf("ledger: opening an account: %w", err)
	}
	return a, nil
}

const accountColumns = `SELECT id, kind, owner, name, currency, version, created_at, closed_at IS NOT NULL FROM accounts `

// Get gives the account of an owner. Someone else's account is ErrNotFound, like none.
func Get(ctx context.Context, q Querier, kind Kind, owner, id string) (Account, error) {
	return one(q.QueryRowContext(ctx, accountColumns+`WHERE kind = $1 AND owner = $2 AND id = $3`, kind, owner, id))
}

// WalletByName gives a user's account of that name.
func WalletByName(ctx context.Context, q Querier, owner, name string) (Account, error) {
	return one(q.QueryRowContext(ctx, accountColumns+`WHERE kind = 'wallet' AND owner = $1 AND name = $2`, owner, name))
}

// MerchantOf gives the account that a client is paid to in a currency.
func MerchantOf(ctx context.Context, q Querier, client, currency string) (Account, error) {
	return one(q.QueryRowContext(ctx, accountColumns+`WHERE kind = 'merchant' AND owner = $1 AND currency = $2`, client, currency))
}

// ExternalFor gives the account that stands for the outside world in a currency.
func ExternalFor(ctx context.Context, q Querier, currency string) (Account, error) {
	return one(q.QueryRowContext(ctx, accountColumns+`WHERE kind = 'external' AND currency = $1`, currency))
}

// ByOwner lists an owner's accounts, oldest first, behind the id `after`.
func ByOwner(ctx context.Context, q Querier, kind Kind, owner, after string, limit int) ([]Account, error) {
	rows, err := q.QueryContext(ctx, accountColumns+
		`WHERE kind = $1 AND owner = $2 AND id > $3 ORDER BY id LIMIT $4`, kind, owner, after, limit)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var accounts []Account
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, rows.Err()
}

func one(row *sql.Row) (Account, error) {
	a, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrNotFound
	}
	return a, err
}

func scan(row interface{ Scan(...any) error }) (Account, error) {
	var a Account
	var created int64
	if err := row.Scan(&a.ID, &a.Kind, &a.Owner, &a.Name, &a.Currency, &a.Version, &created, &a.Closed); err != nil {
		return Account{}, fmt.Errorf("ledger: %w", err)
	}
	a.CreatedAt = time.UnixMicro(created).UTC()
	return a, nil
}

// Rename gives an account another name. What was paid under the old one keeps it.
func Rename(ctx context.Context, tx *sql.Tx, a Account, name string) error {
	_, err := tx.ExecContext(ctx, `UPDATE accounts SET name = $1, version = version + 1 WHERE id = $2`, name, a.ID)
	if err != nil {
		return fmt.Errorf("ledger: renaming an account: %w", err)
	}
	return nil
}
