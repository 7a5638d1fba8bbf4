package users

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
)

// Planted names, addresses, passwords and tokens are in no log, no metric and no
// refusal, whether things go well, wrong, or the database is away.
func TestCanaries(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		create := h.token("shop", "users:create")
		if w := h.do(create, "POST", "/api/users", body(t, "name", "Canary Name", "email", "canary@canary.example", "phone", "+4416329777777", "password", "canary password one")); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		u, err := h.svc.store.byUsername(t.Context(), h.config.DB, "canary@canary.example")
		if err != nil {
			t.Fatal(err)
		}
		all := h.token(u.ID, "profile:read profile:write profile:export profile:delete password:write consents:read consents:write")
		var refusals strings.Builder
		keep := func(w *httptest.ResponseRecorder) {
			if w.Code >= 400 {
				refusals.WriteString(w.Body.String())
			}
		}
		attempt := func() {
			h.check("canary@canary.example", "canary password one")
			h.check("canary@canary.example", "canary password two")
			h.check("canary-unknown@canary.example", "canary password two")
			keep(h.do(create, "POST", "/api/users", body(t, "email", "not canary", "password", "canary")))
			keep(h.do(all, "PATCH", "/api/users/me", `{"email":"canary-wrong"}`, "If-Match", "*"))
			keep(h.do(all, "POST", "/api/users/me/password", `{"current_password":"canary password two","new_password":"canary password three"}`))
			keep(h.do(all, "GET", "/api/users/me/consents", ""))
			keep(h.do(all, "GET", "/api/users/me/export", ""))
			keep(h.do(all+"canary", "GET", "/api/users/me", ""))
			keep(h.do(all, "DELETE", "/api/users/me", ""))
		}
		h.platform.set(func(f *fakePlatform) { f.open = Money{Open: true, Balance: true} })
		attempt()
		h.platform.set(func(f *fakePlatform) { f.away = true })
		attempt()
		metrics := h.do("", "GET", "/metrics", "").Body.String()
		if !strings.Contains(metrics, "tollgate_password_checks_total") || !strings.Contains(metrics, "tollgate_database_transaction_seconds") {
			t.Errorf("metrics: %s", metrics)
		}
		_ = h.config.DB.Close()
		keep(h.do(all, "GET", "/api/users/me", ""))
		if err := h.svc.finishClosings(context.Background()); err == nil {
			t.Error("closings without a database")
		}
		for place, text := range map[string]string{"log": h.logs.String(), "metrics": metrics, "refusals": refusals.String()} {
			if text == "" {
				t.Errorf("%s: nothing to look at", place)
			}
			for _, secret := range []string{"anary", "777777", all, create} {
				if strings.Contains(text, secret) {
					t.Errorf("%s holds %q:\n%s", place, secret, text)
				}
			}
		}
	})
}
