package payments

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

func TestConfirm(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(12350)
		q := p.confirmation(v)
		p.advance(time.Second)
		a := p.call(q).expect(200, "")
		paid := a.payment()
		if paid.Status != Succeeded || paid.ISO20022Status != "ACSC" || paid.Captured.Value != 12350 || paid.AuthorizationDetails != nil ||
			paid.Debtor == nil || paid.Debtor.AccountID != p.wallet.ID || !paid.UpdatedAt.After(paid.CreatedAt) {
			t.Errorf("got %s", a.Body)
		}
		if a.Header().Get("ETag") != `"2"` || a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("header %v", a.Header())
		}
		if p.available(p.wallet) != 100_000-12350 || p.available(p.merchant) != 12350 {
			t.Errorf("the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
		}

		again := p.call(q).expect(200, "")
		if again.Body.String() != a.Body.String() || again.Header().Get(idempotency.ReplayedHeader) != "true" {
			t.Errorf("the replay differs: %v %s", again.Header(), again.Body)
		}
		q.key = uuid.NewString()
		p.call(q).expect(409, "payment_not_confirmable")
		if p.available(p.merchant) != 12350 {
			t.Error("paid twice")
		}
		p.booksAreRight()
	})
}

func TestConfirmWantsExactlyThisConsent(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v, other := p.create(12350), p.create(1)
		stranger, err := OpenAccount(t.Context(), p.db, "eve", "Everyday", "EUR", 100_000)
		if err != nil {
			t.Fatal(err)
		}
		dollars, err := OpenAccount(t.Context(), p.db, "ada", "Dollars", "USD", 100_000)
		if err != nil {
			t.Fatal(err)
		}
		good := p.consent(v)
		with := func(name string, value any) []any {
			altered := maps.Clone(good)
			if altered[name] = value; value == nil {
				delete(altered, name)
			}
			return []any{altered}
		}
		amount := func(currency, amount string) []any {
			return with("instructedAmount", object{"currency": currency, "amount": amount})
		}
		for name, details := range map[string][]any{
			"no consent":             nil,
			"another type":           with("type", "account_information"),
			"another payment":        with("paymentId", other.ID),
			"another's consent":      {p.consent(other)},
			"another amount":         amount("EUR", "123.51"),
			"the amount respelt":     amount("EUR", "123.5"),
			"another currency":       amount("USD", "123.50"),
			"another payee":          with("creditorName", "Tax Office"),
			"another payee account":  with("creditorAccount", object{"id": stranger.ID}),
			"no account":             with("debtorAccount", nil),
			"an empty account":       with("debtorAccount", object{"id": ""}),
			"a stranger's account":   with("debtorAccount", object{"id": stranger.ID}),
			"the merchant's account": with("debtorAccount", object{"id": p.merchant.ID}),
			"no such account":        with("debtorAccount", object{"id": uuid.NewString()}),
			"an account in dollars":  with("debtorAccount", object{"id": dollars.ID}),
			"one more member":        with("instalments", 12),
			"a name in other case":   with("CREDITORNAME", "Corner Shop"),
			"a member within":        with("debtorAccount", object{"id": p.wallet.ID, "overdraft": true}),
			"two consents":           {good, p.consent(other)},
			"the same one twice":     {good, good},
		} {
			q := p.confirmation(v)
			q.token = p.userToken("ada", "payments:confirm", details...)
			a := p.call(q)
			if a.Code != 403 || a.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: got %d %s", name, a.Code, a.Body)
			}
		}
		q := p.confirmation(v)
		q.token = p.userToken("ada", "payments:read", good)
		p.call(q).expect(403, "insufficient_scope")
		q.token = p.clientToken("shop", "payments:confirm")
		p.call(q).expect(403, "insufficient_authorization_details")
		q.token = p.clientToken("travel", "payments:confirm")
		p.call(q).expect(404, "not_found")
		q = p.confirmation(v)
		q.path = "/api/payments/" + uuid.NewString() + "/confirm"
		p.call(q).expect(404, "not_found")
		q = p.confirmation(v)
		q.key = "-"
		p.call(q).expect(400, "idempotency_key_missing")
		q = p.confirmation(v)
		q.body = object{"amount": 1}
		p.call(q).expect(400, "malformed_json")

		if p.available(p.wallet) != 100_000 || p.count(`SELECT count(*) FROM consents`) != 0 || p.count(`SELECT count(*) FROM events`) != 0 {
			t.Error("a refused confirmation left something")
		}
		// And with everything in order it passes, an empty object for a body.
		q = p.confirmation(v)
		q.body = object{}
		p.call(q).expect(200, "")
		p.booksAreRight()
	})
}

func TestAConsentIsUsedOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		q := p.confirmation(v)
		p.call(q).expect(200, "")
		// The schema holds it too, whatever the code does: one consent for a
		// payment, one use of a token.
		insert := `INSERT INTO consents (payment_id, token_id, client_id, user_id, debtor_account, creditor_account, amount, currency, used_at)
			SELECT $1, token_id, client_id, user_id, debtor_account, creditor_account, amount, currency, used_at FROM consents`
		for _, payment := range []string{v.ID, p.create(100).ID} {
			if _, err := p.db.Exec(insert, payment); err == nil {
				t.Error("a consent was used twice")
			}
		}
	})
}

