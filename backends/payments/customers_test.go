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
