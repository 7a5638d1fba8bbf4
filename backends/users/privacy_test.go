package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
)

// fakePlatform is the other services, as far as the tests need them. How they are
// really called is tested in platform_test.go.
type fakePlatform struct {
	mu     sync.Mutex
	away   bool
	slow   func() // what a revocation waits for
	open   Money
	closed []string             // users whose accounts were closed
	grants map[string][]Consent // by user
}

func (f *fakePlatform) set(change func(*fakePlatform)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakePlatform) err() error {
	if f.away {
		return errors.New("away")
	}
	return nil
}

func (f *fakePlatform) Consents(_ context.Context, user string) ([]Consent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.grants[user]), f.err()
}

func (f *fakePlatform) RevokeConsent(_ context.Context, user, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.grants[user], func(c Consent) bool { return c.ID == id })
	if i < 0 && !f.away {
		return errNotFound
	}
	if !f.away {
		f.grants[user] = slices.Delete(f.grants[user], i, i+1)
	}
	return f.err()
}

func (f *fakePlatform) RevokeAll(_ context.Context, user string) error {
	f.mu.Lock()
	if slow := f.slow; slow != nil {
		f.mu.Unlock()
		slow()
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	if !f.away {
		delete(f.grants, user)
	}
	return f.err()
}

func (f *fakePlatform) MoneyOpen(context.Context, string) (Money, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open, f.err()
}

func (f *fakePlatform) CloseAccounts(_ context.Context, user string) (Money, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.away && !f.open.Open {
		f.closed = append(f.closed, user)
	}
	return f.open, f.err()
}

// Payments gives two pages.
func (f *fakePlatform) Payments(_ context.Context, _, cursor string) (PaymentData, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cursor == "" {
		return PaymentData{
			Accounts: []json.RawMessage{json.RawMessage(`{"id":"a"}`)}, NextCursor: "more",
			Payments: []json.RawMessage{json.RawMessage(`{"id":"1"}`), json.RawMessage(`{"id":"2"}`)},
		}, f.err()
	}
	return PaymentData{Payments: []json.RawMessage{json.RawMessage(`{"id":"3"}`)}}, f.err()
}

func consentOf(client string) Consent {
	now := time.Now().UTC().Truncate(time.Second)
	return Consent{
		ID: uuid.NewString(), ClientID: client, ClientName: "The " + client, Scopes: []string{"accounts:read"},
		AuthorizationDetails: []json.RawMessage{}, GrantedAt: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func TestTheDocumentIsTrue(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		h.doc.RequireRoutes(t, h.svc.routes.Patterns())
		h.doc.RequireScopes(t, h.svc, h.token("shop", "payments:read"))
		// The examples are taken as they are, each by a user of its own.
		for pattern, c := range map[string]struct {
			scope, contentType string
			status             map[string]int // by example
		}{
			"POST /api/users":               {"users:create", "", map[string]int{"grace": 202}},
			"PATCH /api/users/{id}":         {"profile:write", "application/merge-patch+json", map[string]int{"name": 200, "no_phone": 200}},
			"POST /api/users/{id}/password": {"password:write", "", map[string]int{"change": 204, "keep": 204}},
		} {
			i := slices.IndexFunc(h.doc.Operations(), func(op openapitest.Operation) bool { return op.Pattern == pattern })
			examples := h.doc.Operations()[i].Examples
			for name, status := range c.status {
				text, err := json.Marshal(examples[name])
				if err != nil || examples[name] == nil {
					t.Fatalf("no example %s of %s: %v", name, pattern, err)
				}
				method, path, _ := strings.Cut(pattern, " ")
				u := h.addUser("ada-" + name)
				header := []string{"If-Match", "*"}
				if c.contentType != "" {
					header = append(header, "Content-Type", c.contentType)
				}
				if w := h.do(h.token(u.ID, c.scope), method, strings.ReplaceAll(path, "{id}", "me"), string(text), header...); w.Code != status {
					t.Errorf("%s %s: %d %s", pattern, name, w.Code, w.Body)
				}
			}
		}
	})
}

func TestConsents(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		ada, bob := h.addUser("ada"), h.addUser("bob")
		shop, bank, theirs := consentOf("shop"), consentOf("bank"), consentOf("shop")
		h.platform.grants = map[string][]Consent{ada.ID: {shop, bank}, bob.ID: {theirs}}
		read, write := h.token(ada.ID, "consents:read"), h.token(ada.ID, "consents:write")
		list := func() []Consent {
			w := h.do(read, "GET", "/api/users/me/consents", "")
			if w.Code != 200 || w.Header().Get("Cache-Control") != "private, no-cache" {
				t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			return decode[struct{ Data []Consent }](t, w).Data
		}
		if got := list(); len(got) != 2 || got[0].ID != shop.ID {
			t.Errorf("%+v", got)
		}
		tag := h.do(read, "GET", "/api/users/me/consents", "").Header().Get("ETag")
		if w := h.do(read, "GET", "/api/users/me/consents", "", "If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("what the caller has: %d %s", w.Code, w.Body)
		}
		wantRefusal(t, h.do(write, "DELETE", "/api/users/me/consents/"+theirs.ID, ""), 404, "not_found")
		wantRefusal(t, h.do(write, "DELETE", "/api/users/me/consents/x", ""), 404, "not_found")
		wantRefusal(t, h.do(write, "DELETE", "/api/users/"+bob.ID+"/consents/"+theirs.ID, ""), 404, "not_found")
		wantRefusal(t, h.do(read, "GET", "/api/users/"+bob.ID+"/consents", ""), 404, "not_found")
		if w := h.do(write, "DELETE", "/api/users/me/consents/"+shop.ID, ""); w.Code != 204 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		wantRefusal(t, h.do(write, "DELETE", "/api/users/me/consents/"+shop.ID, ""), 404, "not_found")
		if got := list(); len(got) != 1 || got[0].ID != bank.ID {
			t.Errorf("%+v", got)
		}
		h.platform.set(func(f *fakePlatform) { f.away = true })
		wantRefusal(t, h.do(read, "GET", "/api/users/me/consents", ""), 503, "temporarily_unavailable")
		wantRefusal(t, h.do(write, "DELETE", "/api/users/me/consents/"+bank.ID, ""), 503, "temporarily_unavailable")
	})
}

