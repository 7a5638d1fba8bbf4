package payments

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Nobody opens more accounts than one can have by opening them at once.
func TestManyAccountsAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		var callers sync.WaitGroup
		for i := range 3 * maxWallets {
			callers.Go(func() {
				p.call(request{method: "POST", path: "/api/accounts", token: p.userToken("eve", "accounts:write"),
					body: object{"name": fmt.Sprintf("Account %d", i), "currency": "EUR"}})
			})
		}
		callers.Wait()
		if n := p.count(`SELECT count(*) FROM accounts WHERE owner = 'eve'`); n != maxWallets {
			t.Errorf("eve has %d accounts, and may have %d", n, maxWallets)
		}
	})
}

// All that is overdue expires in one round, however much it is, and one payment that
// cannot be expired keeps none of the others.
func TestExpiringManyAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		stuck := p.create(100)
		for range expireBatch + 20 {
			p.create(100)
		}
		// It is said to have been authorised, and there is no hold to let go.
		if _, err := p.db.Exec(`UPDATE payments SET authorised = 1, expires_at = expires_at - 1 WHERE id = $1`, stuck.ID); err != nil {
			t.Fatal(err)
		}
		p.advance(consentTime + time.Minute)
		if err := p.server.expire(t.Context()); err == nil {
			t.Error("nobody is told of the payment that cannot be expired")
		}
		if n := p.count(`SELECT count(*) FROM payments WHERE status = 'requires_consent'`); n != 1 {
			t.Errorf("%d payments did not expire", n)
		}
	})
}

// Who would have to wait for too long in the database is told to come again, and not
// that something is broken here.
func TestWaitingTooLongForALock(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.Postgres(t)+"&lock_timeout=100ms")
	v := p.create(100)
	tx, err := p.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forUpdate(t.Context(), tx, p.db.Dialect, v.ID); err != nil {
		t.Fatal(err)
	}
	q := p.confirmation(v)
	if a := p.call(q).expect(503, "busy"); a.Header().Get("Retry-After") != "1" {
		t.Errorf("header %v", a.Header())
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	p.call(q).expect(200, "")
}
