package payments

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
)

// Twenty users pay one shop at once: as many pass as a rule on the client or the payee
// lets pass, whoever of them comes first.
func TestVelocityOfACrowdAtOnce(t *testing.T) {
	t.Parallel()
	for rule, thresholds := range map[string]object{
		"client_count_1h":   {"count": object{"deny": 5}},
		"payee_count_24h":   {"count": object{"deny": 5}},
		"client_amount_24h": {"EUR": object{"deny": 5}},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(p *platform) {
				p.setRule(rule, thresholds)
				var confirmations [20]request
				for i := range confirmations {
					confirmations[i] = p.confirmationFrom(p.walletOf(fmt.Sprint("user-", i), 100), p.create(1))
				}
				p.atOnce(len(confirmations), func(i int) request { return confirmations[i] })
				if n := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`); n != 5 {
					t.Errorf("%d passed", n)
				}
				p.booksAreRight()
			})
		})
	}
}

// decideAs judges a payment of one cent by some user in a transaction, and notes it as a
// confirmation does.
func (p *platform) decideAs(tx *sql.Tx, dialect database.Dialect, user string) (risk.Outcome, error) {
	v := p.create(1)
	d, err := risk.Decide(p.t.Context(), tx, dialect, risk.Payment{
		ID: v.ID, Client: "shop", User: user, Payee: p.merchant.ID, Amount: v.Amount,
	}, p.now())
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(`INSERT INTO consents (payment_id, token_id, client_id, user_id, debtor_account, creditor_account, amount, currency, used_at)
		VALUES ($1, $2, 'shop', $3, $4, $5, 1, 'EUR', $6)`, v.ID, uuid.NewString(), user, p.wallet.ID, p.merchant.ID, p.now().UnixMicro())
	return d.Outcome, err
}

// Two users at once where one more may pass. Without the order both do: that is what the
// order is for, and how the test above could fail.
func TestBothWouldBeTheLast(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.Postgres(t))
	p.setRule("client_count_1h", object{"count": object{"deny": 1}})
	errEnough := errors.New("rolled back")
	err := p.db.InTx(t.Context(), func(one *sql.Tx) error {
		return p.db.InTx(t.Context(), func(two *sql.Tx) error {
			for user, tx := range map[string]*sql.Tx{"first": one, "second": two} {
				// As if the database had one writer, which PostgreSQL has not.
				if outcome, err := p.decideAs(tx, database.SQLite, user); err != nil || outcome != risk.Allow {
					t.Errorf("without the order the %s: %s, %v", user, outcome, err)
				}
			}
			return errEnough
		})
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	var first, second risk.Outcome
	p.during(func(tx *sql.Tx) (err error) {
		first, err = p.decideAs(tx, p.db.Dialect, "first")
		return err
	}, func() {
		err := p.db.InTx(t.Context(), func(tx *sql.Tx) (err error) {
			second, err = p.decideAs(tx, p.db.Dialect, "second")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	if first != risk.Allow || second != risk.Deny {
		t.Errorf("in order: %s and %s", first, second)
	}
}

// Far from a threshold a shop's payments do not wait for each other; near it they do.
func TestCrowdsWaitNearAThresholdOnly(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.Postgres(t))
	beside := func() (waited bool) {
		t.Helper()
		second := p.confirmationFrom(p.walletOf(uuid.NewString(), 100), p.create(1))
		done := make(chan struct{})
		err := p.db.InTx(t.Context(), func(tx *sql.Tx) error {
			if _, err := p.decideAs(tx, p.db.Dialect, "first"); err != nil {
				return err
			}
			go func() { defer close(done); p.call(second).expect(200, "") }()
			for {
				select {
				case <-done:
					return nil
				case <-time.After(time.Millisecond):
				}
				if err := p.db.QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
						AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waited); err != nil || waited {
					return err
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		<-done
		return waited
	}
	for _, c := range []struct {
		rule       string
		thresholds object
		waits      bool
	}{
		{"client_count_1h", object{}, false},
		{"client_count_1h", object{"count": object{"review": 5000, "deny": 1_000_000}}, false},
		{"payee_count_24h", object{"count": object{"deny": 1_000_000}}, false},
		{"payee_count_24h", object{"count": object{"review": 50, "deny": 1_000_000}}, true},
		{"payee_count_24h", object{}, false},
		{"client_count_1h", object{"count": object{"deny": 50}}, true},
		{"client_count_1h", object{}, false},
		{"client_amount_24h", object{"EUR": object{"deny": 1_000_000}}, true},
	} {
		p.setRule(c.rule, c.thresholds)
		if waited := beside(); waited != c.waits {
			t.Errorf("%s %v: waited is %v", c.rule, c.thresholds, waited)
		}
	}
	p.booksAreRight()
}
