package payments

import (
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
)

// fuzzTables are those that a refused request must leave as they are. A decision
// that asks for step-up is kept although the request is refused.
var fuzzTables = []string{"accounts", "payments", "transfers", "unfolded", "consents", "jobs", "events", "webhook_deliveries",
	"idempotency_keys", "rejected_refunds", "closed_owners", "risk_rules", "risk_lists", "risk_changes"}

// Every operation, with an object in every state, and a token for every scope.
func FuzzHandlers(f *testing.F) {
	p := newPlatform(f, fresh.SQLite(f))
	waiting, held, paid := p.create(100), p.held(1000), p.create(100)
	p.call(p.confirmation(paid)).expect(200, "")
	p.setRule("payment_amount", object{"EUR": object{"review": 5000}})
	reviewed := p.create(5001)
	p.call(p.confirmation(reviewed)).expect(202, "")
	var entry entryOfListView
	p.call(p.office("POST", "lists", object{"list": "allow", "subject": "user", "value": "eve"})).expect(201, "").decode(&entry)
	user := p.userToken("ada", "payments:confirm accounts:read accounts:write", p.consent(waiting))
	described(f).Fuzz(f, openapitest.Target{
		Handler: p.server,
		Values: map[string][]string{
			"payments/{id}": {waiting.ID, held.ID, paid.ID, reviewed.ID}, "reviews/{id}": {reviewed.ID}, "lists/{id}": {entry.ID},
			"accounts/{id}": {p.wallet.ID, p.merchant.ID}, "rules/{rule}": {"payment_amount"},
		},
		Tokens: map[string]string{
			"payments:create": p.doingToken(), "payments:read": p.doingToken(), "payments:capture": p.doingToken(), "payments:refund": p.doingToken(),
			"payments:confirm": user, "accounts:read": user, "accounts:write": user, "risk:read": p.officer(), "risk:write": p.officer(),
		},
		Digest: func(t testing.TB) string { return databasetest.Digest(t, p.db, fuzzTables...) },
	})
}
