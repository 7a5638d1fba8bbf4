package payments

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/outbox"
)

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What people and clients write, and what opens doors, is in no log, metric, refusal
// or audit trail, and in a webhook is only what its receiver wrote: not when all goes
// well, not of refusals, and not when the database is gone.
func TestCanaries(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		var webhooks logBuffer
		shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(&webhooks, r.Body)
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("canary-answer"))
		}))
		defer shop.Close()
		endpoint, err := outbox.AddEndpoint(t.Context(), p.db, p.server.dispatcher.Vault, "shop", shop.URL+"/canary-path", false, p.now())
		if err != nil {
			t.Fatal(err)
		}
		if p.wallet, err = OpenAccount(t.Context(), p.db, "ada", "canary-wallet", "EUR", 100_000); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.server.dispatcher.Run(ctx) }()

		var refusals strings.Builder
		refused := func(q request, status int, code string) {
			t.Helper()
			a := p.call(q).expect(status, code)
			refusals.WriteString(a.Body.String() + a.Header().Get("WWW-Authenticate"))
		}
		create := request{method: "POST", path: "/api/payments", token: p.shopToken(), key: "canary-key", body: object{
			"amount": object{"value": 1000, "currency": "EUR"}, "description": "canary-name, 7 canary-street",
			"end_to_end_id": "canary-reference", "metadata": object{"canary-member": "canary-value"}}}
		p.setRule("payment_amount", object{"EUR": object{"review": 999}})
		v := p.call(create).expect(201, "").payment()
		body := create.body
		create.key = "canary-other-key"
		refused(create, 409, "end_to_end_id_taken")
		create.body = `{"canary-typo": "canary"}`
		refused(create, 400, "malformed_json")
		create.body = object{"amount": object{"value": 1000, "currency": "EUR"}, "description": "canary 4111 1111 1111 1111", "metadata": object{"x": strings.Repeat("canary", 500)}}
		refused(create, 422, "validation_failed")
		refused(request{method: "POST", path: "/api/accounts", token: p.userToken("ada", "accounts:write"),
			body: object{"name": "canary-account", "currency": "canary"}}, 422, "validation_failed")
		confirmation := p.confirmation(v)
		confirmation.key = "canary-confirm"
		p.call(confirmation).expect(202, "")
		confirmation.key = "canary-again"
		refused(confirmation, 409, "payment_not_confirmable")
		refused(request{method: "GET", path: "/api/payments", token: create.token + "canary"}, 401, "invalid_token")
		// What an officer notes is in the audit trail, for which it is written, and nowhere else.
		approval := p.office("POST", "reviews/"+v.ID+"/approve", object{"note": "officer-note", "canary-typo": "canary"})
		refused(approval, 400, "malformed_json")
		approval.body = object{"note": "officer-note" + strings.Repeat("!", maxNote)}
		refused(approval, 422, "validation_failed")
		approval.body = object{"note": "officer-note"}
		p.call(approval).expect(200, "")
		approval.key = ""
		refused(approval, 409, "payment_not_in_review")
		listed := p.office("POST", "lists", object{"list": "allow", "subject": "user", "value": "officer-value", "note": "officer-note"})
		p.call(listed).expect(201, "")
		listed.key = ""
		refused(listed, 409, "list_entry_exists")
		p.call(p.do(v.ID, "refunds", cents(100))).expect(201, "")
		trail := p.call(p.office("GET", "changes", nil)).expect(200, "").Body.String() +
			p.call(p.office("GET", "decisions?payment_id="+v.ID, nil)).expect(200, "").Body.String()
		metrics := p.call(request{method: "GET", path: "/metrics"}).expect(200, "").Body.String()
		for deadline := time.Now().Add(15 * time.Second); !strings.Contains(p.logs.String(), `"status":418`); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no try of the webhook is in the log:\n%s", p.logs.String())
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = p.db.Close()
		create.body, create.key = body, "canary-late"
		refused(create, 500, "internal_error")
		refused(request{method: "GET", path: "/api/payments/" + v.ID, token: p.shopToken()}, 500, "internal_error")

		if !strings.Contains(p.logs.String(), "request failed") || !strings.Contains(trail, "review.approved") || strings.Count(trail, "officer-note") != 2 || !strings.Contains(webhooks.String(), "canary-value") {
			t.Errorf("what happened is missing:\n%s\n%s\n%s", p.logs.String(), trail, webhooks.String())
		}
		secrets := []string{"Everyday", "canary-wallet", "canary-key", "canary-confirm", "canary-answer", "canary-path", "eyJ", "Bearer ey",
			endpoint.Secret, strings.TrimPrefix(endpoint.Secret, "whsec_")}
		for place, text := range map[string]string{
			"the log": p.logs.String(), "metrics": metrics, "refusals": refusals.String(), "the audit trail": trail, "webhooks": webhooks.String(),
		} {
			forbidden := secrets
			if place != "the audit trail" {
				forbidden = append([]string{"officer-"}, forbidden...)
			}
			if place != "webhooks" {
				forbidden = append([]string{"canary", "Corner Shop", "4111", shop.URL}, forbidden...)
			}
			for _, secret := range forbidden {
				if strings.Contains(text, secret) {
					t.Errorf("%q is in %s:\n%s", secret, place, text)
				}
			}
		}
	})
}
