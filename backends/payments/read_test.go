package payments

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func TestReadPayment(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		q := request{method: "GET", path: "/api/payments/" + v.ID, token: p.shopToken()}
		a := p.call(q).expect(200, "")
		if got := a.payment(); got.ID != v.ID || *got.AuthorizationDetails != *v.AuthorizationDetails {
			t.Errorf("got %s", a.Body)
		}
		if a.Header().Get("ETag") != `"1"` || a.Header().Get("Cache-Control") != "private, no-cache" {
			t.Errorf("header %v", a.Header())
		}
		q.header = map[string]string{"If-None-Match": `"1"`}
		if again := p.call(q); again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("got %d %s", again.Code, again.Body)
		}
		p.call(p.confirmation(v)).expect(200, "")
		p.call(q).expect(200, "")
	})
}

func TestWhoSeesAPayment(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		read := "payments:read"
		see := func(token string) int {
			return p.call(request{method: "GET", path: "/api/payments/" + v.ID, token: token}).Code
		}
		listed := func(token string) int {
			var list rest.List[paymentView]
			p.call(request{method: "GET", path: "/api/payments", token: token}).expect(200, "").decode(&list)
			return len(list.Data)
		}
		if see(p.userToken("ada", read)) != 404 || listed(p.userToken("ada", read)) != 0 {
			t.Error("a user sees a payment that is nobody's yet")
		}
		p.call(p.confirmation(v)).expect(200, "")
		atTravel := p.issuer.Token(tokentest.Claim("sub", "ada"), tokentest.Claim("client_id", "travel"), tokentest.Claim("scope", read))
		for name, c := range map[string]struct {
			token string
			want  int
		}{
			"the shop":                     {p.shopToken(), 200},
			"its payer, by the shop":       {p.userToken("ada", read), 200},
			"its payer, by another client": {atTravel, 404},
			"another user":                 {p.userToken("eve", read), 404},
			"another client":               {p.clientToken("travel", read), 404},
		} {
			if got := see(c.token); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
			if got := listed(c.token); got != map[int]int{200: 1, 404: 0}[c.want] {
				t.Errorf("%s: the list has %d", name, got)
			}
		}
		p.call(request{method: "GET", path: "/api/payments/nonsense", token: p.shopToken()}).expect(404, "not_found")
	})
}

// An id that is not ours is not found, whatever it would mean to the database.
func TestStrangeIDsAreNotFound(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		internal := p.internalToken()
		user := p.userToken("ada", "payments:confirm accounts:read")
		for _, id := range []string{"x", "%00", "a%00b", "%ff", "%F0%28%8C%28", "'", strings.Repeat("0", 5000)} {
			for _, q := range []request{
				{method: "GET", path: "/api/payments/" + id, token: p.shopToken()},
				{method: "POST", path: "/api/payments/" + id + "/confirm", token: user},
				{method: "POST", path: "/api/payments/" + id + "/captures", token: p.doingToken(), body: object{}},
				{method: "GET", path: "/api/payments/" + id + "/captures", token: p.doingToken()},
				{method: "POST", path: "/api/payments/" + id + "/cancel", token: p.doingToken()},
				{method: "POST", path: "/api/payments/" + id + "/refunds", token: p.doingToken(), body: object{}},
				{method: "GET", path: "/api/payments/" + id + "/refunds", token: p.doingToken()},
				p.office("GET", "rules/"+id, nil),
				p.office("PUT", "rules/"+id, object{"enabled": true, "thresholds": object{}}, "If-Match", "*"),
				p.office("DELETE", "lists/"+id, nil),
				p.office("POST", "reviews/"+id+"/approve", object{}),
				p.office("POST", "reviews/"+id+"/reject", object{}),
				{method: "GET", path: "/api/accounts/" + id, token: user},
				{method: "GET", path: "/api/accounts/" + id + "/entries", token: user},
				{method: "GET", path: "/internal/payments/" + id, token: internal},
			} {
				p.call(q).expect(404, "not_found")
			}
		}
		p.call(request{method: "GET", path: "/internal/accounts?owner=a%00b", token: internal}).expect(400, "invalid_parameter")
	})
}

