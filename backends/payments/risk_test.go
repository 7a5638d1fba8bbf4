package payments

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func (p *platform) officer() string { return p.clientToken("back-office", "risk:read risk:write") }

func (p *platform) office(method, path string, body any, header ...string) request {
	q := request{method: method, path: "/api/risk/" + path, token: p.officer(), body: body, header: map[string]string{}}
	for i := 0; i+1 < len(header); i += 2 {
		q.header[header[i]] = header[i+1]
	}
	return q
}

// setRule changes one as an officer does.
func (p *platform) setRule(id string, thresholds object) {
	p.t.Helper()
	tag := p.call(p.office("GET", "rules/"+id, nil)).expect(200, "").Header().Get("ETag")
	p.call(p.office("PUT", "rules/"+id, object{"enabled": true, "thresholds": thresholds}, "If-Match", tag)).expect(200, "")
}

// decisions of a payment, newest first.
func (p *platform) decisions(id string) []decisionView {
	p.t.Helper()
	var list rest.List[decisionView]
	p.call(p.office("GET", "decisions?payment_id="+id, nil)).expect(200, "").decode(&list)
	return list.Data
}

// strongly is the confirmation by a user who has authenticated as step-up asks for.
func (p *platform) strongly(v paymentView, ago time.Duration) request {
	return p.stronglyBy("gold", v, ago)
}

func (p *platform) stronglyBy(acr string, v paymentView, ago time.Duration) request {
	q := p.confirmation(v)
	q.token = p.issuer.Token(tokentest.Claim("sub", "ada"), tokentest.Claim("client_id", "shop"), tokentest.Claim("scope", "payments:confirm"),
		tokentest.Claim("authorization_details", []any{p.consent(v)}), tokentest.Claim("acr", acr),
		tokentest.Claim("auth_time", p.now().Add(-ago).Unix()))
	return q
}

func TestStepUpAboveTheThreshold(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		p.setRule("payment_amount", object{"EUR": object{"step_up": 500}})
		p.call(p.confirmation(p.create(500))).expect(200, "")
		v := p.create(501)
		q := p.confirmation(v)
		a := p.call(q).expect(401, "insufficient_user_authentication")
		challenge := a.Header().Get("WWW-Authenticate")
		for _, part := range []string{`error="insufficient_user_authentication"`, `acr_values="gold"`, `max_age="300"`} {
			if !strings.Contains(challenge, part) {
				t.Errorf("the challenge %s lacks %s", challenge, part)
			}
		}
		p.call(p.strongly(v, 5*time.Minute+time.Second)).expect(401, "insufficient_user_authentication")
		p.call(p.stronglyBy("silver", v, 0)).expect(401, "insufficient_user_authentication")
		timeless := p.confirmation(v)
		timeless.token = p.issuer.Token(tokentest.Claim("sub", "ada"), tokentest.Claim("client_id", "shop"), tokentest.Claim("scope", "payments:confirm"),
			tokentest.Claim("authorization_details", []any{p.consent(v)}), tokentest.Claim("acr", "gold"), tokentest.Without("auth_time"))
		p.call(timeless).expect(401, "insufficient_user_authentication")
		if p.read(v.ID).Status != RequiresConsent || p.count(`SELECT count(*) FROM consents`) != 1 {
			t.Error("a refused confirmation left something")
		}
		// With the same key, and a token that will do.
		again := p.strongly(v, 5*time.Minute-time.Second)
		again.key = q.key
		if paid := p.call(again).expect(200, "").payment(); paid.Status != Succeeded {
			t.Errorf("got %+v", paid)
		}
		decided := p.decisions(v.ID)
		if len(decided) != 5 || decided[0].Outcome != risk.Allow || !decided[0].Inputs.SteppedUp || decided[4].Outcome != risk.StepUp ||
			decided[4].Findings[0] != (risk.Finding{Rule: "payment_amount", Outcome: risk.StepUp, Value: 501, Threshold: 500}) {
			t.Errorf("decided %+v", decided)
		}
		p.booksAreRight()
	})
}

