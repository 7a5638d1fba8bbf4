package payments

import (
	"fmt"
	"sync"
	"testing"
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
