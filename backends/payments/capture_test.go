package payments

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

// doingToken is the shop's own token for what it does to its payments.
func (p *platform) doingToken() string {
	return p.clientToken("shop", "payments:create payments:read payments:capture payments:refund")
}

// held makes a payment of so many cents that ada has consented to and the shop has not taken.
func (p *platform) held(cents int64) paymentView {
	p.t.Helper()
	body := order(cents)
	body["capture_method"] = "manual"
	v := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: body}).expect(201, "").payment()
	v = p.call(p.confirmation(v)).expect(200, "").payment()
	if v.Status != RequiresCapture || v.ISO20022Status != "ACFC" || v.Authorised.Value != cents || v.Captured.Value != 0 {
		p.t.Fatalf("confirmed: %+v", v)
	}
	return v
}

// do is a call on one of the shop's payments: captures, refunds or cancel.
func (p *platform) do(id, what string, body any) request {
	return request{method: "POST", path: "/api/payments/" + id + "/" + what, token: p.doingToken(), key: uuid.NewString(), body: body}
}

func (p *platform) read(id string) paymentView {
	p.t.Helper()
	return p.call(request{method: "GET", path: "/api/payments/" + id, token: p.doingToken()}).expect(200, "").payment()
}

func cents(value int64) object {
	return object{"amount": object{"value": value, "currency": "EUR"}}
}

func TestCaptureInParts(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.held(1000)
		if p.available(p.wallet) != 99_000 || p.available(p.merchant) != 0 {
			t.Errorf("held: the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
		}
		q := p.do(v.ID, "captures", cents(400))
		var first, again movedView
		a := p.call(q).expect(201, "")
		a.decode(&first)
		if first.ID == "" || first.PaymentID != v.ID || first.Amount.Value != 400 || first.PaymentStatus != RequiresCapture ||
			a.Header().Get("ETag") != `"3"` {
			t.Errorf("got %v %s", a.Header(), a.Body)
		}
		p.call(q).expect(201, "").decode(&again)
		if again != first || p.available(p.merchant) != 400 {
			t.Errorf("the replay is %+v; the merchant has %d", again, p.available(p.merchant))
		}
		p.booksAreRight()
		for name, body := range map[string]any{
			"more than is left": cents(601), "nothing": cents(0), "less than nothing": cents(-1),
			"another currency": object{"amount": object{"value": 1, "currency": "USD"}},
		} {
			if a := p.call(p.do(v.ID, "captures", body)); a.Code != 422 {
				t.Errorf("%s: got %d %s", name, a.Code, a.Body)
			}
		}
		var last movedView
		p.call(p.do(v.ID, "captures", object{})).expect(201, "").decode(&last)
		if last.Amount.Value != 600 || last.PaymentStatus != Succeeded {
			t.Errorf("got %+v", last)
		}
		p.call(p.do(v.ID, "captures", object{})).expect(409, "payment_not_capturable")
		if v = p.read(v.ID); v.Status != Succeeded || v.Captured.Value != 1000 || v.Authorised.Value != 1000 {
			t.Errorf("got %+v", v)
		}
		var list rest.List[movedView]
		p.call(request{method: "GET", path: "/api/payments/" + v.ID + "/captures", token: p.doingToken()}).expect(200, "").decode(&list)
		if len(list.Data) != 2 || list.Data[0].ID != first.ID || list.Data[1].ID != last.ID {
			t.Errorf("listed %+v", list.Data)
		}
		for kind, want := range map[string]int{"payment.requires_capture": 1, "payment.captured": 1, "payment.succeeded": 1} {
			if n := p.count(`SELECT count(*) FROM events WHERE type = $1`, kind); n != want {
				t.Errorf("%d events %s, want %d", n, kind, want)
			}
		}
		p.booksAreRight()
	})
}