func TestTheStrictestRuleWins(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		p.setRule("payment_amount", object{"EUR": object{"step_up": 100, "review": 200, "deny": 300}})
		for amount, want := range map[int64]Status{100: Succeeded, 201: InReview, 301: Rejected} {
			v := p.create(amount)
			code := map[Status]int{Succeeded: 200, InReview: 202, Rejected: 200}[want]
			got := p.call(p.strongly(v, time.Minute)).expect(code, "").payment()
			if got.Status != want {
				t.Errorf("%d: got %s, want %s", amount, got.Status, want)
			}
			if want == Rejected && (got.ReasonCode != riskDenied || p.decisions(v.ID)[0].Outcome != risk.Deny) {
				t.Errorf("got %+v", got)
			}
		}
		// Of what goes to review the user has to be sure too; what is denied needs nobody.
		p.call(p.confirmation(p.create(201))).expect(401, "insufficient_user_authentication")
		p.call(p.confirmation(p.create(301))).expect(200, "")
		p.booksAreRight()
	})
}

func TestReview(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		p.setRule("payment_amount", object{"EUR": object{"review": 100}})
		review := func(captureMethod string) paymentView {
			t.Helper()
			body := order(1000)
			body["capture_method"] = captureMethod
			v := p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: body}).expect(201, "").payment()
			a := p.call(p.confirmation(v)).expect(202, "")
			if a.Header().Get("Location") != "/api/payments/"+v.ID || a.Header().Get("Retry-After") == "" || a.payment().ISO20022Status != "PDNG" {
				t.Errorf("got %v %s", a.Header(), a.Body)
			}
			return a.payment()
		}
		first, second, third, fourth, fifth := review("automatic"), review("manual"), review("automatic"), review("automatic"), review("automatic")
		if p.available(p.wallet) != 95_000 {
			t.Errorf("the wallet has %d while officers look", p.available(p.wallet))
		}
		var queue rest.List[reviewView]
		p.call(p.office("GET", "reviews?limit=2", nil)).expect(200, "").decode(&queue)
		if len(queue.Data) != 2 || queue.Data[0].ID != first.ID || queue.Data[0].ClientID != "shop" || queue.Data[0].UserID != "ada" || queue.NextCursor == "" {
			t.Errorf("got %+v", queue)
		}
		approve := p.office("POST", "reviews/"+first.ID+"/approve", object{"note": "known customer"})
		approve.key = "k"
		p.call(approve).expect(200, "")
		p.call(approve).expect(200, "")
		approve.key = "another"
		p.call(approve).expect(409, "payment_not_in_review")
		p.call(p.office("POST", "reviews/"+second.ID+"/approve", object{})).expect(200, "")
		p.call(p.office("POST", "reviews/"+third.ID+"/reject", object{"note": "4111 1111 1111 1111"})).expect(422, "validation_failed")
		p.call(p.office("POST", "reviews/"+third.ID+"/reject", object{"note": "stolen"}, "If-Match", `"1"`)).expect(412, "version_mismatch")
		p.call(p.office("POST", "reviews/"+third.ID+"/reject", object{"note": "stolen"})).expect(200, "")
		p.call(p.do(fourth.ID, "cancel", nil)).expect(200, "")
		p.advance(reviewTime)
		if err := p.server.expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]Status{first.ID: Succeeded, second.ID: RequiresCapture, third.ID: Rejected, fourth.ID: Canceled, fifth.ID: Expired} {
			if got := p.read(id); got.Status != want {
				t.Errorf("got %+v, want %s", got, want)
			}
		}
		if v := p.read(third.ID); v.ReasonCode != reviewRejected {
			t.Errorf("got %+v", v)
		}
		if p.available(p.wallet) != 98_000 || p.available(p.merchant) != 1000 {
			t.Errorf("the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
		}
		var records rest.List[recordView]
		p.call(p.office("GET", "changes", nil)).expect(200, "").decode(&records)
		if r := records.Data[0]; r.Actor != "back-office" || r.Action != "review.rejected" || r.Object != third.ID ||
			r.Became.(map[string]any)["note"] != "stolen" {
			t.Errorf("got %+v", r)
		}
		p.booksAreRight()
	})
}

