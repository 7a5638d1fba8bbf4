package users

import (
	"fmt"
	"sync"
	"testing"
)

func changing(current, fresh string) string {
	return fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, current, fresh)
}

// A new password and the end of the failures before it are one: without the one there is
// not the other.
func TestANewPasswordForgetsFailuresOrIsNone(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		h.check("ada", "wrong")
		// What refuses the deletion stands for a crash right before it.
		if _, err := h.config.DB.Exec(map[bool]string{
			true: `CREATE TRIGGER broken BEFORE DELETE ON password_attempts BEGIN SELECT RAISE(ABORT, 'broken'); END`,
			false: `CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
				CREATE TRIGGER broken BEFORE DELETE ON password_attempts FOR EACH ROW EXECUTE FUNCTION broken()`,
		}[h.config.DB.Dialect == "sqlite"]); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, h.do(h.token(u.ID, "password:write"), "POST", "/api/users/me/password", changing(testPassword, "a better horse battery")), 500, "internal_error")
		now, err := h.svc.store.byID(t.Context(), h.config.DB, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if old, _, err := verifyPassword(now.passwordHash, testPassword); !old || err != nil {
			t.Errorf("the password has changed, and the answer was that it has not: %v", err)
		}
	})
}

// However many changes wait for the authorization server, others sign in.
func TestChangesThatWaitKeepNobodyFromSigningIn(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	changes := cap(h.svc.passwords.slots)
	var waiting, all sync.WaitGroup
	let := make(chan struct{})
	waiting.Add(changes)
	h.platform.set(func(f *fakePlatform) { f.slow = func() { waiting.Done(); <-let } })
	for i := range changes {
		u := h.addUser(fmt.Sprint("user-", i))
		all.Go(func() {
			if w := h.do(h.token(u.ID, "password:write"), "POST", "/api/users/me/password", changing(testPassword, "a better horse battery")); w.Code != 204 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	waiting.Wait()
	h.addUser("ada")
	if got := h.check("ada", testPassword); got.Result != resultOK {
		t.Errorf("%+v", got)
	}
	close(let)
	all.Wait()
}
