package ledger

import (
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/money"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// books is a database with a user's wallet, a merchant and the world outside.
type books struct {
	*database.DB
	t                          *testing.T
	wallet, merchant, external Account
}

// fresh gives databases of the payments service.
var fresh = databasetest.TemplateOf("payments", os.DirFS(".."))

func forEach(t *testing.T, test func(*books)) {
	t.Helper()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		b := &books{DB: fresh.Open(t, dsn), t: t}
		b.wallet = b.open(Account{Kind: Wallet, Owner: "ada", Name: "Everyday", Currency: "EUR"})
		b.merchant = b.open(Account{Kind: Merchant, Owner: "shop", Name: "Corner Shop", Currency: "EUR"})
		b.external = b.open(Account{Kind: External, Name: "Funding", Currency: "EUR"})
		test(b)
	})
}

func (b *books) open(a Account) (opened Account) {
	b.t.Helper()
	err := b.InTx(b.t.Context(), func(tx *sql.Tx) (err error) {
		opened, err = Open(b.t.Context(), tx, a, start)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return opened
}

// move posts a transfer without a payment in a transaction of its own.
func (b *books) move(from, to Account, cents int64) error {
	return b.InTx(b.t.Context(), func(tx *sql.Tx) error {
		_, err := Post(b.t.Context(), tx, Transfer{
			Debit: from, Credit: to, Amount: money.Amount{Value: cents, Currency: "EUR"}, Purpose: Deposit,
		}, start)
		return err
	})
}

func (b *books) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// check is must for other goroutines than the test's own.
func (b *books) check(err error) {
	if err != nil {
		b.t.Error(err)
	}
}

func (b *books) posted(a Account) int64 {
	b.t.Helper()
	balances, err := BalancesOf(b.t.Context(), b, a)
	b.must(err)
	return balances.Posted
}

func TestPost(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 1000))
		b.must(b.move(b.wallet, b.merchant, 300))
		if err := b.move(b.wallet, b.merchant, 701); !errors.Is(err, ErrInsufficientFunds) {
			b.t.Errorf("701 of 700: got %v", err)
		}
		b.must(b.move(b.wallet, b.merchant, 700))
		for _, want := range []struct {
			account Account
			posted  int64
		}{{b.wallet, 0}, {b.merchant, 1000}, {b.external, -1000}} {
			if got := b.posted(want.account); got != want.posted {
				b.t.Errorf("%s holds %d, want %d", want.account.Kind, got, want.posted)
			}
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

func TestEntriesPageThroughBothSides(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		for range 5 {
			b.must(b.move(b.external, b.wallet, 10))
			b.must(b.move(b.wallet, b.merchant, 3))
		}
		var sum int64
		seen, before := 0, ""
		for {
			page, err := Entries(b.t.Context(), b, b.wallet.ID, before, 3)
			b.must(err)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				if before != "" && e.ID >= before {
					b.t.Fatalf("%s comes after %s", e.ID, before)
				}
				before = e.ID
				seen++
				if e.Credit {
					sum += e.Amount
				} else {
					sum -= e.Amount
				}
			}
		}
		if seen != 10 || sum != b.posted(b.wallet) {
			b.t.Errorf("%d entries that sum to %d; the wallet holds %d", seen, sum, b.posted(b.wallet))
		}
	})
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 10))
		dollars := b.open(Account{Kind: Wallet, Owner: "ada", Name: "Dollars", Currency: "USD"})
		insert := `INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, created_at)
			VALUES ('x', $1, $2, $3, $4, 'EUR', 'deposit', 0)`
		for name, attempt := range map[string]func() (sql.Result, error){
			"changing a transfer": func() (sql.Result, error) { return b.Exec(`UPDATE transfers SET amount = 1`) },
			"deleting a transfer": func() (sql.Result, error) { return b.Exec(`DELETE FROM transfers`) },
			"an overdraft": func() (sql.Result, error) {
				return b.Exec(`UPDATE accounts SET debits_posted = 11 WHERE kind = 'wallet'`)
			},
			"a hold beyond funds": func() (sql.Result, error) {
				return b.Exec(`UPDATE accounts SET debits_pending = 11 WHERE kind = 'wallet'`)
			},
			"a negative sum":        func() (sql.Result, error) { return b.Exec(`UPDATE accounts SET credits_pending = -1`) },
			"nothing moved":         func() (sql.Result, error) { return b.Exec(insert, "direct", b.external.ID, b.wallet.ID, 0) },
			"to itself":             func() (sql.Result, error) { return b.Exec(insert, "direct", b.wallet.ID, b.wallet.ID, 1) },
			"to another currency":   func() (sql.Result, error) { return b.Exec(insert, "direct", b.wallet.ID, dollars.ID, 1) },
			"to nobody":             func() (sql.Result, error) { return b.Exec(insert, "direct", b.wallet.ID, "nobody", 1) },
			"a post without a hold": func() (sql.Result, error) { return b.Exec(insert, "post", b.wallet.ID, b.merchant.ID, 1) },
			"an unknown kind":       func() (sql.Result, error) { return b.Exec(insert, "gift", b.wallet.ID, b.merchant.ID, 1) },
		} {
			if _, err := attempt(); err == nil {
				b.t.Errorf("the schema let %s pass", name)
			}
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

// A statement that inserts can also take the place of a row that is there.
func TestNoInsertReplacesATransfer(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 10))
		const columns = ` INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, created_at)
			SELECT id, kind, debit_account, credit_account, amount + 1, currency, purpose, created_at FROM transfers WHERE true`
		statements := []string{`INSERT` + columns + ` ON CONFLICT (id) DO UPDATE SET amount = excluded.amount`}
		if b.Dialect == database.SQLite {
			statements = append(statements, `REPLACE`+columns, `INSERT OR REPLACE`+columns)
		}
		for _, statement := range statements {
			if _, err := b.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				b.t.Errorf("%s: got %v", statement, err)
			}
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

