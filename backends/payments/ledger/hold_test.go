package ledger

import (
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// transfer is one of so many cents from the wallet to the merchant.
func (b *books) transfer(cents int64) Transfer {
	return Transfer{Debit: b.wallet, Credit: b.merchant, Amount: money.Amount{Value: cents, Currency: "EUR"}, Purpose: Deposit}
}

// in does something in a transaction of its own.
func (b *books) in(do func(tx *sql.Tx) error) error { return b.InTx(b.t.Context(), do) }

func (b *books) hold(cents int64) (id string, err error) {
	err = b.in(func(tx *sql.Tx) (err error) {
		id, err = Hold(b.t.Context(), tx, b.transfer(cents), start)
		return err
	})
	return id, err
}

func (b *books) postHeld(hold string, cents int64) error {
	return b.in(func(tx *sql.Tx) error {
		_, err := PostHeld(b.t.Context(), tx, hold, b.transfer(cents), start)
		return err
	})
}

func (b *books) void(hold string, cents int64) error {
	return b.in(func(tx *sql.Tx) error { return Void(b.t.Context(), tx, hold, b.transfer(cents), start) })
}

func (b *books) expect(a Account, want Balances) {
	b.t.Helper()
	got, err := BalancesOf(b.t.Context(), b, a)
	b.must(err)
	if got != want {
		b.t.Errorf("%s: got %+v, want %+v", a.Kind, got, want)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 1000))
		hold, err := b.hold(600)
		b.must(err)
		b.expect(b.wallet, Balances{Posted: 1000, Pending: -600, Available: 400})
		b.expect(b.merchant, Balances{Posted: 0, Pending: 600, Available: 0})
		if _, err := b.hold(401); !errors.Is(err, ErrInsufficientFunds) {
			b.t.Errorf("a hold of 401 of 400: got %v", err)
		}
		if err := b.move(b.wallet, b.merchant, 401); !errors.Is(err, ErrInsufficientFunds) {
			b.t.Errorf("401 of 400 past a hold: got %v", err)
		}
		b.must(b.postHeld(hold, 250))
		b.must(b.void(hold, 100))
		b.expect(b.wallet, Balances{Posted: 750, Pending: -250, Available: 500})
		b.expect(b.merchant, Balances{Posted: 250, Pending: 250, Available: 250})
		other, err := b.hold(300) // so that the wallet's own sums would not refuse it
		b.must(err)
		for name, err := range map[string]error{"posted": b.postHeld(hold, 251), "voided": b.void(hold, 251)} {
			if err == nil || !strings.Contains(err.Error(), "left of a hold") {
				b.t.Errorf("251 of 250 %s: got %v", name, err)
			}
		}
		b.must(b.postHeld(hold, 250))
		b.must(b.void(other, 300))
		b.expect(b.wallet, Balances{Posted: 500, Pending: 0, Available: 500})
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

// Twenty at once want a hold's ten parts.
func TestAHoldIsEndedOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 1000))
		hold, err := b.hold(100)
		b.must(err)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _ = b.postHeld(hold, 10) }) // half of them are refused
		}
		wg.Wait()
		b.expect(b.wallet, Balances{Posted: 900, Pending: 0, Available: 900})
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

// Folding changes where a balance is kept, and never what it is: not while money
// moves, nor when several fold at once.
func TestFold(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 1000))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					hold, err := b.hold(10)
					b.check(err)
					b.check(b.postHeld(hold, 6))
					b.check(b.void(hold, 4))
				}
			})
			wg.Go(func() {
				for range 5 {
					b.check(Fold(b.t.Context(), b.DB))
					b.check(Verify(b.t.Context(), b.DB.DB))
				}
			})
		}
		wg.Wait()
		want := Balances{Posted: 120, Available: 120}
		b.expect(b.merchant, want)
		b.must(Fold(b.t.Context(), b.DB))
		b.expect(b.merchant, want)
		var waiting int
		b.must(b.QueryRow(`SELECT count(*) FROM unfolded`).Scan(&waiting))
		if waiting != 0 {
			b.t.Errorf("%d entries are left", waiting)
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
	})
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 1000))
		_, err := b.hold(300)
		b.must(err)
		b.must(b.move(b.wallet, b.merchant, 200))
		for _, damage := range []string{
			`UPDATE accounts SET credits_posted = credits_posted + 7, debits_pending = 0 WHERE kind = 'wallet'`,
			`DELETE FROM unfolded`,
		} {
			_, err := b.Exec(damage)
			b.must(err)
		}
		if err := Verify(b.t.Context(), b.DB.DB); err == nil {
			b.t.Fatal("the damage is not seen")
		}
		corrected, err := Rebuild(b.t.Context(), b.DB)
		b.must(err)
		if corrected != 3 {
			b.t.Errorf("%d balances corrected, want those of the wallet, the merchant and the world outside", corrected)
		}
		b.must(Verify(b.t.Context(), b.DB.DB))
		b.expect(b.wallet, Balances{Posted: 800, Pending: -300, Available: 500})
		b.expect(b.merchant, Balances{Posted: 200, Pending: 300, Available: 200})
		if corrected, err = Rebuild(b.t.Context(), b.DB); err != nil || corrected != 0 {
			b.t.Errorf("a second time: %d, %v", corrected, err)
		}
	})
}

// An overdraft in the transfers cannot be rebuilt away: nothing is changed.
func TestRebuildRefusesAnOverdraft(t *testing.T) {
	t.Parallel()
	forEach(t, func(b *books) {
		b.must(b.move(b.external, b.wallet, 10))
		_, err := b.Exec(`INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, created_at)
			VALUES ('bad', 'direct', $1, $2, 11, 'EUR', 'deposit', 0)`, b.wallet.ID, b.merchant.ID)
		b.must(err)
		if _, err := Rebuild(b.t.Context(), b.DB); err == nil {
			b.t.Error("it was rebuilt")
		}
		b.expect(b.wallet, Balances{Posted: 10, Available: 10})
		b.expect(b.merchant, Balances{})
	})
}
