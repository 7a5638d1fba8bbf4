package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// Violation is a row that breaks a rule of the books.
type Violation struct {
	Rule  string // what must hold
	Table string
	ID    string // the first row, in the order of ids
}

// Error names the rule and the row.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s: row %s breaks the rule %q", v.Table, v.ID, v.Rule)
}

// Rule is one thing that must hold of the whole database. Query gives the ids of
// the rows that break it.
type Rule struct {
	Name, Table, Query string
}

// rules hold whatever the services have done. Some repeat a constraint of the
// schema: a check that trusts what it checks would miss the day it is gone.
var rules = []Rule{
	{"a wallet is not below zero", "accounts", `
		SELECT id FROM accounts WHERE kind = 'wallet' AND credits_posted - debits_posted - debits_pending < 0`},
	{"a closed account is an empty wallet", "accounts", `
		SELECT id FROM accounts WHERE closed_at IS NOT NULL AND
			(kind <> 'wallet' OR credits_posted <> debits_posted OR debits_pending <> 0 OR credits_pending <> 0)`},
	{"who has closed all accounts has none that is open", "accounts", `
		SELECT a.id FROM accounts a JOIN closed_owners c ON c.owner = a.owner WHERE a.kind = 'wallet' AND a.closed_at IS NULL`},
	{"a wallet has no entries that wait", "unfolded", `
		SELECT u.transfer_id AS id FROM unfolded u LEFT JOIN accounts a ON a.id = u.account AND a.kind <> 'wallet'
		WHERE a.id IS NULL`},
	{"a transfer is between two accounts of its currency", "transfers", `
		SELECT t.id FROM transfers t
		LEFT JOIN accounts d ON d.id = t.debit_account AND d.currency = t.currency
		LEFT JOIN accounts c ON c.id = t.credit_account AND c.currency = t.currency
		WHERE d.id IS NULL OR c.id IS NULL OR d.id = c.id OR t.amount <= 0`},
	{"a post or void ends a hold between the same accounts", "transfers", `
		SELECT t.id FROM transfers t LEFT JOIN transfers h ON h.id = t.pending_id AND h.kind = 'pending'
			AND h.debit_account = t.debit_account AND h.credit_account = t.credit_account AND h.currency = t.currency
			AND COALESCE(h.payment_id, '') = COALESCE(t.payment_id, '') AND h.purpose = t.purpose
		WHERE t.kind IN ('post', 'void') AND h.id IS NULL`},
	{"a hold is not ended for more than it holds", "transfers", `
		SELECT h.id FROM transfers h JOIN transfers t ON t.pending_id = h.id
		WHERE t.kind IN ('post', 'void') GROUP BY h.id, h.amount HAVING SUM(t.amount) > h.amount`},
	// Last: what is wrong above is told by its own name.
	{"the balances of an account are those of its transfers, replayed", "accounts", wrongBalances},
}

// Verify checks the books, and the further rules given, in one snapshot.
// A row that breaks a rule is a *Violation.
func Verify(ctx context.Context, db *sql.DB, further ...Rule) error {
	// Read-only and repeatable: one moment of the whole database, and writers go on.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("ledger: verify: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	for _, rule := range append(rules[:len(rules):len(rules)], further...) {
		if err := check(ctx, tx, rule); err != nil {
			return err
		}
	}
	return nil
}

// First is the query for the first row that breaks the rule, NULL for none. It asks
// for the least id and not for one row in order: where a single row is wanted,
// PostgreSQL plans to be there soon, by going through pairs of rows, and when none
// breaks the rule it goes through all pairs.
func (r Rule) First() string { return `SELECT MIN(id) FROM (` + r.Query + `) broken` }

func check(ctx context.Context, tx *sql.Tx, rule Rule) error {
	var id sql.NullString
	if err := tx.QueryRowContext(ctx, rule.First()).Scan(&id); err != nil {
		return fmt.Errorf("ledger: verify: %s: %w", rule.Name, err)
	}
	if !id.Valid {
		return nil
	}
	return &Violation{Rule: rule.Name, Table: rule.Table, ID: id.String}
}