func TestExport(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		h.platform.grants[u.ID] = []Consent{consentOf("shop")}
		token := h.token(u.ID, "profile:export")
		w := h.do(token, "GET", "/api/users/me/export", "")
		got := decode[struct {
			Profile  profile
			Consents []Consent
			Accounts []struct{ ID string }
			Payments []struct{ ID string }
		}](t, w)
		if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || got.Profile.Email != "ada@example.com" || len(got.Consents) != 1 ||
			fmt.Sprint(got.Accounts, got.Payments) != "[{a}] [{1} {2} {3}]" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		h.platform.set(func(f *fakePlatform) { f.away = true })
		wantRefusal(t, h.do(token, "GET", "/api/users/me/export", ""), 503, "temporarily_unavailable")
	})
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		token := h.token(u.ID, "password:write")
		change := func(current, fresh string) (string, string) {
			return "/api/users/me/password", fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, current, fresh)
		}
		path, body := change(testPassword, "short")
		wantRefusal(t, h.do(token, "POST", path, body), 422, "validation_failed", "/new_password")
		path, body = change("wrong", "a better horse battery")
		for range freeFailures {
			wantRefusal(t, h.do(token, "POST", path, body), 403, "wrong_password", "/current_password")
		}
		path, body = change(testPassword, "a better horse battery")
		locked := h.do(token, "POST", path, body)
		wantRefusal(t, locked, 429, "too_many_attempts")
		if locked.Header().Get("Retry-After") != "30" {
			t.Errorf("Retry-After %q", locked.Header().Get("Retry-After"))
		}
		if got := h.check("ada", testPassword); got.Result != resultLocked {
			t.Errorf("the sign-in page does not know of the attempts: %+v", got)
		}
		h.advance(time.Minute)
		if w := h.do(token, "POST", path, body); w.Code != 204 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if got := h.check("ada", testPassword); got.Result != resultRefused {
			t.Errorf("the old password: %+v", got)
		}
		if got := h.check("ada", "a better horse battery"); got.Result != resultOK {
			t.Errorf("the new password: %+v", got)
		}
	})
}

