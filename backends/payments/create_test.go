package payments

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		body := order(12350)
		body["metadata"] = object{"order_id": "7"}
		a := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: body}).expect(201, "")
		v := a.payment()
		d := v.AuthorizationDetails
		if v.Status != RequiresConsent || v.ISO20022Status != "RCVD" || v.Amount.Value != 12350 || v.Creditor.AccountID != p.merchant.ID ||
			v.Creditor.Name != "Corner Shop" || v.EndToEndID != body["end_to_end_id"] || v.Metadata["order_id"] != "7" {
			t.Errorf("got %s", a.Body)
		}
		if d == nil || d.Type != "payment_initiation" || d.PaymentID != v.ID || d.InstructedAmount != (instructedAmount{"EUR", "123.50"}) ||
			d.CreditorName != "Corner Shop" || d.CreditorAccount.ID != p.merchant.ID || d.DebtorAccount != nil {
			t.Errorf("authorization_details: %s", a.Body)
		}
		for name, want := range map[string]string{
			"Location": "/api/payments/" + v.ID, "Cache-Control": "no-store", "ETag": `"1"`, "Content-Type": "application/json",
		} {
			if got := a.Header().Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if !v.ExpiresAt.Equal(v.CreatedAt.Add(consentTime)) || v.CreatedAt.Sub(p.now()).Abs() > time.Second {
			t.Errorf("created %v, expires %v", v.CreatedAt, v.ExpiresAt)
		}
	})
}

func TestCreateIsIdempotent(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		q := request{method: "POST", path: "/api/payments", token: p.shopToken(), key: "order-7", body: order(100)}
		first := p.call(q).expect(201, "")
		if first.Header().Get(idempotency.ReplayedHeader) != "" {
			t.Error("the first answer says that it is a replay")
		}
		q.key, q.token = `"order-7"`, p.shopToken() // the quoted form, and a new token
		again := p.call(q).expect(201, "")
		if again.Body.String() != first.Body.String() || again.Header().Get(idempotency.ReplayedHeader) != "true" ||
			again.Header().Get("Location") != first.Header().Get("Location") || again.Header().Get("ETag") != first.Header().Get("ETag") {
			t.Errorf("got %v %s, first %v %s", again.Header(), again.Body, first.Header(), first.Body)
		}
		q.body = order(101)
		p.call(q).expect(422, "idempotency_key_reused")
		q.key = "-"
		p.call(q).expect(400, "idempotency_key_missing")

		// Another client's keys are its own.
		if _, err := AddMerchant(t.Context(), p.db, "travel", "Travel", "EUR"); err != nil {
			t.Fatal(err)
		}
		q.key, q.token = "order-7", p.clientToken("travel", "payments:create")
		if other := p.call(q).expect(201, "").payment(); other.ID == first.payment().ID {
			t.Error("another client got this client's payment")
		}
		if n := p.count(`SELECT count(*) FROM payments`); n != 2 {
			t.Errorf("%d payments, want 2", n)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		with := func(name string, value any) object {
			body := order(100)
			body[name] = value
			return body
		}
		amount := func(value any, currency any) object {
			return with("amount", object{"value": value, "currency": currency})
		}
		crowd := object{}
		for i := range 21 {
			crowd[fmt.Sprint(i)] = "x"
		}
		for _, c := range []struct {
			body    any
			status  int
			code    string
			pointer string
		}{
			{amount(0, "EUR"), 422, "validation_failed", "/amount/value"},
			{amount(-1, "EUR"), 422, "validation_failed", "/amount/value"},
			{amount(maxAmount+1, "EUR"), 422, "validation_failed", "/amount/value"},
			{amount(100, "eur"), 422, "validation_failed", "/amount/currency"},
			{amount(100, "XAU"), 422, "validation_failed", "/amount/currency"},
			{amount(100, "USD"), 422, "validation_failed", "/amount/currency"}, // the shop has no account in it
			{object{}, 422, "validation_failed", "/amount/value"},
			{with("description", strings.Repeat("é", 141)), 422, "validation_failed", "/description"},
			{with("description", "pay\u202Eecivres"), 422, "validation_failed", "/description"},
			{with("description", "a\x00b"), 422, "validation_failed", "/description"},
			{with("description", "card 4111 1111 1111 1111"), 422, "validation_failed", "/description"},
			{with("end_to_end_id", "4111111111111111"), 422, "validation_failed", "/end_to_end_id"},
			{with("end_to_end_id", strings.Repeat("x", 65)), 422, "validation_failed", "/end_to_end_id"},
			{with("metadata", object{"a/b": "4111-1111-1111-1111"}), 422, "validation_failed", "/metadata/a~1b"},
			{with("metadata", object{"4111111111111111": "x"}), 422, "validation_failed", "/metadata"},
			{with("metadata", object{"": "x"}), 422, "validation_failed", "/metadata"},
			{with("metadata", object{"a": strings.Repeat("x", 501)}), 422, "validation_failed", "/metadata/a"},
			{with("metadata", crowd), 422, "validation_failed", "/metadata"},
			{amount(1.5, "EUR"), 400, "malformed_json", "/amount/value"},
			{amount("100", "EUR"), 400, "malformed_json", "/amount/value"},
			{with("metadata", object{"a": 1}), 400, "malformed_json", ""},
			{with("creditor", "me"), 400, "malformed_json", ""},
			{`{"amount":{"value":1,"currency":"EUR"},"amount":{"value":2,"currency":"EUR"}}`, 400, "malformed_json", ""},
			{`{"amount":{"value":1e2,"currency":"EUR"}}`, 400, "malformed_json", ""},
			{`{} {}`, 400, "malformed_json", ""},
			{`[]`, 400, "malformed_json", ""},
			{``, 400, "malformed_json", ""},
		} {
			a := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: c.body}).expect(c.status, c.code)
			if c.pointer != "" && !strings.Contains(a.Body.String(), `"pointer":"`+c.pointer+`"`) {
				t.Errorf("%v: no pointer to %s in %s", c.body, c.pointer, a.Body)
			}
		}
		if n := p.count(`SELECT count(*) FROM payments`) + p.count(`SELECT count(*) FROM idempotency_keys`); n != 0 {
			t.Errorf("refused requests left %d rows", n)
		}
	})
}

func TestCreateRefusesTokens(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		q := request{method: "POST", path: "/api/payments", body: order(100)}
		p.call(q).expect(401, "missing_credentials")
		q.token = p.clientToken("shop", "payments:read")
		p.call(q).expect(403, "insufficient_scope")
		q.token = p.userToken("ada", "payments:create")
		p.call(q).expect(403, "client_token_required")
	})
}

func TestEndToEndIDIsUniqueByClient(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		q := request{method: "POST", path: "/api/payments", token: p.shopToken(), body: order(100)}
		p.call(q).expect(201, "")
		p.call(q).expect(409, "end_to_end_id_taken")
		// Without one there is nothing to be unique.
		q.body = object{"amount": object{"value": 1, "currency": "EUR"}}
		p.call(q).expect(201, "")
		p.call(q).expect(201, "")
	})
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.SQLite(t))
	p.call(request{method: "DELETE", path: "/api/payments/" + uuid.NewString(), token: p.shopToken()}).expect(405, "method_not_allowed")
	p.call(request{method: "GET", path: "/api/refunds", token: p.shopToken()}).expect(404, "not_found")
}