func TestTooLittleMoneyIsAnOutcome(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		q := p.confirmation(p.create(100_001))
		a := p.call(q).expect(200, "")
		v := a.payment()
		if v.Status != Rejected || v.ReasonCode != "insufficient_funds" || v.ISO20022Status != "RJCT" || v.Captured.Value != 0 {
			t.Errorf("got %s", a.Body)
		}
		if again := p.call(q).expect(200, ""); again.Body.String() != a.Body.String() {
			t.Errorf("the replay differs: %s", again.Body)
		}
		if p.available(p.wallet) != 100_000 || p.count(`SELECT count(*) FROM events WHERE type = 'payment.rejected'`) != 1 {
			t.Error("a rejected payment moved money, or was not told of")
		}
		q.key = uuid.NewString()
		p.call(q).expect(409, "payment_not_confirmable")
		p.booksAreRight()
	})
}

func TestPaymentsExpire(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		q := p.confirmation(v)
		p.advance(consentTime)
		p.call(q).expect(409, "payment_expired")
		if err := p.server.expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.call(q).expect(409, "payment_not_confirmable")
		shown := p.call(request{method: "GET", path: "/api/payments/" + v.ID, token: p.shopToken()}).expect(200, "").payment()
		if shown.Status != Expired || shown.ReasonCode != "consent_timeout" {
			t.Errorf("got %+v", shown)
		}
		if err := p.server.expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := p.count(`SELECT count(*) FROM events WHERE type = 'payment.expired'`); n != 1 {
			t.Errorf("told of %d times", n)
		}
		p.booksAreRight()
	})
}

// The sweep found it waiting, and it was paid before the sweep came to it.
func TestAPaidPaymentDoesNotExpire(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		p.call(p.confirmation(v)).expect(200, "")
		if err := p.server.expireOne(t.Context(), v.ID); err != nil {
			t.Error(err)
		}
		if n := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`); n != 1 {
			t.Error("it is not paid any more")
		}
		if n := p.count(`SELECT count(*) FROM events WHERE type = 'payment.expired'`); n != 0 {
			t.Error("the client was told that it expired")
		}
		p.booksAreRight()
	})
}

// Events and expired payments go when their time is over; what moved money stays,
// and the books are right without the event that told of it.
func TestRetention(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		paid, expired := p.create(100), p.create(100)
		p.call(p.confirmation(paid)).expect(200, "")
		p.advance(consentTime)
		purge := func(events, payments int) {
			t.Helper()
			if err := p.server.purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := p.count(`SELECT count(*) FROM events`); n != events {
				t.Errorf("%d events, want %d", n, events)
			}
			if n := p.count(`SELECT count(*) FROM payments`); n != payments {
				t.Errorf("%d payments, want %d", n, payments)
			}
			p.booksAreRight()
		}
		if err := p.server.expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.advance(outbox.Retention - consentTime - time.Second)
		purge(2, 2)
		p.advance(time.Second)
		purge(1, 2)
		p.advance(consentTime)
		purge(0, 1)
		read := func(id string) answer {
			return p.call(request{method: "GET", path: "/api/payments/" + id, token: p.shopToken()})
		}
		read(paid.ID).expect(200, "")
		read(expired.ID).expect(404, "not_found")
	})
}

func TestNoPaymentLeavesItsEndState(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		for _, end := range []Status{Succeeded, Rejected, Canceled, Expired} {
			id := p.create(100).ID
			set := func(status Status) error {
				_, err := p.db.Exec(`UPDATE payments SET status = $1, version = version + 1 WHERE id = $2`, status, id)
				return err
			}
			if err := set(end); err != nil {
				t.Fatal(err)
			}
			if err := set(end); err != nil {
				t.Errorf("%s changes in other ways: %v", end, err)
			}
			if err := set(RequiresConsent); err == nil || !strings.Contains(err.Error(), "end state") {
				t.Errorf("%s becomes %s: %v", end, RequiresConsent, err)
			}
		}
	})
}

// Whoever knows a key of somebody else gets no answer with it.
func TestAKeyIsItsUsers(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		v := p.create(100)
		q := p.confirmation(v)
		p.call(q).expect(200, "")
		q.token = p.userToken("eve", "payments:confirm", p.consent(v))
		p.call(q).expect(422, "idempotency_key_reused")
	})
}

func TestFiftyEqualConfirmsMakeOnePayment(t *testing.T) {
	t.Parallel()
	for name, sameKey := range map[string]bool{"same key": true, "different keys": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(p *platform) {
				q := p.confirmation(p.create(100))
				codes := p.atOnce(50, func(i int) request {
					if !sameKey {
						q.key = uuid.NewString()
					}
					return q
				})
				if codes[200] < 1 || codes[200]+codes[409] != 50 || !sameKey && codes[200] != 1 {
					t.Errorf("statuses %v", codes)
				}
				if p.available(p.wallet) != 99_900 || p.count(`SELECT count(*) FROM transfers WHERE purpose = 'payment'`) != 1 {
					t.Errorf("the wallet has %d", p.available(p.wallet))
				}
				p.booksAreRight()
			})
		})
	}
}

func TestAWalletThatCoversSixtyMakesSixty(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		const cents = 100_000 / 60
		confirmations := make([]request, 100)
		for i := range confirmations {
			confirmations[i] = p.confirmation(p.create(cents))
		}
		codes := p.atOnce(100, func(i int) request { return confirmations[i] })
		succeeded := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`)
		rejected := p.count(`SELECT count(*) FROM payments WHERE status = 'rejected'`)
		if codes[200] != 100 || succeeded != 60 || rejected != 40 {
			t.Errorf("statuses %v, %d succeeded, %d rejected", codes, succeeded, rejected)
		}
		if p.available(p.wallet) != 100_000-60*cents || p.available(p.merchant) != 60*cents {
			t.Errorf("the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
		}
		p.booksAreRight()
	})
}

