package users

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

func TestReadProfile(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		token := h.token(u.ID, "profile:read")
		for _, path := range []string{"/api/users/me", "/api/users/" + u.ID} {
			w := h.do(token, "GET", path, "")
			if got := decode[profile](t, w); w.Code != 200 || got != profileOf(u) {
				t.Errorf("%s: %d %+v", path, w.Code, got)
			}
			if w.Header().Get("ETag") != `"1"` || w.Header().Get("Cache-Control") != "private, no-cache" {
				t.Errorf("%s: %v", path, w.Header())
			}
		}
		for tag, status := range map[string]int{`"1"`: 304, `W/"1"`: 304, `"0", "1"`: 304, "*": 304, `"2"`: 200, "1": 200} {
			w := h.do(token, "GET", "/api/users/me", "", "If-None-Match", tag)
			if w.Code != status || w.Header().Get("ETag") != `"1"` || status == 304 && w.Body.Len() > 0 {
				t.Errorf("If-None-Match %s: %d %s", tag, w.Code, w.Body)
			}
		}
	})
}

func TestChangeProfile(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		token := h.token(u.ID, "profile:write")
		patch := func(body, tag string) profile {
			t.Helper()
			w := h.do(token, "PATCH", "/api/users/me", body, "If-Match", tag, "Content-Type", "application/merge-patch+json")
			if w.Code != 200 {
				t.Fatalf("%s: %d %s", body, w.Code, w.Body)
			}
			return decode[profile](t, w)
		}
		want := profileOf(u)
		want.Name, want.Phone = "Ada King", "+441632960002"
		if got := patch(`{"name":" Ada King ","phone":"+441632960002"}`, `"1"`); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		want.Phone, want.Locale, want.Email = "", "fr", "Ada@king.example"
		if got := patch(`{"phone":null,"locale":"fr","email":"Ada@KING.example"}`, `"2"`); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := patch(`{}`, "*"); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if w := h.do(h.token(u.ID, "profile:read"), "GET", "/api/users/me", ""); w.Header().Get("ETag") != `"4"` {
			t.Errorf("ETag %s after three changes", w.Header().Get("ETag"))
		}
		if got := h.check("ada", testPassword); got.Result != resultOK {
			t.Errorf("a new address changed the sign-in: %+v", got)
		}
	})
}

func TestChangeProfileRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	u := h.addUser("ada")
	token := h.token(u.ID, "profile:write")
	for name, c := range map[string]struct {
		body, tag string
		status    int
		code      string
		pointers  []string
	}{
		"no If-Match":      {`{"name":"X"}`, "", 428, "if_match_required", []string{"If-Match"}},
		"old version":      {`{"name":"X"}`, `"0"`, 412, "version_mismatch", nil},
		"weak tag":         {`{"name":"X"}`, `W/"1"`, 412, "version_mismatch", nil},
		"name removed":     {`{"name":null}`, `"1"`, 422, "validation_failed", []string{"/name"}},
		"two wrong":        {`{"email":"x","phone":"1"}`, `"1"`, 422, "validation_failed", []string{"/email", "/phone"}},
		"id is not theirs": {`{"id":"x"}`, `"1"`, 400, "malformed_json", []string{""}},
		"username":         {`{"username":"root"}`, `"1"`, 400, "malformed_json", []string{""}},
		"wrong type":       {`{"name":{"first":"A"}}`, `"1"`, 400, "malformed_json", []string{"/name"}},
		"an array":         {`[]`, `"1"`, 400, "malformed_json", nil},
		"a member twice":   {`{"name":"X","name":"Y"}`, `"1"`, 400, "malformed_json", []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, h.do(token, "PATCH", "/api/users/"+u.ID, c.body, "If-Match", c.tag), c.status, c.code, c.pointers...)
		})
	}
	if got, err := h.svc.store.byUsername(t.Context(), h.config.DB, "ada"); err != nil || got.Version != 1 {
		t.Errorf("a refused change was stored: %+v, %v", got, err)
	}
}

func TestSomebodyElsesAddressIsNotTold(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	u := h.addUser("ada")
	h.addUser("bob")
	for version, address := range []string{"bob@example.com", "nobody@example.com"} {
		w := h.do(h.token(u.ID, "profile:write"), "PATCH", "/api/users/me",
			fmt.Sprintf(`{"email":%q}`, address), "If-Match", rest.VersionTag(int64(version+1)))
		if w.Code != 200 {
			t.Errorf("%s: %d %s", address, w.Code, w.Body)
		}
	}
}

func TestOneOfManyEqualChangesWins(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		token := h.token(u.ID, "profile:write")
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				w := h.do(token, "PATCH", "/api/users/me", fmt.Sprintf(`{"name":"Ada %d"}`, i), "If-Match", `"1"`)
				switch w.Code {
				case 200:
					won.Add(1)
				case 412:
					lost.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 9 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
	})
}