func TestVelocity(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		pay := func(amount int64) Status {
			t.Helper()
			return p.call(p.confirmation(p.create(amount))).payment().Status
		}
		p.setRule("user_count_1h", object{"count": object{"deny": 2}})
		p.setRule("user_amount_24h", object{"EUR": object{"deny": 1000}})
		if a, b, c := pay(1), pay(1), pay(1); a != Succeeded || b != Succeeded || c != Rejected {
			t.Errorf("within an hour: %s, %s, %s", a, b, c)
		}
		p.advance(time.Hour + time.Second)
		if a, b := pay(998), pay(1); a != Succeeded || b != Rejected {
			t.Errorf("within a day: %s, %s", a, b)
		}
		p.advance(24 * time.Hour)
		if a := pay(1000); a != Succeeded {
			t.Errorf("the next day: %s", a)
		}
		p.setRule("payee_count_24h", object{"count": object{"deny": 1}})
		p.setRule("client_count_1h", object{"count": object{"review": 1}})
		if a := pay(1); a != Rejected {
			t.Errorf("the payee's: %s", a)
		}
		p.booksAreRight()
	})
}

// Twenty at once: as many pass as the rule lets pass, since each looks at the others.
func TestVelocityAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		p.setRule("user_count_1h", object{"count": object{"deny": 5}})
		var confirmations [20]request
		for i := range confirmations {
			confirmations[i] = p.confirmation(p.create(1))
		}
		p.atOnce(len(confirmations), func(i int) request { return confirmations[i] })
		if n := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`); n != 5 {
			t.Errorf("%d passed", n)
		}
		p.booksAreRight()
	})
}

func TestANewPayee(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		p.setRule("new_payee", object{"EUR": object{"deny": 100}})
		pay := func(amount int64) Status { return p.call(p.confirmation(p.create(amount))).payment().Status }
		if a, b, c := pay(101), pay(100), pay(101); a != Rejected || b != Succeeded || c != Succeeded {
			t.Errorf("got %s, %s, %s", a, b, c)
		}
	})
}

func TestLists(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		pay := func() Status { return p.call(p.confirmation(p.create(100))).payment().Status }
		add := func(list, subject, value string) (e entryOfListView) {
			t.Helper()
			p.call(p.office("POST", "lists", object{"list": list, "subject": subject, "value": value})).expect(201, "").decode(&e)
			return e
		}
		remove := func(e entryOfListView) {
			t.Helper()
			p.call(p.office("DELETE", "lists/"+e.ID, nil)).expect(204, "")
		}
		for subject, value := range map[string]string{"user": "ada", "client": "shop", "payee": p.merchant.ID} {
			e := add("deny", subject, value)
			if got := pay(); got != Rejected {
				t.Errorf("a %s on the deny list: %s", subject, got)
			}
			remove(e)
		}
		p.setRule("user_count_1h", object{"count": object{"deny": 1}})
		p.setRule("payment_amount", object{"EUR": object{"deny": 100}})
		if got := pay(); got != Rejected {
			t.Errorf("got %s", got)
		}
		e := add("allow", "user", "ada")
		p.call(p.office("POST", "lists", object{"list": "deny", "subject": "user", "value": "ada"})).expect(409, "list_entry_exists")
		if got := pay(); got != Succeeded {
			t.Errorf("on the allow list: %s", got)
		}
		if got := p.call(p.confirmation(p.create(101))).payment().Status; got != Rejected {
			t.Errorf("above the amount, on the allow list: %s", got)
		}
		var list rest.List[entryOfListView]
		p.call(p.office("GET", "lists", nil)).expect(200, "").decode(&list)
		if len(list.Data) != 1 || list.Data[0] != e {
			t.Errorf("got %+v", list)
		}
		remove(e)
		p.call(p.office("DELETE", "lists/"+e.ID, nil)).expect(404, "not_found")
		p.call(p.office("POST", "lists", object{"list": "grey", "subject": "payment", "value": ""})).expect(422, "validation_failed")
		if n := p.count(`SELECT count(*) FROM risk_changes WHERE action LIKE 'list.%'`); n != 8 {
			t.Errorf("%d changes of lists are on record", n)
		}
	})
}

func TestOfficersChangeRules(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		var rules rest.List[ruleView]
		p.call(p.office("GET", "rules", nil)).expect(200, "").decode(&rules)
		if len(rules.Data) != 10 {
			t.Errorf("%d rules", len(rules.Data))
		}
		good := object{"enabled": false, "thresholds": object{"EUR": object{"deny": 5}}}
		p.call(p.office("PUT", "rules/payment_amount", good)).expect(428, "if_match_required")
		p.call(p.office("PUT", "rules/payment_amount", good, "If-Match", `"7"`)).expect(412, "version_mismatch")
		p.call(p.office("PUT", "rules/none", good, "If-Match", `"1"`)).expect(404, "not_found")
		for name, thresholds := range map[string]any{
			"no currency": object{"XXX": object{}}, "a count": object{"count": object{"deny": 1}}, "negative": object{"EUR": object{"deny": -1}},
			"none": nil,
		} {
			body := object{"enabled": true, "thresholds": thresholds}
			if a := p.call(p.office("PUT", "rules/payment_amount", body, "If-Match", `"1"`)); a.Code != 422 {
				t.Errorf("%s: %d %s", name, a.Code, a.Body)
			}
		}
		a := p.call(p.office("PUT", "rules/payment_amount", good, "If-Match", `"1"`)).expect(200, "")
		if a.Header().Get("ETag") != `"2"` {
			t.Errorf("got %v", a.Header())
		}
		p.call(p.office("PUT", "rules/payment_amount", good, "If-Match", `"1"`)).expect(412, "version_mismatch")
		p.call(p.confirmation(p.create(6))).expect(200, "") // it is off
		var records rest.List[recordView]
		p.call(p.office("GET", "changes", nil)).expect(200, "").decode(&records)
		if r := records.Data[0]; len(records.Data) != 1 || r.Action != "rule.changed" || r.Object != "payment_amount" || r.Was == nil {
			t.Errorf("got %+v", records)
		}
		fresh := p.office("GET", "rules/payment_amount", nil, "If-None-Match", `"2"`)
		if a := p.call(fresh); a.Code != 304 {
			t.Errorf("got %d", a.Code)
		}
		for _, statement := range []string{`DELETE FROM risk_changes`, `UPDATE risk_decisions SET outcome = 'deny'`, `DELETE FROM risk_decisions`} {
			if _, err := p.db.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}

// No customer of the bank is one of its officers, whatever scope a token has.
func TestOfficersAreNotUsers(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		id := uuid.NewString()
		for _, q := range []request{
			p.office("GET", "rules", nil), p.office("GET", "rules/payment_amount", nil), p.office("GET", "lists", nil),
			p.office("GET", "reviews", nil), p.office("GET", "decisions?payment_id="+id, nil), p.office("GET", "changes", nil),
			p.office("PUT", "rules/payment_amount", object{}), p.office("POST", "lists", object{}), p.office("DELETE", "lists/"+id, nil),
			p.office("POST", "reviews/"+id+"/approve", object{}), p.office("POST", "reviews/"+id+"/reject", object{}),
		} {
			q.token = p.userToken("ada", "risk:read risk:write")
			p.call(q).expect(403, "client_token_required")
			q.token = p.clientToken("shop", "payments:create payments:read payments:capture payments:refund")
			p.call(q).expect(403, "insufficient_scope")
		}
	})
}

// Two officers change a rule at once: one of them is told to look again.
func TestTwoOfficersAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		codes := map[int]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				a := p.call(p.office("PUT", "rules/payment_amount", object{"enabled": true, "thresholds": object{}}, "If-Match", `"1"`))
				mu.Lock()
				defer mu.Unlock()
				codes[a.Code]++
			})
		}
		wg.Wait()
		if codes[200] != 1 || codes[412] != 1 {
			t.Errorf("got %v", codes)
		}
	})
}
