package users

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// The other services as they answer over HTTP. The paths are those that
// backends/auth and backends/payments serve; test/e2e walks the real ones.
func TestPlatformCalls(t *testing.T) {
	t.Parallel()
	var tokens, broken atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "users-service" || secret != "hush" || r.PostFormValue("scope") != "internal:grants internal:customers" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"canary"}`))
			return
		}
		tokens.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"tok","token_type":"Bearer","expires_in":300}`))
	})
	answer := func(pattern string, status int, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer tok" {
				status = http.StatusUnauthorized
			}
			if broken.Load() > 0 {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	consent, _ := json.Marshal(map[string]any{"data": []Consent{consentOf("shop")}})
	answer("GET /internal/users/u1/grants", 200, string(consent))
	answer("DELETE /internal/users/u1/grants/g1", 204, "")
	answer("DELETE /internal/users/u1/grants/g2", 404, "{}")
	answer("DELETE /internal/users/u1/grants", 200, `{"revoked":2}`)
	answer("GET /internal/users/u1/money", 200, `{"open":true,"balance":true,"payments":false}`)
	answer("POST /internal/users/u1/close", 200, `{"open":true,"balance":false,"payments":true}`)
	answer("GET /internal/users/u2/money", 200, `{}`)
	answer("GET /internal/users/u1/data", 200, `{"accounts":[{}],"payments":[{"id":"1"}],"next_cursor":"c"}`)
	server := httptest.NewServer(mux)
	defer server.Close()
	p := NewPlatform(PlatformConfig{AuthURL: server.URL, PaymentsURL: server.URL, ClientID: "users-service", ClientSecret: "hush"})
	ctx := t.Context()
	if list, err := p.Consents(ctx, "u1"); err != nil || len(list) != 1 || list[0].ClientName != "The shop" {
		t.Errorf("%+v %v", list, err)
	}
	if err := p.RevokeConsent(ctx, "u1", "g1"); err != nil {
		t.Error(err)
	}
	if err := p.RevokeConsent(ctx, "u1", "g2"); err != errNotFound {
		t.Errorf("got %v", err)
	}
	if err := p.RevokeAll(ctx, "u1"); err != nil {
		t.Error(err)
	}
	if open, err := p.MoneyOpen(ctx, "u1"); err != nil || open != (Money{Open: true, Balance: true}) {
		t.Errorf("%v %v", open, err)
	}
	if open, err := p.CloseAccounts(ctx, "u1"); err != nil || open != (Money{Open: true, Payments: true}) {
		t.Errorf("%v %v", open, err)
	}
	if _, err := p.MoneyOpen(ctx, "u2"); err == nil {
		t.Error("an answer that says nothing was taken for no")
	}
	if data, err := p.Payments(ctx, "u1", ""); err != nil || len(data.Accounts) != 1 || len(data.Payments) != 1 || data.NextCursor != "c" {
		t.Errorf("%+v %v", data, err)
	}
	if tokens.Load() != 1 {
		t.Errorf("%d tokens for all of it", tokens.Load())
	}
	broken.Store(1)
	if _, err := p.MoneyOpen(ctx, "u1"); err == nil {
		t.Error("a 500 was taken for an answer")
	}
	stranger := NewPlatform(PlatformConfig{AuthURL: server.URL, PaymentsURL: server.URL, ClientID: "users-service", ClientSecret: "wrong"})
	if _, err := stranger.Consents(ctx, "u1"); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("got %v", err)
	}
	server.Close()
	if _, err := p.MoneyOpen(ctx, "canary-user"); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