// Whoever had the old password may have signed in to apps with it: they lose access.
func TestANewPasswordEndsAccess(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		change := func(u User, more string) *httptest.ResponseRecorder {
			h.platform.set(func(f *fakePlatform) { f.grants[u.ID] = []Consent{consentOf("shop")} })
			return h.do(h.token(u.ID, "password:write"), "POST", "/api/users/me/password",
				fmt.Sprintf(`{"current_password":%q,"new_password":"a better horse battery"%s}`, testPassword, more))
		}
		granted := func(u User) bool { return len(h.platform.grants[u.ID]) > 0 }
		waiting := func() (n int) {
			t.Helper()
			if err := h.config.DB.QueryRow("SELECT count(*) FROM access_endings").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		ada, bob, eve := h.addUser("ada"), h.addUser("bob"), h.addUser("eve")
		if w := change(ada, ""); w.Code != 204 || granted(ada) || waiting() != 0 {
			t.Errorf("%d %s, granted %v, %d wait", w.Code, w.Body, granted(ada), waiting())
		}
		if w := change(bob, `,"keep_access":true`); w.Code != 204 || !granted(bob) || waiting() != 0 {
			t.Errorf("kept: %d %s, granted %v, %d wait", w.Code, w.Body, granted(bob), waiting())
		}
		// The password is new at once, whether the other service answers or not.
		h.platform.set(func(f *fakePlatform) { f.away = true })
		if w := change(eve, ""); w.Code != 202 || !strings.Contains(w.Body.String(), "ending_access") || waiting() != 1 {
			t.Errorf("away: %d %s, %d wait", w.Code, w.Body, waiting())
		}
		if got := h.check("eve", "a better horse battery"); got.Result != resultOK {
			t.Errorf("the new password: %+v", got)
		}
		if err := h.svc.finishEndings(t.Context()); err == nil || !granted(eve) {
			t.Errorf("still away: %v", err)
		}
		h.platform.set(func(f *fakePlatform) { f.away = false })
		if err := h.svc.finishEndings(t.Context()); err != nil || granted(eve) || waiting() != 0 {
			t.Errorf("back: %v, granted %v, %d wait", err, granted(eve), waiting())
		}
		// A wrong password ends nothing.
		h.platform.set(func(f *fakePlatform) { f.grants[bob.ID] = []Consent{consentOf("shop")} })
		w := h.do(h.token(bob.ID, "password:write"), "POST", "/api/users/me/password", `{"current_password":"wrong","new_password":"another horse battery"}`)
		if wantRefusal(t, w, 403, "wrong_password", "/current_password"); !granted(bob) || waiting() != 0 {
			t.Error("a wrong password ended access")
		}
	})
}

// A password that an operator sets ends access too, unless it is the one of before.
func TestAnOperatorsPasswordEndsAccess(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		h.platform.grants[u.ID] = []Consent{consentOf("shop")}
		for _, c := range []struct {
			password string
			kept     int
		}{{testPassword, 1}, {"a better horse battery", 0}} {
			if _, err := runCommand(t, c.password, "add", "--database", dsn, "--secret-file", h.keyFile, "--username", "ada", "--replace",
				"--name", "Ada Lovelace", "--email", "ada@example.com", "--password-file", "-"); err != nil {
				t.Fatal(err)
			}
			if err := h.svc.finishEndings(t.Context()); err != nil || len(h.platform.grants[u.ID]) != c.kept {
				t.Errorf("%v, %d grants left, want %d", err, len(h.platform.grants[u.ID]), c.kept)
			}
		}
	})
}