func TestAWalletPaysWhatItHoldsAndNoMore(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 60*5))
		var paid, refused atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				switch err := b.move(b.wallet, b.merchant, 5); {
				case err == nil:
					paid.Add(1)
				case errors.Is(err, ErrInsufficientFunds):
					refused.Add(1)
				default:
					b.t.Error(err)
				}
			})
		}
		wg.Wait()
		if paid.Load() != 60 || refused.Load() != 40 || b.posted(b.wallet) != 0 || b.posted(b.merchant) != 300 {
			b.t.Errorf("%d paid, %d refused, wallet %d, merchant %d", paid.Load(), refused.Load(), b.posted(b.wallet), b.posted(b.merchant))
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

func TestOppositeTransfersDoNotLockEachOtherOut(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		other := b.open(Account{Kind: Wallet, Owner: "ben", Name: "Everyday", Currency: "EUR"})
		b.must(b.move(b.external, b.wallet, 1000))
		b.must(b.move(b.external, other, 1000))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { b.check(b.move(b.wallet, other, 10)) })
			wg.Go(func() { b.check(b.move(other, b.wallet, 10)) })
		}
		wg.Wait()
		// A refused transfer between wallets leaves both as they were, even when
		// its transaction goes on to commit.
		for _, pair := range [][2]Account{{b.wallet, other}, {other, b.wallet}} {
			err := b.InTx(b.t.Context(), func(tx *sql.Tx) error {
				_, err := Post(b.t.Context(), tx, Transfer{Debit: pair[0], Credit: pair[1], Amount: money.Amount{Value: 9999, Currency: "EUR"}, Purpose: Deposit}, start)
				if !errors.Is(err, ErrInsufficientFunds) {
					b.t.Errorf("got %v", err)
				}
				return nil
			})
			b.must(err)
		}
		if b.posted(b.wallet) != 1000 || b.posted(other) != 1000 {
			b.t.Errorf("the wallets hold %d and %d", b.posted(b.wallet), b.posted(other))
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}
