package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

// closing is the users service's call that closes a user's accounts.
func (p *platform) closing(user string) (open OpenMoney) {
	p.t.Helper()
	p.call(request{method: "POST", path: "/internal/users/" + user + "/close", token: p.usersToken()}).expect(200, "").decode(&open)
	return open
}

// emptied has ada pay all that she has, and closes her accounts.
func (p *platform) emptied() paymentView {
	p.t.Helper()
	v := p.create(100_000)
	p.call(p.confirmation(v)).expect(200, "")
	if open := p.closing("ada"); open != (OpenMoney{}) {
		p.t.Fatalf("not closed: %+v", open)
	}
	return v
}

func TestMoneyKeepsAccountsOpen(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		if _, err := OpenAccount(t.Context(), p.db, "ada", "Empty", "USD", 0); err != nil {
			t.Fatal(err)
		}
		if open := p.closing("ada"); open != (OpenMoney{Open: true, Balance: true}) {
			t.Errorf("with money: %+v", open)
		}
		if n := p.count(`SELECT count(*) FROM accounts WHERE closed_at IS NOT NULL`); n != 0 {
			t.Errorf("%d of two accounts were closed, with money in the other", n)
		}
		v := p.create(100_000)
		p.call(p.later(v)).expect(202, "")
		if open := p.closing("ada"); open != (OpenMoney{Open: true, Balance: true, Payments: true}) {
			t.Errorf("with a payment under way: %+v", open)
		}
		p.work(p.server)
		for range 2 { // it can be repeated
			if open := p.closing("ada"); open != (OpenMoney{}) {
				t.Errorf("without money: %+v", open)
			}
		}
		if open := p.closing("nobody"); open != (OpenMoney{}) {
			t.Errorf("without accounts: %+v", open)
		}
		p.booksAreRight()
	})
}

func TestRefundToAClosedAccount(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.emptied()
		q := p.do(v.ID, "refunds", cents(400))
		var refused, again movedView
		p.call(q).expect(201, "").decode(&refused)
		if refused.Status != "rejected" || refused.ReasonCode != "account_closed" || refused.ISO20022 != "AC04" ||
			refused.Amount.Value != 400 || refused.PaymentStatus != Succeeded {
			t.Errorf("got %+v", refused)
		}
		if p.call(q).expect(201, "").decode(&again); again != refused {
			t.Errorf("the replay is %+v", again)
		}
		if v = p.read(v.ID); v.Refunded.Value != 0 || v.Status != Succeeded || p.available(p.merchant) != 100_000 || p.available(p.wallet) != 0 {
			t.Errorf("something has moved: %+v, the merchant has %d, the wallet %d", v, p.available(p.merchant), p.available(p.wallet))
		}
		var list rest.List[movedView]
		p.call(request{method: "GET", path: "/api/payments/" + v.ID + "/refunds", token: p.doingToken()}).expect(200, "").decode(&list)
		refused.PaymentStatus = ""
		if len(list.Data) != 1 || list.Data[0] != refused {
			t.Errorf("listed %+v", list.Data)
		}
		var payload []byte
		if err := p.db.QueryRow(`SELECT payload FROM events WHERE type = 'payment.refund_rejected'`).Scan(&payload); err != nil {
			t.Fatal(err)
		}
		var told struct {
			Data struct {
				ID     string
				Refund movedView
			}
		}
		if err := json.Unmarshal(payload, &told); err != nil || told.Data.ID != v.ID || told.Data.Refund.ID != refused.ID || told.Data.Refund.ISO20022 != "AC04" {
			t.Errorf("told %s, %v", payload, err)
		}
		p.booksAreRight()
	})
}

// A user who never had an account is closed like the others: nobody opens one afterwards.
func TestWhoNeverHadAnAccountIsClosedToo(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		for range 2 {
			if open := p.closing("ghost"); open != (OpenMoney{}) {
				t.Fatalf("%+v", open)
			}
		}
		if _, err := OpenAccount(t.Context(), p.db, "ghost", "Everyday", "EUR", 100); !errors.Is(err, ledger.ErrClosed) {
			t.Errorf("an operator opens one: %v", err)
		}
		p.call(request{method: "POST", path: "/api/accounts", token: p.userToken("ghost", "accounts:write"),
			body: object{"name": "Everyday", "currency": "EUR"}}).expect(409, "accounts_closed")
		// Who could not be closed is not, and a client of that name is another matter.
		if open := p.closing("ada"); !open.Open {
			t.Errorf("%+v", open)
		}
		if _, err := OpenAccount(t.Context(), p.db, "ada", "Second", "EUR", 0); err != nil {
			t.Error(err)
		}
		if _, err := AddMerchant(t.Context(), p.db, "ghost", "Ghost", "EUR"); err != nil {
			t.Error(err)
		}
		p.booksAreRight()
	})
}

// Refunds from before the closing and those that were rejected after it are one list.
func TestRefundsOfBothKindsArePaged(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100_000)
		p.call(p.confirmation(v)).expect(200, "")
		for range 2 {
			p.call(p.do(v.ID, "refunds", cents(1))).expect(201, "")
		}
		p.call(p.confirmation(p.create(2))).expect(200, "")
		p.closing("ada")
		for range 2 {
			p.call(p.do(v.ID, "refunds", object{})).expect(201, "")
		}
		var statuses []string
		for query := "limit=1"; query != ""; {
			var list rest.List[movedView]
			p.call(request{method: "GET", path: "/api/payments/" + v.ID + "/refunds?" + query, token: p.doingToken()}).expect(200, "").decode(&list)
			for _, v := range list.Data {
				statuses = append(statuses, fmt.Sprint(v.Status, " ", v.Amount.Value))
			}
			if query = ""; list.NextCursor != "" {
				query = "limit=1&cursor=" + list.NextCursor
			}
		}
		if got, want := fmt.Sprint(statuses), "[succeeded 1 succeeded 1 rejected 99998 rejected 99998]"; got != want {
			t.Errorf("got %s", got)
		}
		p.booksAreRight()
	})
}