func (h *harness) closings() {
	h.t.Helper()
	if err := h.svc.finishClosings(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

func (h *harness) state(id string) (state string) {
	h.t.Helper()
	if err := h.config.DB.QueryRow("SELECT state FROM users WHERE id = $1", id).Scan(&state); err != nil {
		h.t.Fatal(err)
	}
	return state
}

func TestErasure(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u, bob := h.addUser("ada"), h.addUser("bob")
		h.platform.grants[u.ID] = []Consent{consentOf("shop")}
		token, reading := h.token(u.ID, "profile:delete"), h.token(u.ID, "profile:read")
		wantRefusal(t, h.do(token, "DELETE", "/api/users/"+bob.ID, ""), 404, "not_found")
		for _, c := range []struct {
			open Money
			cure string
		}{
			{Money{Open: true, Balance: true, Payments: true}, "until every balance is zero"},
			{Money{Open: true, Payments: true}, "Wait until it has succeeded"},
			{Money{Open: true}, "then close the account"},
		} {
			h.platform.set(func(f *fakePlatform) { f.open = c.open })
			w := h.do(token, "DELETE", "/api/users/me", "")
			wantRefusal(t, w, 409, "money_open")
			if !strings.Contains(w.Body.String(), c.cure) {
				t.Errorf("%+v: it is not said what to do: %s", c.open, w.Body)
			}
		}
		h.platform.set(func(f *fakePlatform) { f.open, f.away = Money{}, true })
		wantRefusal(t, h.do(token, "DELETE", "/api/users/me", ""), 503, "temporarily_unavailable")
		h.platform.set(func(f *fakePlatform) { f.away = false })
		if got := h.state(u.ID); got != "active" {
			t.Fatalf("state %s after refusals", got)
		}
		if w := h.do(token, "DELETE", "/api/users/me", ""); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if len(h.platform.grants[u.ID]) != 0 {
			t.Error("apps keep their access")
		}
		if got := h.check("ada", testPassword); got.Result != resultRefused {
			t.Errorf("sign-in: %+v", got)
		}
		wantRefusal(t, h.do(reading, "GET", "/api/users/me", ""), 404, "not_found")
		h.closings()
		h.advance(DefaultCloseAfter - time.Second)
		h.closings()
		if got := h.state(u.ID); got != "closing" {
			t.Fatalf("state %s while tokens of before may be valid", got)
		}
		h.advance(time.Second)
		h.platform.set(func(f *fakePlatform) { f.away = true })
		if err := h.svc.finishClosings(t.Context()); err == nil {
			t.Error("closed without asking for the money")
		}
		if len(h.platform.closed) != 0 {
			t.Errorf("closed too early: %v", h.platform.closed)
		}
		h.platform.set(func(f *fakePlatform) { f.away = false })
		h.closings()
		if got := h.state(u.ID); got != "erased" || !slices.Equal(h.platform.closed, []string{u.ID}) {
			t.Fatalf("state %s, closed accounts of %v", got, h.platform.closed)
		}
		var personal int
		if err := h.config.DB.QueryRow(`SELECT count(*) FROM users WHERE id = $1 AND (key IS NOT NULL OR username IS NOT NULL OR
			name IS NOT NULL OR email IS NOT NULL OR phone IS NOT NULL OR username_index IS NOT NULL OR password_hash <> '')`, u.ID).Scan(&personal); err != nil || personal != 0 {
			t.Errorf("something is left: %d %v", personal, err)
		}
		// The name is free again, and leads to another id.
		if again := h.addUser("ada"); again.ID == u.ID {
			t.Error("the id was given again")
		}
		if got := h.check("bob", testPassword); got.Result != resultOK {
			t.Errorf("somebody else: %+v", got)
		}
	})
}

// Money that comes in while an account is being closed keeps it from being erased.
func TestMoneyThatComesInReopens(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		if w := h.do(h.token(u.ID, "profile:delete"), "DELETE", "/api/users/me", ""); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		h.advance(DefaultCloseAfter)
		h.platform.set(func(f *fakePlatform) { f.open = Money{Open: true, Balance: true} })
		h.closings()
		if got := h.check("ada", testPassword); got.Result != resultOK {
			t.Errorf("sign-in: %+v", got)
		}
	})
}

