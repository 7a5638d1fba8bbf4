package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

func (f *fixture) count(t *testing.T, query string) (n int) {
	t.Helper()
	must(t, f.db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// A sign-in whose password was looked at before the user's access was ended makes no login;
// of others nothing is known.
func TestASignInFromBeforeAnEnding(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for range 2 { // also where it was ended before
			began, err := s.LastEnding(t.Context())
			must(t, err)
			_, err = s.RevokeUserGrants(t.Context(), "other", "")
			must(t, err)
			_, err = s.RevokeUserGrants(t.Context(), "ada", "")
			must(t, err)
			if _, err := s.CreateLogin(t.Context(), Login{UserID: "ada", AuthTime: s.now()}, began); !errors.Is(err, ErrEnded) {
				t.Errorf("a password from before: %v", err)
			}
			_, err = s.CreateLogin(t.Context(), Login{UserID: "bob", AuthTime: s.now()}, began)
			must(t, err)
		}
		if n := s.count(t, `SELECT count(*) FROM login_sessions`); n != 2 {
			t.Errorf("%d logins, of which two are bob's", n)
		}
		again, err := s.LastEnding(t.Context())
		must(t, err)
		_, err = s.CreateLogin(t.Context(), Login{UserID: "ada", AuthTime: s.now()}, again)
		must(t, err)
		// Only the last ending of a user counts, and only for a while.
		if n := s.count(t, `SELECT count(*) FROM access_endings`); n != 2 {
			t.Errorf("%d endings are kept of two users", n)
		}
		s.advance(endingKept + time.Second)
		_, err = s.DeleteExpired(t.Context())
		must(t, err)
		if n := s.count(t, `SELECT count(*) FROM access_endings`); n != 0 {
			t.Errorf("%d endings stay for ever", n)
		}
	})
}

// The revocation of one client's grants leaves what is under way alone.
func TestOneClientsGrantsAreNoEnding(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		_, err := s.RevokeUserGrants(t.Context(), "ada", "shop")
		must(t, err)
		_, err = s.CreateLogin(t.Context(), Login{UserID: "ada", AuthTime: s.now()}, 0)
		must(t, err)
	})
}

// A consent whose login is over, or was another user's, makes no grant.
func TestAConsentFromBeforeAnEnding(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for name, end := range map[string]func(g *goidc.Grant){
			"ended": func(g *goidc.Grant) {
				_, err := s.RevokeUserGrants(t.Context(), g.Subject, "")
				must(t, err)
			},
			"another user": func(g *goidc.Grant) { g.Subject = "other" },
			"no login":     func(g *goidc.Grant) { delete(g.Store, NoteLogin) },
		} {
			g := newGrant(name)
			must(t, s.signIn(t.Context(), g))
			end(g)
			if e, own := refusal.Own(s.Store.SaveGrant(t.Context(), g)); !own || e.Code != goidc.ErrorCodeAccessDenied {
				t.Errorf("%s: %v", name, e)
			}
		}
		if n := s.count(t, `SELECT count(*) FROM grants`); n != 0 {
			t.Errorf("%d grants", n)
		}
		g := newGrant("kept")
		must(t, s.signIn(t.Context(), g))
		must(t, s.Store.SaveGrant(t.Context(), g))
		if noted, _ := g.Store[NoteLogin].(string); dumpContains(t, s.Store, "grants", noted) {
			t.Error("the grant keeps the login")
		}
	})
}

// However sign-ins, consents and endings meet: when all are done, nothing is left of what
// began before the last ending.
func TestNothingOutlivesAnEnding(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for round := range 5 {
			began, err := s.LastEnding(t.Context())
			must(t, err)
			var all sync.WaitGroup
			for i := range 8 {
				g := newGrant(fmt.Sprint(round, "-", i))
				must(t, s.signIn(t.Context(), g))
				all.Go(func() {
					if _, err := s.CreateLogin(t.Context(), Login{UserID: "user", AuthTime: s.now()}, began); err != nil && !errors.Is(err, ErrEnded) {
						t.Error(err)
					}
				})
				all.Go(func() {
					err := s.Store.SaveGrant(t.Context(), g)
					if _, own := refusal.Own(err); err != nil && !own {
						t.Error(err)
					}
				})
			}
			for _, user := range []string{"other", "user"} {
				all.Go(func() {
					if _, err := s.RevokeUserGrants(t.Context(), user, ""); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if logins, grants := s.count(t, `SELECT count(*) FROM login_sessions`), s.count(t, `SELECT count(*) FROM grants WHERE revoked_at = 0`); logins+grants > 0 {
				t.Fatalf("%d logins and %d grants are left", logins, grants)
			}
		}
	})
}

// The numbers of endings commit in their order, or a sign-in could know a number above one
// that is still to come: the second ending waits for the first.
func TestEndingsComeOneAfterTheOther(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		if s.db.Dialect != database.Postgres {
			return // one writer
		}
		done := make(chan error, 1)
		err := s.db.InTx(t.Context(), func(tx *sql.Tx) error {
			if err := s.db.Dialect.Hold(t.Context(), tx, "access endings"); err != nil {
				return err
			}
			go func() {
				_, err := s.RevokeUserGrants(context.WithoutCancel(t.Context()), "ada", "")
				done <- err
			}()
			for waits := 0; waits == 0; {
				waits = s.count(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			}
			return nil
		})
		must(t, errors.Join(err, <-done))
	})
}
