package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

func ids(list []RevokedGrant) string {
	var all string
	for _, g := range list {
		all += g.ID + " "
	}
	return all
}

// What is revoked waits to be published, by each way of revoking, until that is noted.
func TestRevocationsWait(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		var told int
		s.OnRevoke(func() { told++ })
		for _, id := range []string{"kept", "a", "b", "c", "d"} {
			must(t, s.SaveGrant(t.Context(), newGrant(id)))
			s.advance(time.Millisecond)
		}
		must(t, redeem(t.Context(), s.Store, "code-b"))
		a, b, kept := newGrant("a"), newGrant("b"), newGrant("kept")
		a.RevokedAt = 1
		must(t, s.SaveGrant(t.Context(), a))
		s.advance(time.Millisecond)
		must(t, s.RevokeConsumed(t.Context(), b))
		must(t, s.RevokeConsumed(t.Context(), kept)) // its code was not consumed
		s.advance(time.Millisecond)
		must(t, s.RevokeUserGrant(t.Context(), "user", "c"))
		s.advance(time.Millisecond)
		must(t, s.RevokeUserGrant(t.Context(), "user", "d"))
		must(t, s.RevokeUserGrant(t.Context(), "user", "d")) // twice is once
		if told != 4 {
			t.Errorf("told %d times of 4 revocations", told)
		}

		since := s.now().Add(-time.Hour)
		expect := func(when, want string) {
			t.Helper()
			list, err := s.Unpublished(t.Context(), since, 10)
			must(t, err)
			if got := ids(list); got != want {
				t.Errorf("%s: %q waits, want %q", when, got, want)
			}
		}
		expect("at first", "a b c d ")
		waiting, oldest, err := s.Backlog(t.Context(), since)
		must(t, err)
		first, err := s.Unpublished(t.Context(), since, 1)
		must(t, err)
		if waiting != 4 || !oldest.Equal(first[0].At) {
			t.Errorf("%d wait since %v", waiting, oldest)
		}
		must(t, s.NotePublished(t.Context(), "b"))
		s.advance(time.Millisecond)
		must(t, s.NotePublished(t.Context(), "a"))
		must(t, s.NotePublished(t.Context(), "kept")) // not revoked
		expect("two published", "c d ")
		if ends, err := s.Published(t.Context(), since); err != nil || ids(ends) != "b a " {
			t.Errorf("first and last: %v, %v", ends, err)
		}
		if n, err := s.ForgetPublished(t.Context(), since); err != nil || n != 2 {
			t.Errorf("%d forgotten, %v", n, err)
		}
		expect("after Redis lost them", "a b c d ")
		s.advance(2 * time.Hour)
		since = s.now().Add(-time.Hour)
		expect("when no token can be valid", "")
	})
}

func TestUserGrants(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		save := func(id, subject, client string, change ...func(*goidc.Grant)) {
			t.Helper()
			g := newGrant(id)
			g.Subject, g.ClientID = subject, client
			for _, c := range change {
				c(g)
			}
			must(t, s.SaveGrant(t.Context(), g))
			s.advance(time.Millisecond)
		}
		brief := func(g *goidc.Grant) { g.RefreshToken, g.RefreshTokenExpiresAt = "", 0 }
		save("1", "ada", "shop")
		save("2", "ada", "books", brief)
		save("3", "bob", "shop")
		save("own", "ada", "ada", brief, func(g *goidc.Grant) { g.AuthCode = "" }) // a client that has a user's name
		save("4", "ada", "shop")
		must(t, redeem(t.Context(), s.Store, "code-1"))
		must(t, redeem(t.Context(), s.Store, "code-2"))
		expect := func(when, want string) {
			t.Helper()
			list, err := s.UserGrants(t.Context(), "ada")
			must(t, err)
			var got string
			for _, g := range list {
				got += g.ID + " "
				if g.Scopes != "accounts:read" || len(g.Details) != 1 || !g.ExpiresAt.After(s.now()) || g.GrantedAt.IsZero() {
					t.Errorf("%+v", g)
				}
			}
			if got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		expect("all", "4 2 1 ")
		if err := s.RevokeUserGrant(t.Context(), "bob", "1"); !errors.Is(err, goidc.ErrNotFound) {
			t.Errorf("somebody else's grant: %v", err)
		}
		if err := s.RevokeUserGrant(t.Context(), "ada", "own"); !errors.Is(err, goidc.ErrNotFound) {
			t.Errorf("a client's own grant: %v", err)
		}
		s.advance(6 * time.Minute) // the code of 4 is over, and what came of 2
		expect("later", "1 ")
		if n, err := s.RevokeUserGrants(t.Context(), "ada", "books"); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := s.RevokeUserGrants(t.Context(), "ada", ""); err != nil || n != 2 {
			t.Errorf("%d, %v", n, err)
		}
		expect("none", "")
		for id, revoked := range map[string]bool{"1": true, "2": true, "3": false, "own": false, "4": true} {
			if g, err := s.Grant(t.Context(), id); err != nil || (g.RevokedAt != 0) != revoked {
				t.Errorf("%s: %v %v", id, g, err)
			}
		}
	})
}

// A list has a bound, whoever makes grants in a loop.
func TestUserGrantsAreBounded(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for i := range maxUserGrants + 1 {
			must(t, s.SaveGrant(t.Context(), newGrant(fmt.Sprint(i))))
		}
		if list, err := s.UserGrants(t.Context(), "user"); err != nil || len(list) != maxUserGrants {
			t.Errorf("%d grants, %v", len(list), err)
		}
	})
}
