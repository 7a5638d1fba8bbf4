package users

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// body makes a good registration, altered by name and value pairs; a nil removes.
func body(t testing.TB, changes ...any) string {
	t.Helper()
	members := map[string]any{
		"name": "Grace Hopper", "email": "Grace@Navy.example", "phone": "+441632960001",
		"locale": "en-GB", "password": "a ship in port is safe",
	}
	for i := 0; i < len(changes); i += 2 {
		members[changes[i].(string)] = changes[i+1]
	}
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func answerOf(w *httptest.ResponseRecorder) string {
	return fmt.Sprint(w.Code, w.Header(), w.Body)
}

func TestRegister(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		token := h.token("shop", "users:create")
		first := h.do(token, "POST", "/api/users", body(t))
		if first.Code != 202 || first.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s", first.Code, first.Header(), first.Body)
		}
		again := h.do(token, "POST", "/api/users", body(t, "email", "gRACE@navy.EXAMPLE", "name", "Mallory", "password", "a password of mallory"))
		if answerOf(again) != answerOf(first) {
			t.Errorf("the answer tells a known address from an unknown one:\n%s\n%s", answerOf(first), answerOf(again))
		}
		u, err := h.svc.store.byUsername(t.Context(), h.config.DB, "grace@navy.example")
		if err != nil || u.Name != "Grace Hopper" || u.Email != "Grace@navy.example" || u.Phone != "+441632960001" || u.Locale != "en-GB" {
			t.Errorf("stored %+v, %v", u, err)
		}
		if got := h.check("GRACE@navy.example", "a ship in port is safe"); got.Result != resultOK || got.User.ID != u.ID {
			t.Errorf("sign-in: %+v", got)
		}
		if got := h.check("grace@navy.example", "a password of mallory"); got.Result != resultRefused {
			t.Errorf("the second registration changed the password: %+v", got)
		}
		for _, secret := range []string{"Grace", "race@", "ship in port", "mallory", "960001", u.ID} {
			if strings.Contains(h.logs.String(), secret) {
				t.Errorf("%q is in the log", secret)
			}
		}
	})
}

// A known address takes a write as well: it is the part that waits for the disk.
func TestRegisterWritesForAKnownAddress(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		looking, err := h.config.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = looking.Close() }()
		// What changes when somebody else writes: the file's version as this one
		// connection sees it, or who wrote the row.
		look := "PRAGMA data_version"
		if h.config.DB.Dialect == database.Postgres {
			look = "SELECT string_agg(xmin::text, ' ') FROM users"
		}
		seen := func() (mark string) {
			t.Helper()
			if err := looking.QueryRowContext(t.Context(), look).Scan(&mark); err != nil {
				t.Fatal(err)
			}
			return mark
		}
		token := h.token("shop", "users:create")
		h.do(token, "POST", "/api/users", body(t))
		u, err := h.svc.store.byUsername(t.Context(), h.config.DB, "grace@navy.example")
		if err != nil {
			t.Fatal(err)
		}
		before := seen()
		if h.do(token, "POST", "/api/users", body(t, "name", "Mallory")); seen() == before {
			t.Error("nothing was written")
		}
		if now, err := h.svc.store.byUsername(t.Context(), h.config.DB, "grace@navy.example"); err != nil || now.Version != u.Version || now.Name != u.Name || now.passwordHash != u.passwordHash {
			t.Errorf("the user changed to %+v, %v", now, err)
		}
	})
}

func TestRegisterSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	token := h.token("shop", "users:create")
	for name, c := range map[string]struct {
		body     string
		status   int
		code     string
		pointers []string
	}{
		"everything":        {body(t, "name", nil, "email", "x", "phone", "0163", "locale", "klingon", "password", "short"), 422, "validation_failed", []string{"/name", "/email", "/phone", "/locale", "/password"}},
		"name of spaces":    {body(t, "name", "  "), 422, "validation_failed", []string{"/name"}},
		"name too long":     {body(t, "name", strings.Repeat("ö", 101)), 422, "validation_failed", []string{"/name"}},
		"name turns around": {body(t, "name", "Ada \u202egro.elpmaxe"), 422, "validation_failed", []string{"/name"}},
		"name with newline": {body(t, "name", "Ada\nBcc: x"), 422, "validation_failed", []string{"/name"}},
		"name is a card":    {body(t, "name", "4111.1111.1111.1111"), 422, "validation_failed", []string{"/name"}},
		"address is a card": {body(t, "email", "4111111111111111@example.com"), 422, "validation_failed", []string{"/email"}},
		"address with name": {body(t, "email", "Ada <ada@example.com>"), 422, "validation_failed", []string{"/email"}},
		"address no domain": {body(t, "email", "ada@localhost"), 422, "validation_failed", []string{"/email"}},
		"address quoted":    {body(t, "email", `"a b"@example.com`), 422, "validation_failed", []string{"/email"}},
		"address too long":  {body(t, "email", strings.Repeat("a", 250)+"@example.com"), 422, "validation_failed", []string{"/email"}},
		"one character":     {body(t, "password", strings.Repeat("a", 20)), 422, "validation_failed", []string{"/password"}},
		"password is name":  {body(t, "password", "grace@navy.example"), 422, "validation_failed", []string{"/password"}},
		"password too long": {body(t, "password", strings.Repeat("ab", 129)), 422, "validation_failed", []string{"/password"}},
		"wrong type":        {body(t, "name", 7), 400, "malformed_json", []string{"/name"}},
		"unknown member":    {body(t, "role", "admin"), 400, "malformed_json", []string{""}},
		"not JSON":          {`{"name"`, 400, "malformed_json", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, h.do(token, "POST", "/api/users", c.body), c.status, c.code, c.pointers...)
		})
	}
	wantRefusal(t, h.do(token, "POST", "/api/users", "name=x", "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")
	if _, err := h.svc.store.byUsername(t.Context(), h.config.DB, "grace@navy.example"); err == nil {
		t.Error("a refused registration was stored")
	}
}

func TestRegisterDefaults(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	if w := h.do(h.token("shop", "users:create"), "POST", "/api/users", body(t, "phone", nil, "locale", nil)); w.Code != 202 {
		t.Fatal(w.Code, w.Body)
	}
	u, err := h.svc.store.byUsername(t.Context(), h.config.DB, "grace@navy.example")
	if err != nil || u.Phone != "" || u.Locale != "en" {
		t.Errorf("%+v %v", u, err)
	}
}