func TestListPayments(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		var want []string // newest first
		for range 7 {
			want = append([]string{p.create(100).ID}, want...)
		}
		var got []string
		query := url.Values{"limit": {"3"}}
		for {
			var list rest.List[paymentView]
			p.call(request{method: "GET", path: "/api/payments?" + query.Encode(), token: p.shopToken()}).expect(200, "").decode(&list)
			for _, v := range list.Data {
				got = append(got, v.ID)
			}
			if list.NextCursor == "" {
				break
			}
			query.Set("cursor", list.NextCursor)
			p.create(1) // newer ones do not shift the pages
		}
		if len(got) != len(want) {
			t.Fatalf("got %d, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%d: got %s, want %s", i, got[i], want[i])
			}
		}

		paid := p.create(5)
		p.call(p.confirmation(paid)).expect(200, "")
		var list rest.List[paymentView]
		p.call(request{method: "GET", path: "/api/payments?status=succeeded", token: p.shopToken()}).expect(200, "").decode(&list)
		if len(list.Data) != 1 || list.Data[0].ID != paid.ID {
			t.Errorf("got %+v", list)
		}
		for _, query := range []string{"limit=-1", "cursor=x", "status=paid"} {
			p.call(request{method: "GET", path: "/api/payments?" + query, token: p.shopToken()}).expect(400, "invalid_parameter")
		}
	})
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		token := p.userToken("ada", "accounts:read accounts:write")
		q := request{method: "POST", path: "/api/accounts", token: token, key: "k", body: object{"name": "Holidays", "currency": "JPY"}}
		a := p.call(q).expect(201, "")
		var opened accountView
		a.decode(&opened)
		if opened.Kind != "wallet" || opened.Name != "Holidays" || opened.Balances.Available.Currency != "JPY" ||
			a.Header().Get("Location") != "/api/accounts/"+opened.ID {
			t.Errorf("got %v %s", a.Header(), a.Body)
		}
		if again := p.call(q).expect(201, ""); again.Body.String() != a.Body.String() {
			t.Errorf("the replay differs: %s", again.Body)
		}
		q.key = "-"
		p.call(q).expect(400, "idempotency_key_missing")
		q.key = ""
		p.call(q).expect(409, "account_name_taken")
		q.body = object{"name": " ", "currency": "XXX"}
		p.call(q).expect(422, "validation_failed")
		q.token = p.clientToken("shop", "accounts:write")
		p.call(q).expect(403, "user_token_required")

		var list rest.List[accountView]
		p.call(request{method: "GET", path: "/api/accounts", token: token}).expect(200, "").decode(&list)
		if len(list.Data) != 2 || list.Data[0].ID != p.wallet.ID || list.Data[0].Balances.Posted.Value != 100_000 {
			t.Errorf("got %+v", list)
		}
		path := "/api/accounts/" + p.wallet.ID
		tag := p.call(request{method: "GET", path: path, token: token}).expect(200, "").Header().Get("ETag")
		fresh := request{method: "GET", path: path, token: token, header: map[string]string{"If-None-Match": tag}}
		if a := p.call(fresh); a.Code != 304 {
			t.Errorf("got %d", a.Code)
		}
		p.call(p.confirmation(p.create(100))).expect(200, "")
		p.call(fresh).expect(200, "")
		for _, stranger := range []string{p.userToken("eve", "accounts:read"), p.clientToken("shop", "accounts:read")} {
			p.call(request{method: "GET", path: path, token: stranger}).expect(404, "not_found")
			p.call(request{method: "GET", path: path + "/entries", token: stranger}).expect(404, "not_found")
		}
	})
}