// What a final capture leaves is the payer's again, and so is what is canceled.
func TestWhatIsNotCapturedIsReleased(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		end := func(id string) (wallet int64, v paymentView) { return p.available(p.wallet), p.read(id) }

		final := p.held(1000)
		body := cents(300)
		body["final"] = true
		p.call(p.do(final.ID, "captures", body)).expect(201, "")
		if wallet, v := end(final.ID); v.Status != Succeeded || v.Captured.Value != 300 || v.Authorised.Value != 300 || wallet != 99_700 {
			t.Errorf("final: the wallet has %d, %+v", wallet, v)
		}
		canceled := p.held(1000)
		a := p.call(p.do(canceled.ID, "cancel", nil)).expect(200, "")
		if wallet, v := end(canceled.ID); v.Status != Canceled || a.payment().Status != Canceled || v.ReasonCode != canceledByClient ||
			v.ISO20022Status != "CANC" || v.Authorised.Value != 0 || wallet != 99_700 {
			t.Errorf("canceled: the wallet has %d, %+v", wallet, v)
		}
		partly := p.held(1000)
		p.call(p.do(partly.ID, "captures", cents(1))).expect(201, "")
		p.call(p.do(partly.ID, "cancel", nil)).expect(200, "")
		if wallet, v := end(partly.ID); v.Status != Succeeded || v.Captured.Value != 1 || v.ReasonCode != "" || wallet != 99_699 {
			t.Errorf("canceled in part: the wallet has %d, %+v", wallet, v)
		}
		waiting := p.create(1000)
		p.call(p.do(waiting.ID, "cancel", object{})).expect(200, "")
		p.call(p.confirmation(waiting)).expect(409, "payment_not_confirmable")
		p.call(p.do(waiting.ID, "cancel", nil)).expect(409, "payment_not_cancelable")
		p.booksAreRight()
	})
}

func TestHoldsExpire(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		untouched, partly := p.held(1000), p.held(1000)
		p.call(p.do(partly.ID, "captures", cents(10))).expect(201, "")
		p.advance(holdTime - time.Second)
		expire := func() {
			t.Helper()
			if err := p.server.expire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		expire()
		if v := p.read(untouched.ID); v.Status != RequiresCapture {
			t.Errorf("a second before its time: %+v", v)
		}
		p.advance(time.Second)
		p.call(p.do(untouched.ID, "captures", object{})).expect(409, "payment_not_capturable")
		expire()
		if v := p.read(untouched.ID); v.Status != Expired || v.ReasonCode != holdExpired || v.Authorised.Value != 0 {
			t.Errorf("got %+v", v)
		}
		if v := p.read(partly.ID); v.Status != Succeeded || v.Captured.Value != 10 {
			t.Errorf("captured in part: %+v", v)
		}
		if p.available(p.wallet) != 99_990 || p.available(p.merchant) != 10 {
			t.Errorf("the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
		}
		// It moved money, if only to and fro: it stays.
		p.advance(expiredKept)
		if err := p.server.purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.read(untouched.ID)
		p.booksAreRight()
	})
}

func TestRefundInParts(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(1000)
		p.call(p.do(v.ID, "refunds", object{})).expect(409, "payment_not_refundable")
		p.call(p.confirmation(v)).expect(200, "")
		q := p.do(v.ID, "refunds", cents(300))
		var first movedView
		p.call(q).expect(201, "").decode(&first)
		p.call(q).expect(201, "")
		if first.Amount.Value != 300 || p.available(p.wallet) != 99_300 || p.available(p.merchant) != 700 {
			t.Errorf("%+v: the wallet has %d, the merchant %d", first, p.available(p.wallet), p.available(p.merchant))
		}
		p.call(p.do(v.ID, "refunds", cents(701))).expect(422, "validation_failed")
		p.call(p.do(v.ID, "refunds", object{"final": true})).expect(422, "validation_failed")
		p.call(p.do(v.ID, "refunds", object{})).expect(201, "")
		p.call(p.do(v.ID, "refunds", object{})).expect(422, "validation_failed")
		if v := p.read(v.ID); v.Status != Succeeded || v.Captured.Value != 1000 || v.Refunded.Value != 1000 {
			t.Errorf("got %+v", v)
		}
		var list rest.List[movedView]
		p.call(request{method: "GET", path: "/api/payments/" + v.ID + "/refunds?limit=1", token: p.doingToken()}).expect(200, "").decode(&list)
		if len(list.Data) != 1 || list.Data[0].ID != first.ID || list.NextCursor == "" {
			t.Errorf("listed %+v", list)
		}
		if n := p.count(`SELECT count(*) FROM events WHERE type = 'payment.refunded'`); n != 2 {
			t.Errorf("told of %d refunds", n)
		}
		// Of what is held in part, what was captured can go back already.
		partly := p.held(1000)
		p.call(p.do(partly.ID, "captures", cents(100))).expect(201, "")
		p.call(p.do(partly.ID, "refunds", cents(101))).expect(422, "validation_failed")
		p.call(p.do(partly.ID, "refunds", cents(100))).expect(201, "")
		p.booksAreRight()
	})
}

