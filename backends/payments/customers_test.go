package payments

import (
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// usersToken is one as the users service has it.
func (p *platform) usersToken() string {
	return p.issuer.Token(tokentest.Claim("aud", tokencheck.InternalAudience), tokentest.Claim("sub", "users-service"),
		tokentest.Claim("client_id", "users-service"), tokentest.Claim("scope", customersScope))
}

func TestMoneyOpen(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		open := func(user string) (v struct{ Open bool }) {
			t.Helper()
			p.call(request{method: "GET", path: "/internal/users/" + user + "/money", token: p.usersToken()}).expect(200, "").decode(&v)
			return v
		}
		if !open("ada").Open {
			t.Error("ada has money here")
		}
		if open("bob").Open {
			t.Error("nobody knows bob")
		}
		if _, err := OpenAccount(t.Context(), p.db, "bob", "Empty", "EUR", 0); err != nil {
			t.Fatal(err)
		}
		if open("bob").Open {
			t.Error("bob's account is empty")
		}
		// All of it is paid: nothing is open any more.
		p.call(p.confirmation(p.create(100_000))).expect(200, "")
		if open("ada").Open {
			t.Error("ada's money has gone")
		}
		for name, token := range map[string]string{"the authorization server": p.internalToken(), "a user": p.userToken("ada", customersScope)} {
			if got := p.call(request{method: "GET", path: "/internal/users/ada/money", token: token}); got.Code != 403 && got.Code != 401 {
				t.Errorf("%s: %d", name, got.Code)
			}
		}
		p.call(request{method: "GET", path: "/internal/users/a%00b/money", token: p.usersToken()}).expect(404, "not_found")
	})
}

// All of ada's money is in one payment at a time: it is open for as long as that
// waits for a worker, an officer or its client, and no longer.
func TestMoneyIsOpenWhileAPaymentIs(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		const all = 100_000
		expect := func(open bool, when string) {
			t.Helper()
			var v struct{ Open bool }
			p.call(request{method: "GET", path: "/internal/users/ada/money", token: p.usersToken()}).expect(200, "").decode(&v)
			if v.Open != open {
				t.Errorf("%s: open is %v", when, v.Open)
			}
		}
		capture := func(id string, body any) { t.Helper(); p.call(p.do(id, "captures", body)).expect(201, "") }

		p.setRule("payment_amount", object{"EUR": object{"review": 1}})
		reviewed := p.create(all)
		p.call(p.confirmation(reviewed)).expect(202, "")
		p.setRule("payment_amount", object{})
		expect(true, "in review")
		p.call(p.office("POST", "reviews/"+reviewed.ID+"/approve", object{})).expect(200, "")
		expect(false, "reviewed and paid")
		p.call(p.do(reviewed.ID, "refunds", object{})).expect(201, "")
		expect(true, "refunded")

		held := p.held(all)
		expect(true, "held")
		capture(held.ID, cents(all-1))
		expect(true, "captured partly")
		capture(held.ID, object{})
		expect(false, "captured wholly")

		// A job that will find no money is one all the same.
		poor := p.create(100)
		p.call(p.later(poor)).expect(202, "")
		expect(true, "in the queue")
		p.work(p.server)
		expect(false, "rejected by the worker")
		p.call(p.do(held.ID, "refunds", object{})).expect(201, "")

		canceled := p.held(all)
		p.call(p.do(canceled.ID, "cancel", nil)).expect(200, "")
		expect(true, "canceled: the wallet has it again")
		last := p.create(all)
		p.call(p.later(last)).expect(202, "")
		expect(true, "all of it in the queue")
		p.work(p.server)
		expect(false, "paid by the worker")
		p.booksAreRight()
	})
}

func TestCustomerData(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		for range 3 {
			p.call(p.confirmation(p.create(100))).expect(200, "")
		}
		type page struct {
			Accounts   []accountView
			Payments   []paymentView
			NextCursor string `json:"next_cursor"`
		}
		read := func(query string) (v page) {
			t.Helper()
			p.call(request{method: "GET", path: "/internal/users/ada/data?" + query, token: p.usersToken()}).expect(200, "").decode(&v)
			return v
		}
		first := read("limit=2")
		second := read("limit=2&cursor=" + first.NextCursor)
		if len(first.Accounts) != 1 || len(first.Payments) != 2 || len(second.Accounts) != 0 || len(second.Payments) != 1 || second.NextCursor != "" {
			t.Errorf("%+v %+v", first, second)
		}
	})
}
