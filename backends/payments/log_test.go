package payments

import (
	"bytes"
	"context"
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

// What people and clients write, and what opens doors, is in no log: not when all
// goes well, not of refusals, and not when the database is gone.
func TestNothingConfidentialIsLogged(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("canary-answer"))
		}))
		defer shop.Close()
		endpoint, err := outbox.AddEndpoint(t.Context(), p.db, p.server.dispatcher.Vault, "shop", shop.URL+"/canary-path", false, p.now())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.server.dispatcher.Run(ctx) }()

		body := object{"amount": object{"value": 100, "currency": "EUR"}, "description": "canary-description",
			"end_to_end_id": "canary-reference", "metadata": object{"canary-member": "canary-value"}}
		create := request{method: "POST", path: "/api/payments", token: p.shopToken(), key: "canary-key", body: body}
		v := p.call(create).expect(201, "").payment()
		create.key = "canary-other-key"
		p.call(create).expect(409, "end_to_end_id_taken")
		create.body = `{"canary-typo": 1}`
		p.call(create).expect(400, "malformed_json")
		p.call(request{method: "POST", path: "/api/accounts", token: p.userToken("ada", "accounts:write"),
			body: object{"name": "canary-account", "currency": "EUR"}}).expect(201, "")
		confirmation := p.confirmation(v)
		confirmation.key = "canary-confirm"
		p.call(confirmation).expect(200, "")
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
		p.call(create).expect(500, "internal_error")
		p.call(request{method: "GET", path: "/api/payments/" + v.ID, token: p.shopToken()}).expect(500, "internal_error")

		logs := p.logs.String()
		for _, secret := range []string{"canary", "Corner Shop", "Everyday", "eyJ", endpoint.Secret, strings.TrimPrefix(endpoint.Secret, "whsec_"), shop.URL} {
			if strings.Contains(logs, secret) {
				t.Errorf("%q is in the log:\n%s", secret, logs)
			}
		}
		if !strings.Contains(logs, "request failed") {
			t.Errorf("the log lacks what happened:\n%s", logs)
		}
	})
}
