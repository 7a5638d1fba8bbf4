package payments

import (
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/cardnumber"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
)

// FuzzText holds what is let pass to what the checks promise.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"Order 7", "4111 1111 1111 1111", "a\x00", "\u202e", strings.Repeat("x", 141), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var wrong faults
		wrong.text("/description", text, maxDescription)
		if len(wrong.Faults) > 1 {
			t.Errorf("%q: %v", text, wrong.Faults)
		}
		if len(wrong.Faults) == 0 && (len([]rune(text)) > maxDescription || strings.ContainsRune(text, 0) || cardnumber.In(text)) {
			t.Errorf("%q was let pass", text)
		}
	})
}

// No card number comes in by any text that is kept, whoever writes it.
func TestNoTextTakesACardNumber(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		const card = "order 4111-1111 1111 1111"
		amount := object{"value": 1, "currency": "EUR"}
		p.setRule("payment_amount", object{"EUR": object{"review": 1}})
		reviewed := p.create(2)
		p.call(p.confirmation(reviewed)).expect(202, "")
		before := databasetest.Digest(t, p.db, fuzzTables...)
		for name, q := range map[string]request{
			"description":   {method: "POST", path: "/api/payments", token: p.shopToken(), body: object{"amount": amount, "description": card}},
			"end_to_end_id": {method: "POST", path: "/api/payments", token: p.shopToken(), body: object{"amount": amount, "end_to_end_id": card}},
			"metadata":      {method: "POST", path: "/api/payments", token: p.shopToken(), body: object{"amount": amount, "metadata": object{"a": card}}},
			"its names":     {method: "POST", path: "/api/payments", token: p.shopToken(), body: object{"amount": amount, "metadata": object{card: "a"}}},
			"account":       {method: "POST", path: "/api/accounts", token: p.userToken("ada", "accounts:write"), body: object{"name": card, "currency": "EUR"}},
			"list's value":  p.office("POST", "lists", object{"list": "deny", "subject": "user", "value": card}),
			"list's note":   p.office("POST", "lists", object{"list": "deny", "subject": "user", "value": "ada", "note": card}),
			"approval":      p.office("POST", "reviews/"+reviewed.ID+"/approve", object{"note": card}),
			"rejection":     p.office("POST", "reviews/"+reviewed.ID+"/reject", object{"note": card}),
		} {
			if a := p.call(q).expect(422, "validation_failed"); strings.Contains(a.Body.String(), "4111") {
				t.Errorf("%s: it is repeated: %s", name, a.Body)
			}
		}
		key := request{method: "POST", path: "/api/payments", token: p.shopToken(), key: "order-4111111111111111", body: object{"amount": amount}}
		if a := p.call(key).expect(400, "idempotency_key_malformed"); strings.Contains(a.Body.String(), "4111") {
			t.Errorf("the key is repeated: %s", a.Body)
		}
		for _, err := range []error{
			func() error { _, err := OpenAccount(t.Context(), p.db, "ada", card, "EUR", 0); return err }(),
			func() error { _, err := AddMerchant(t.Context(), p.db, "books", card, "EUR"); return err }(),
		} {
			if err == nil || strings.Contains(err.Error(), "4111") {
				t.Errorf("an operator's name: %v", err)
			}
		}
		if after := databasetest.Digest(t, p.db, fuzzTables...); after != before {
			t.Error("something was kept")
		}
	})
}