// What is in the database is of no use to whoever has the database only.
func TestNothingPersonalIsStoredInClear(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		if w := h.do(h.token("shop", "users:create"), "POST", "/api/users", body(t)); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		rows, err := h.config.DB.Query(`SELECT id, key, username_index, username, name, email, phone, password_hash FROM users`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		columns, count := make([][]byte, 8), 0
		into := make([]any, len(columns))
		for i := range columns {
			into[i] = &columns[i]
		}
		for ; rows.Next(); count++ {
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for _, column := range columns {
				for _, secret := range []string{"race", "Hopper", "navy", "960001", "ship in port"} {
					if strings.Contains(string(column), secret) {
						t.Errorf("stored in clear: %s", column)
					}
				}
			}
		}
		if count != 1 || rows.Err() != nil {
			t.Errorf("%d rows, %v", count, rows.Err())
		}
	})
}

// Users who were stored before there were keys are sealed when the service starts,
// by several instances at once too.
func TestUsersOfBeforeAreSealed(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		for i := range 20 {
			_, err := h.config.DB.Exec(`INSERT INTO users_plain (id, username, name, email, phone, locale, password_hash, version, created_at, updated_at)
				VALUES ($1, $2, 'Ada Lovelace', 'ada@example.com', '+441632960001', 'en', $3, 7, 1000000, 2000000)`,
				uuid.Must(uuid.NewV7()).String(), fmt.Sprint("ada", i), testHash())
			if err != nil {
				t.Fatal(err)
			}
		}
		var starting sync.WaitGroup
		for range 3 {
			starting.Go(func() {
				if _, err := New(t.Context(), h.config); err != nil {
					t.Error(err)
				}
			})
		}
		starting.Wait()
		var left int
		if err := h.config.DB.QueryRow("SELECT count(*) FROM users_plain").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d left in clear, %v", left, err)
		}
		u, err := h.svc.store.byUsername(t.Context(), h.config.DB, "ada19")
		if err != nil || u.Name != "Ada Lovelace" || u.Phone != "+441632960001" || u.Version != 7 || u.UpdatedAt.Unix() != 2 {
			t.Errorf("%+v %v", u, err)
		}
		if got := h.check("ada0", testPassword); got.Result != resultOK {
			t.Errorf("sign-in: %+v", got)
		}
	})
}

func TestKeysAreRotatedWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		file := h.keyFile
		args := []string{"--database", dsn, "--secret-file", file}
		if _, err := runCommand(t, "", append([]string{"key", "add"}, args...)...); err != nil {
			t.Fatal(err)
		}
		out, err := runCommand(t, "", append([]string{"key", "rotate", "--forget-old"}, args...)...)
		if err != nil || !strings.Contains(out, `"sealed_anew": 2`) {
			t.Fatalf("%s %v", out, err)
		}
		if w := h.do(h.token(u.ID, "profile:read"), "GET", "/api/users/me", ""); w.Code != http.StatusOK {
			t.Errorf("the running service: %d %s", w.Code, w.Body)
		}
		h.addUser("bob") // sealed with the key that the running service has by now
		h.config.Keys, err = OpenKeys(file)
		if err != nil {
			t.Fatal(err)
		}
		h.restart()
		for _, name := range []string{"ada", "bob"} {
			if got := h.check(name, testPassword); got.Result != resultOK {
				t.Errorf("after a restart: %s %+v", name, got)
			}
		}
		if h.config.Keys, err = OpenKeys(file + ".other"); err != nil {
			t.Fatal(err)
		}
		if _, err := New(t.Context(), h.config); err == nil || !strings.Contains(err.Error(), "right key file") {
			t.Errorf("with another key file: %v", err)
		}
		if err := vault.AddKey(file + ".none"); err == nil {
			t.Error("a key was added to a file that is not there")
		}
	})
}