func TestAUserCannotOpenAccountsWithoutEnd(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.SQLite(t))
	open := func() answer {
		return p.call(request{method: "POST", path: "/api/accounts", token: p.userToken("ben", "accounts:write"),
			body: object{"name": uuid.NewString(), "currency": "EUR"}})
	}
	for range maxWallets {
		open().expect(201, "")
	}
	open().expect(409, "too_many_accounts")
}

func TestEntries(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		var paid []string // newest first
		for range 3 {
			v := p.create(100)
			p.call(p.confirmation(v)).expect(200, "")
			paid = append([]string{v.ID}, paid...)
		}
		token := p.userToken("ada", "accounts:read")
		var entries []entryView
		query := url.Values{"limit": {"2"}}
		for {
			var list rest.List[entryView]
			p.call(request{method: "GET", path: "/api/accounts/" + p.wallet.ID + "/entries?" + query.Encode(), token: token}).expect(200, "").decode(&list)
			entries = append(entries, list.Data...)
			if list.NextCursor == "" {
				break
			}
			query.Set("cursor", list.NextCursor)
		}
		if len(entries) != 4 {
			t.Fatalf("%d entries", len(entries))
		}
		for i, id := range paid {
			if e := entries[i]; e.PaymentID != id || e.Direction != "debit" || e.Amount.Value != 100 || e.Purpose != "payment" {
				t.Errorf("%d: got %+v", i, e)
			}
		}
		if e := entries[3]; e.Direction != "credit" || e.Amount.Value != 100_000 || e.Purpose != "deposit" || e.PaymentID != "" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestInternal(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(12350)
		internal := p.internalToken()
		payment := request{method: "GET", path: "/internal/payments/" + v.ID, token: internal}
		var got consentRequest
		p.call(payment).expect(200, "").decode(&got)
		if got.ID != v.ID || got.ClientID != "shop" || got.Status != RequiresConsent || got.Amount != v.Amount ||
			got.Creditor != v.Creditor || got.Description != "Order 7" || *got.AuthorizationDetails != *v.AuthorizationDetails {
			t.Errorf("got %+v", got)
		}
		p.advance(consentTime)
		p.call(payment).expect(200, "").decode(&got)
		if got.Status != Expired {
			t.Errorf("overdue: %s", got.Status)
		}
		payment.path = "/internal/payments/" + uuid.NewString()
		p.call(payment).expect(404, "not_found")

		if _, err := OpenAccount(t.Context(), p.db, "ada", "Dollars", "USD", 5); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{"owner=ada&currency=EUR": 1, "owner=ada": 2, "owner=ada&currency=JPY": 0, "owner=shop": 0} {
			var list rest.List[payable]
			p.call(request{method: "GET", path: "/internal/accounts?" + query, token: internal}).expect(200, "").decode(&list)
			if list.Data == nil || len(list.Data) != want {
				t.Errorf("%s: %+v", query, list)
			}
			if want == 1 && (list.Data[0].ID != p.wallet.ID || list.Data[0].Name != "Everyday" || list.Data[0].Available.Value != 100_000) {
				t.Errorf("%s: %+v", query, list)
			}
		}
		p.call(request{method: "GET", path: "/internal/accounts", token: internal}).expect(400, "invalid_parameter")

		// No token of the public API opens what is internal, whatever its scope.
		payment.token = p.clientToken("shop", "internal:payments")
		p.call(payment).expect(401, "invalid_token")
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.SQLite(t))
	p.call(p.confirmation(p.create(100))).expect(200, "")
	body := p.call(request{method: "GET", path: "/metrics"}).expect(200, "").Body.String()
	for _, line := range []string{`tollgate_payments_total{reason="",status="succeeded"} 1`, `tollgate_webhook_queue_depth 0`,
		`tollgate_payments_queue_depth 0`, `tollgate_payments_queue_age_seconds 0`} {
		if !strings.Contains(body, line) {
			t.Errorf("no line %s in\n%s", line, body)
		}
	}
}
