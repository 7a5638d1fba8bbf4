package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// check asks as the authorization server does.
func (h *harness) check(username, password string) verdict {
	h.t.Helper()
	in, err := json.Marshal(map[string]string{"username": username, "password": password})
	if err != nil {
		h.t.Fatal(err)
	}
	w := h.do(h.serviceToken(), "POST", "/internal/password-checks", string(in))
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
		h.t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return decode[verdict](h.t, w)
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		for _, typed := range []string{"ada", " ADA "} {
			if got := h.check(typed, testPassword); got.Result != resultOK || *got.User != *personOf(u) {
				t.Errorf("%q: %+v", typed, got)
			}
		}
		for typed, password := range map[string]string{
			"ada": "wrong", "nobody": testPassword, "": "", "a\x00b'": testPassword,
			strings.Repeat("x", 5000): testPassword, "bob": strings.Repeat("y", 5000),
		} {
			if got := h.check(typed, password); got.Result != resultRefused || got.User != nil {
				t.Errorf("%.20q: %+v", typed, got)
			}
		}
	})
}

// A stranger's name is compared with a hash that costs what a user's does.
func TestAnUnknownNameCostsAsMuch(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		h.addUser("ada")
		for username, known := range map[string]bool{"ada": true, "nobody": false, "no name!": false} {
			c, err := h.svc.claimantOf(t.Context(), username)
			if err != nil || c.known != known || c.subject == "" {
				t.Errorf("%s: %+v, %v", username, c, err)
			}
			if made, salt, key, err := decodeHash(c.hash); err != nil || made != currentCost || len(salt) != saltBytes || len(key) != keyBytes {
				t.Errorf("%s: a hash of cost %+v, %v", username, made, err)
			}
		}
	})
}

func TestLockout(t *testing.T) {
	t.Parallel()
	for _, username := range []string{"ada", "nobody"} {
		t.Run(username, func(t *testing.T) {
			t.Parallel()
			fresh.ForEach(t, func(t *testing.T, dsn string) {
				h := newHarness(t, dsn)
				h.addUser("ada")
				for range freeFailures {
					if got := h.check(username, "wrong"); got.Result != resultRefused {
						t.Fatalf("%+v", got)
					}
				}
				if got := h.check(username, testPassword); got.Result != resultLocked || got.RetryAfter != 30 || got.User != nil {
					t.Errorf("%+v, want locked for 30 s", got)
				}
				h.restart() // a restart forgets nothing
				h.advance(29 * time.Second)
				if got := h.check(username, testPassword); got.Result != resultLocked || got.RetryAfter != 1 {
					t.Errorf("%+v, want locked for one second more", got)
				}
				h.advance(time.Second)
				if got := h.check(username, "wrong"); got.Result != resultRefused {
					t.Errorf("%+v, want one more try", got)
				}
				if got := h.check(username, "wrong"); got.Result != resultLocked || got.RetryAfter != 60 {
					t.Errorf("%+v, want locked for twice as long", got)
				}
			})
		})
	}
}

func TestSuccessClearsFailures(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		for range 2 {
			for range freeFailures - 1 {
				h.check("ada", "wrong")
			}
			if got := h.check("ada", testPassword); got.Result != resultOK {
				t.Fatalf("%+v", got)
			}
		}
		// Failures of yesterday do not count either.
		for range freeFailures {
			h.check("ada", "wrong")
		}
		h.advance(attemptsMemory + time.Minute)
		h.check("ada", "wrong")
		if got := h.check("ada", testPassword); got.Result != resultOK {
			t.Errorf("%+v", got)
		}
		if err := h.svc.store.forgetAttempts(t.Context(), h.now()); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := h.config.DB.QueryRow("SELECT count(*) FROM password_attempts WHERE subject = $1", u.ID).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

// Guesses that arrive together must not all be judged as the first one.
func TestGuessesAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		h.addUser("ada")
		var mu sync.Mutex
		results := map[string]int{}
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				got := h.check("ada", "wrong")
				mu.Lock()
				defer mu.Unlock()
				results[got.Result]++
			})
		}
		wg.Wait()
		if results[resultRefused] != freeFailures || results[resultLocked] != 30-freeFailures {
			t.Errorf("%v: want %d judged", results, freeFailures)
		}
	})
}

func TestSweepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	h.check("nobody", "wrong")
	h.advance(attemptsMemory + time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.svc.Sweep(ctx) }()
	for rows := 1; rows > 0; {
		if err := h.config.DB.QueryRow("SELECT count(*) FROM password_attempts").Scan(&rows); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLockAfter(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		0: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 9: 8 * time.Minute, 10: longestLock, 1_000_000: longestLock,
	} {
		if got := lockAfter(failures); got != want {
			t.Errorf("after %d: %v, want %v", failures, got, want)
		}
	}
}

func TestOldHashIsReplaced(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		weak := cost{memory: 1 << 10, passes: 1, threads: 1}
		salt := []byte("0123456789abcdef")
		old := encodeHash(weak, salt, argon2.IDKey([]byte(testPassword), salt, 1, 1<<10, 1, keyBytes))
		if err := h.svc.store.setPasswordHash(t.Context(), u.ID, testHash(), old); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := h.check("ada", testPassword); got.Result != resultOK {
				t.Fatalf("%+v", got)
			}
		}
		now, err := h.svc.store.byID(t.Context(), h.config.DB, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if c, _, _, err := decodeHash(now.passwordHash); err != nil || c != currentCost {
			t.Errorf("cost %+v, %v", c, err)
		}
	})
}

func TestHashes(t *testing.T) {
	t.Parallel()
	if one, two := testHash(), hashPassword(testPassword); one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=2048,t=1,p=1$") {
		t.Errorf("%s\n%s", one, two)
	}
	salt := []byte("0123456789abcdef")
	full := encodeHash(fullCost, salt, deriveKey(testPassword, salt, fullCost, keyBytes))
	if ok, _, err := verifyPassword(full, testPassword); !ok || err != nil || !strings.HasPrefix(full, "$argon2id$v=19$m=47104,t=1,p=1$") {
		t.Errorf("%s: %v, %v", full, ok, err)
	}
	// No user is as much work as a user.
	if c, _, key, err := decodeHash(newHasher().decoy()); err != nil || c != currentCost || len(key) != keyBytes {
		t.Errorf("%+v %v", c, err)
	}
	for _, broken := range []string{"", "x", "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA", "$argon2id$v=18$m=1,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=1$AAAA$AAAA", "$argon2id$v=19$m=1,t=1,p=1$!$AAAA", "$argon2id$v=19$m=1,t=1,p=1$AAAA$", "$argon2id$v=19$m=1,t=0,p=0$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, _, err := verifyPassword(broken, ""); !errors.Is(err, errHashFormat) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	for range cap(h.svc.passwords.slots) {
		if _, err := h.svc.passwords.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.svc.judge(ctx, "ada", "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var rows int
	if err := h.config.DB.QueryRow("SELECT count(*) FROM password_attempts").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d attempts counted, %v: being busy is nobody's wrong password", rows, err)
	}
}

func TestNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fresh.SQLite(t))
	u := h.addUser("canary-name")
	h.check("canary-name", "canary-secret")
	h.check("canary-name", testPassword)
	h.do(h.token(u.ID, "profile:read"), "GET", "/api/users/me", "")
	_ = h.config.DB.Close()
	h.do(h.serviceToken(), "GET", "/internal/users/"+u.ID, "")
	h.do(h.token("c", "users:create"), "POST", "/api/users", body(t, "name", "canary-name", "email", "canary-name@example.com"))
	logs := h.logs.String()
	for _, personal := range []string{"canary", testPassword, u.Name, "eyJ", "argon2"} {
		if strings.Contains(logs, personal) {
			t.Errorf("%q is in the log:\n%s", personal, logs)
		}
	}
	if !strings.Contains(logs, fmt.Sprintf(`"result":%q`, resultRefused)) || !strings.Contains(logs, "request failed") {
		t.Errorf("the log lacks what happened:\n%s", logs)
	}
}