// Whatever way a payment goes, a closed account pays nothing.
func TestPaymentFromAClosedAccount(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		ways := map[string]func() paymentView{
			"at once": func() paymentView { return p.call(p.confirmation(p.create(100))).expect(200, "").payment() },
			"by a worker": func() paymentView {
				v := p.create(100)
				p.call(p.later(v)).expect(202, "")
				p.work(p.server)
				return p.read(v.ID)
			},
			"held": func() paymentView {
				body := order(100)
				body["capture_method"] = "manual"
				v := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: body}).expect(201, "").payment()
				return p.call(p.confirmation(v)).expect(200, "").payment()
			},
			"in review": func() paymentView {
				p.setRule("payment_amount", object{"EUR": object{"review": 1}})
				defer p.setRule("payment_amount", object{})
				return p.call(p.confirmation(p.create(100))).expect(200, "").payment()
			},
		}
		p.emptied()
		for name, way := range ways {
			if v := way(); v.Status != Rejected || v.ReasonCode != "account_closed" || v.ISO20022Reason != "AC04" || v.ISO20022Status != "RJCT" {
				t.Errorf("%s: %+v", name, v)
			}
		}
		open := request{method: "POST", path: "/api/accounts", token: p.userToken("ada", "accounts:write"), body: object{"name": "New", "currency": "EUR"}}
		p.call(open).expect(409, "accounts_closed")
		for _, name := range []string{"Everyday", "Another"} {
			if _, err := OpenAccount(t.Context(), p.db, "ada", name, "EUR", 5); !errors.Is(err, ledger.ErrClosed) {
				t.Errorf("an operator opens %s: %v", name, err)
			}
		}
		var payable struct{ Data []any }
		p.call(request{method: "GET", path: "/internal/accounts?owner=ada", token: p.internalToken()}).expect(200, "").decode(&payable)
		if len(payable.Data) != 0 {
			t.Errorf("the consent page offers %v", payable.Data)
		}
		if _, err := p.db.Exec(`UPDATE accounts SET credits_posted = credits_posted + 1 WHERE closed_at IS NOT NULL`); !database.IsCheck(err) {
			t.Errorf("the schema lets money into a closed account: %v", err)
		}
		p.booksAreRight()
	})
}

// Of a refund and a closing at once one comes first: either the money is back and the
// accounts stay open, or they are closed and the merchant keeps it.
func TestARefundBesideAClosing(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		came := map[string]int{}
		for i := range 20 {
			wallet := p.walletOf(fmt.Sprint("user-", i), 100)
			v := p.create(100)
			p.call(p.confirmationFrom(wallet, v)).expect(200, "")
			var refunded movedView
			var open OpenMoney
			var both sync.WaitGroup
			both.Go(func() { p.call(p.do(v.ID, "refunds", object{})).expect(201, "").decode(&refunded) })
			both.Go(func() { open = p.closing(wallet.Owner) })
			both.Wait()
			if open.Open == (refunded.Status == "rejected") {
				t.Errorf("open %+v, and the refund %+v", open, refunded)
			}
			came[refunded.Status]++
		}
		t.Log(came)
		p.booksAreRight()
	})
}

// Each order on its own, with the second under way before the first has committed.
func TestARefundAndAClosingInEachOrder(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100_000)
		p.call(p.confirmation(v)).expect(200, "")
		var open OpenMoney
		p.during(func(tx *sql.Tx) error { // a refund of one cent, not committed yet
			paid, err := forUpdate(t.Context(), tx, p.db.Dialect, v.ID)
			if err != nil {
				return err
			}
			did, err := refund(t.Context(), tx, &paid, 1, p.now())
			if err != nil {
				return err
			}
			return p.server.save(t.Context(), tx, &paid, did, p.now())
		}, func() { open = p.closing("ada") })
		if open != (OpenMoney{Open: true, Balance: true}) {
			t.Errorf("closed beside a refund: %+v", open)
		}
		p.call(p.confirmation(p.create(1))).expect(200, "")
		var refused movedView
		p.during(func(tx *sql.Tx) error {
			done, err := ledger.Close(t.Context(), tx, "ada", p.now())
			if err == nil && !done {
				err = errMoneyOpen
			}
			return err
		}, func() { p.call(p.do(v.ID, "refunds", object{})).expect(201, "").decode(&refused) })
		if refused.Status != "rejected" {
			t.Errorf("refunded beside a closing: %+v", refused)
		}
		p.booksAreRight()
	})
}

// during has a second thing begin while the first has been done and not committed. The
// first commits when the second waits for it, or, on SQLite, for its turn.
func (p *platform) during(first func(*sql.Tx) error, second func()) {
	p.t.Helper()
	var running sync.WaitGroup
	err := p.db.InTx(p.t.Context(), func(tx *sql.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		running.Go(second)
		return p.someoneWaits(p.t.Context())
	})
	if err != nil {
		p.t.Error(err)
	}
	running.Wait()
}

func (p *platform) someoneWaits(ctx context.Context) error {
	if p.db.Dialect != database.Postgres {
		return nil // all wait for the one writer
	}
	for until := time.Now().Add(20 * time.Second); ; {
		var waiting bool
		err := p.db.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		if err != nil || waiting {
			return err
		}
		if time.Now().After(until) {
			return errors.New("nobody waits")
		}
		time.Sleep(time.Millisecond)
	}
}