// Fifty at once want the same money: it is taken once, and given back once.
func TestFiftyCapturesAndRefundsAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.held(1000)
		for _, what := range []string{"captures", "refunds"} {
			codes := p.atOnce(50, func(int) request { return p.do(v.ID, what, cents(100)) })
			if codes[201] != 10 || codes[201]+codes[409]+codes[422] != 50 {
				t.Errorf("%s: statuses %v", what, codes)
			}
		}
		if p.available(p.wallet) != 100_000 || p.available(p.merchant) != 0 {
			t.Errorf("the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
		}
		p.booksAreRight()
	})
}

func TestWhoMayChangeAPayment(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.held(1000)
		for _, what := range []string{"captures", "cancel", "refunds"} {
			q := p.do(v.ID, what, object{})
			for token, want := range map[string]struct {
				status int
				code   string
			}{
				p.clientToken("travel", "payments:capture payments:refund"):    {404, "not_found"},
				p.userToken("ada", "payments:capture payments:refund"):         {403, "client_token_required"},
				p.clientToken("shop", "payments:create payments:read"):         {403, "insufficient_scope"},
				p.userToken("ada", "payments:confirm", p.consent(p.create(1))): {403, "insufficient_scope"},
			} {
				q.token = token
				p.call(q).expect(want.status, want.code)
			}
			q = p.do(v.ID, what, object{})
			q.key = "-"
			p.call(q).expect(400, "idempotency_key_missing")
			q = p.do(v.ID, what, object{})
			q.header = map[string]string{"If-Match": `"1"`}
			p.call(q).expect(412, "version_mismatch")
			q = p.do(v.ID, what, `{"amount": 1}`)
			p.call(q).expect(400, "malformed_json")
		}
		stranger := request{method: http.MethodGet, path: "/api/payments/" + v.ID + "/captures", token: p.clientToken("travel", "payments:read")}
		p.call(stranger).expect(404, "not_found")
		if v := p.read(v.ID); v.Status != RequiresCapture || v.Captured.Value != 0 {
			t.Errorf("a refused request changed it: %+v", v)
		}
		q := p.do(v.ID, "captures", object{})
		q.header = map[string]string{"If-Match": `"2"`}
		p.call(q).expect(201, "")
		p.booksAreRight()
	})
}

func TestSearchPayments(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		old := p.create(1)
		p.advance(time.Hour)
		at := p.now().UTC().Format(time.RFC3339Nano)
		recent := p.create(2)
		for query, want := range map[string][]string{
			"created_from=" + at:                  {recent.ID},
			"created_before=" + at:                {old.ID},
			"end_to_end_id=" + old.EndToEndID:     {old.ID},
			"end_to_end_id=none":                  {},
			"status=requires_consent":             {recent.ID, old.ID},
			"status=succeeded&created_from=" + at: {},
		} {
			var list rest.List[paymentView]
			p.call(request{method: "GET", path: "/api/payments?" + query, token: p.shopToken()}).expect(200, "").decode(&list)
			got := []string{}
			for _, v := range list.Data {
				got = append(got, v.ID)
			}
			if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
				t.Errorf("%s: got %v, want %v", query, got, want)
			}
		}
		for _, query := range []string{"created_from=yesterday", "created_before=2026", "end_to_end_id=%00", "status=x"} {
			p.call(request{method: "GET", path: "/api/payments?" + query, token: p.shopToken()}).expect(400, "invalid_parameter")
		}
		q := request{method: "GET", path: "/api/payments", token: p.shopToken()}
		q.header = map[string]string{"If-None-Match": p.call(q).expect(200, "").Header().Get("ETag")}
		if a := p.call(q); a.Code != 304 || a.Body.Len() != 0 {
			t.Errorf("an unchanged list: got %d %s", a.Code, a.Body)
		}
	})
}