// atOnce makes n calls at once and counts their statuses.
func (p *platform) atOnce(n int, next func(i int) request) map[int]int {
	p.t.Helper()
	codes := make(map[int]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		q := next(i)
		wg.Go(func() {
			a := p.call(q)
			mu.Lock()
			defer mu.Unlock()
			codes[a.Code]++
		})
	}
	wg.Wait()
	return codes
}

func TestTheClientIsTold(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		type message struct {
			header http.Header
			body   []byte
		}
		received := make(chan message, 1)
		shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			received <- message{r.Header, body}
		}))
		defer shop.Close()
		endpoint, err := outbox.AddEndpoint(t.Context(), p.db, p.server.dispatcher.Vault, "shop", shop.URL, false, p.now())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var background sync.WaitGroup
		for _, work := range p.server.Background() {
			background.Go(func() {
				if err := work(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		defer background.Wait()
		defer cancel()

		v := p.create(100)
		p.call(p.confirmation(v)).expect(200, "")
		m := <-received
		receiver, err := standardwebhooks.NewWebhook(endpoint.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.Verify(m.body, m.header); err != nil {
			t.Errorf("a stranger's library refuses the webhook: %v", err)
		}
		var said struct {
			Type string
			Data paymentView
		}
		if err := json.Unmarshal(m.body, &said); err != nil {
			t.Fatal(err)
		}
		if said.Type != "payment.succeeded" || said.Data.ID != v.ID || said.Data.Status != Succeeded || said.Data.Amount != v.Amount {
			t.Errorf("got %s", m.body)
		}
	})
}

// allowAnyState removes what keeps payments in their end states: a check of the
// books does not rely on it.
func (p *platform) allowAnyState() {
	p.t.Helper()
	statement := `DROP TRIGGER payments_end`
	if p.db.Dialect == database.Postgres {
		statement += ` ON payments`
	}
	if _, err := p.db.Exec(statement); err != nil {
		p.t.Fatal(err)
	}
}

func TestVerifyLedgerNamesThePlantedRow(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]string{
		"more captured than moved":    `UPDATE payments SET captured = captured - 1 WHERE id = $1`,
		"a state without its money":   `UPDATE payments SET status = 'succeeded' WHERE id <> $1`,
		"money without its state":     `UPDATE payments SET status = 'rejected' WHERE id = $1`,
		"money without a consent":     `DELETE FROM consents WHERE payment_id = $1`,
		"a consent to another amount": `UPDATE consents SET amount = amount + 1 WHERE payment_id = $1`,
		"nobody told":                 `DELETE FROM events WHERE subject = $1`,
		"told twice":                  `INSERT INTO events (id, client_id, type, subject, payload, created_at) SELECT 'x', client_id, type, subject, payload, created_at FROM events WHERE subject = $1`,
		"a review without a hold":     `UPDATE payments SET status = 'in_review' WHERE id <> $1`,
		"work that nobody does":       `UPDATE payments SET status = 'processing' WHERE id <> $1`,
		"work that is done":           `INSERT INTO jobs (payment_id, due_at, created_at) VALUES ($1, 0, 0)`,
		"a refund that did not move":  `UPDATE payments SET refunded = 1 WHERE id = $1`,
		"another debtor":              `UPDATE payments SET debtor_account = creditor_account WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(p *platform) {
				paid := p.create(100)
				p.create(100)
				p.call(p.confirmation(paid)).expect(200, "")
				p.booksAreRight()
				p.allowAnyState()
				if _, err := p.db.Exec(plant, paid.ID); err != nil {
					t.Fatal(err)
				}
				var found *ledger.Violation
				if err := VerifyLedger(t.Context(), p.db, p.now()); !errors.As(err, &found) || found.ID == "" {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
