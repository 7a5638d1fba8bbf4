package ledger

import (
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// unguarded takes the schema's guards away on one connection and gives it.
func (b *books) unguarded() *sql.Conn {
	b.t.Helper()
	conn, err := b.Conn(b.t.Context())
	b.must(err)
	b.t.Cleanup(func() { _ = conn.Close() })
	statements := []string{`PRAGMA ignore_check_constraints = 1`, `PRAGMA foreign_keys = 0`, `DROP TRIGGER transfers_hold`}
	if b.Dialect == database.Postgres {
		statements = []string{
			`ALTER TABLE accounts DROP CONSTRAINT wallet_not_below_zero`,
			`ALTER TABLE accounts DROP CONSTRAINT closed_is_empty`,
			`SET session_replication_role = replica`, // neither foreign keys nor triggers
		}
	}
	for _, statement := range statements {
		_, err := conn.ExecContext(b.t.Context(), statement)
		b.must(err)
	}
	return conn
}

func TestVerifyNamesThePlantedRow(t *testing.T) {
	t.Parallel()
	const row = `INSERT INTO transfers (id, kind, pending_id, debit_account, credit_account, amount, currency, purpose, created_at) VALUES `
	for name, c := range map[string]struct{ rule, plant string }{
		"a balance without a transfer": {"replayed", `UPDATE accounts SET credits_posted = credits_posted + 1 WHERE id = 'WALLET'`},
		"a transfer without a balance": {"replayed", row + `('bad', 'direct', NULL, 'EXTERNAL', 'WALLET', 7, 'EUR', 'deposit', 0)`},
		"an overdraft": {"not below zero", row + `('bad', 'direct', NULL, 'WALLET', 'MERCHANT', 900, 'EUR', 'deposit', 0);
			UPDATE accounts SET debits_posted = debits_posted + 900 WHERE id = 'WALLET'`},
		"money in a closed account":      {"an empty wallet", `UPDATE accounts SET closed_at = 1 WHERE id = 'WALLET'`},
		"a merchant's that is closed":    {"an empty wallet", `UPDATE accounts SET closed_at = 1 WHERE id = 'MERCHANT'`},
		"a wallet of who closed all":     {"none that is open", `INSERT INTO closed_owners SELECT owner, 1 FROM accounts WHERE id = 'WALLET'`},
		"a balance on a merchant":        {"replayed", `UPDATE accounts SET credits_posted = 1 WHERE id = 'MERCHANT'`},
		"an entry without a transfer":    {"replayed", `INSERT INTO unfolded VALUES ('MERCHANT', 'x', 0, 0, 0, 7)`},
		"an entry of a wallet":           {"entries that wait", `INSERT INTO unfolded VALUES ('WALLET', 'x', 0, 0, 0, 0)`},
		"an entry that is counted twice": {"replayed", `INSERT INTO unfolded SELECT account, 'x', debits_pending, debits_posted, credits_pending, credits_posted FROM unfolded WHERE account = 'EXTERNAL'`},
		"another currency":               {"its currency", row + `('bad', 'direct', NULL, 'EXTERNAL', 'MERCHANT', 7, 'USD', 'deposit', 0)`},
		"a post without a hold":          {"ends a hold", row + `('bad', 'post', 'none', 'EXTERNAL', 'MERCHANT', 7, 'EUR', 'deposit', 0)`},
		"a hold ended twice": {"more than it holds", row + `('bad', 'pending', NULL, 'EXTERNAL', 'MERCHANT', 7, 'EUR', 'deposit', 0),
			('bad-1', 'post', 'bad', 'EXTERNAL', 'MERCHANT', 7, 'EUR', 'deposit', 0),
			('bad-2', 'void', 'bad', 'EXTERNAL', 'MERCHANT', 1, 'EUR', 'deposit', 0)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(b *books) {
				b.must(b.move(b.external, b.wallet, 100))
				b.must(Verify(b.t.Context(), b.DB.DB))
				names := strings.NewReplacer("WALLET", b.wallet.ID, "MERCHANT", b.merchant.ID, "EXTERNAL", b.external.ID)
				conn := b.unguarded()
				for statement := range strings.SplitSeq(names.Replace(c.plant), ";") {
					_, err := conn.ExecContext(b.t.Context(), statement)
					b.must(err)
				}
				var found *Violation
				err := Verify(b.t.Context(), b.DB.DB)
				if !errors.As(err, &found) || !strings.Contains(found.Rule, c.rule) || !strings.Contains(err.Error(), found.ID) {
					b.t.Fatalf("got %v, want the rule %q", err, c.rule)
				}
			})
		})
	}
}

// The guard removed: payers that look first and write then. The books still sum
// to zero, so only looking at the wallet itself shows the fault.
func TestVerifyCatchesCheckThenAct(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 10))
		conn := b.unguarded()
		var looked, wrote sync.WaitGroup
		var mu sync.Mutex // the connection without guards is one
		looked.Add(5)
		for range 5 {
			wrote.Go(func() {
				balances, err := BalancesOf(b.t.Context(), b, b.wallet)
				b.check(err)
				looked.Done()
				looked.Wait()
				if balances.Available >= 10 {
					mu.Lock()
					defer mu.Unlock()
					b.check(b.payUnguarded(conn, 10))
				}
			})
		}
		wrote.Wait()
		if sum := b.posted(b.wallet) + b.posted(b.merchant) + b.posted(b.external); sum != 0 {
			b.t.Errorf("the books sum to %d", sum)
		}
		var found *Violation
		if err := Verify(b.t.Context(), b.DB.DB); !errors.As(err, &found) || found.ID != b.wallet.ID {
			b.t.Fatalf("got %v, want the wallet named", err)
		}
	})
}

// payUnguarded pays from the wallet without asking what it holds.
func (b *books) payUnguarded(conn *sql.Conn, cents int64) error {
	tx, err := conn.BeginTx(b.t.Context(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if _, err := tx.Exec(`UPDATE accounts SET debits_posted = debits_posted + $1 WHERE id = $2`, cents, b.wallet.ID); err != nil {
		return err
	}
	unchecked := b.wallet
	unchecked.Kind = Merchant // Post asks nothing of it, and leaves an entry
	_, err = Post(b.t.Context(), tx, Transfer{
		Debit: unchecked, Credit: b.merchant, Amount: money.Amount{Value: cents, Currency: "EUR"}, Purpose: Deposit,
	}, start)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM unfolded WHERE account = $1`, b.wallet.ID); err != nil {
		return err
	}
	return tx.Commit()
}
