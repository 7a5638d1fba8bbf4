package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
)

// fixture is a store whose clock the test moves.
type fixture struct {
	*Store
	offset atomic.Int64
}

func (f *fixture) advance(d time.Duration) { f.offset.Add(int64(d)) }

// fresh gives databases with the store's tables.
var fresh = databasetest.TemplateOf("auth", migrations)

// forEach runs the test on a fresh store on SQLite and on PostgreSQL.
func forEach(t *testing.T, test func(t *testing.T, s *fixture)) {
	t.Helper()
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		db := fresh.Open(t, dsn)
		v, err := vault.New(bytes.Repeat([]byte{7}, vault.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{}
		f.Store = New(db, v, Lifetimes{
			RequestURI: time.Minute, Session: 10 * time.Minute, AccessToken: 5 * time.Minute, LoginIdle: 30 * time.Minute, LoginMax: 12 * time.Hour,
		}, func() time.Time { return time.Now().Add(time.Duration(f.offset.Load())) })
		test(t, f)
	})
}

// SaveGrant has the user sign in who gives the consent of a new grant.
func (f *fixture) SaveGrant(ctx context.Context, g *goidc.Grant) error {
	if g.AuthCode != "" && g.AuthCodeConsumedAt == 0 && g.RevokedAt == 0 {
		if err := f.signIn(ctx, g); err != nil {
			return err
		}
	}
	return f.Store.SaveGrant(ctx, g)
}

// signIn makes a login of the grant's user, and notes it in the grant.
func (f *fixture) signIn(ctx context.Context, g *goidc.Grant) error {
	last, err := f.LastEnding(ctx)
	if err != nil {
		return err
	}
	value, err := f.CreateLogin(ctx, Login{UserID: g.Subject, AuthTime: f.now()}, last)
	g.Store[NoteLogin] = base64.RawURLEncoding.EncodeToString(f.vault.Hash(vault.LoginSession, value))
	return err
}

func newGrant(id string) *goidc.Grant {
	now := int(time.Now().Unix())
	return &goidc.Grant{
		ID: id, ClientID: "shop", Subject: "user", AuthCode: "code-" + id, AuthCodeExpiresAt: now + 60,
		RefreshToken: "refresh-" + id, RefreshTokenExpiresAt: now + 3600, Scopes: "accounts:read",
		AuthDetails: []goidc.AuthDetail{{"type": "payment_initiation"}},
		Store:       map[string]any{"auth_time": "1700000000"},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// redeem walks a redemption as the library does: load, check, mark, save, and
// revoke where that failed.
func redeem(ctx context.Context, s *Store, code string) error {
	g, err := s.GrantByAuthCode(ctx, code)
	if err != nil {
		return err
	}
	if g.RevokedAt != 0 {
		return errors.New("revoked")
	}
	err = errors.New("used")
	if g.AuthCodeConsumedAt == 0 {
		g.AuthCodeConsumedAt = int(time.Now().Unix())
		err = s.SaveGrant(ctx, g)
	}
	if err != nil {
		g.RevokedAt = int(time.Now().Unix())
		return errors.Join(err, s.SaveGrant(ctx, g))
	}
	return nil
}

func TestRacingRedemptionsGiveOneTokenAndRevokeTheGrant(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveGrant(t.Context(), newGrant("g")))
		var won atomic.Int64
		var group sync.WaitGroup
		start := make(chan struct{})
		for range 50 {
			group.Go(func() {
				<-start
				if redeem(t.Context(), s.Store, "code-g") == nil {
					won.Add(1)
				}
			})
		}
		close(start)
		group.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d redemptions passed, want 1", won.Load())
		}
		g, err := s.Grant(t.Context(), "g")
		must(t, err)
		if g.AuthCodeConsumedAt == 0 || g.RevokedAt == 0 {
			t.Errorf("consumed at %d, revoked at %d: want both", g.AuthCodeConsumedAt, g.RevokedAt)
		}
	})
}

func TestStaleRedemptionIsRefused(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveGrant(t.Context(), newGrant("g")))
		stale, err := s.GrantByAuthCode(t.Context(), "code-g")
		must(t, err)
		must(t, redeem(t.Context(), s.Store, "code-g"))
		stale.AuthCodeConsumedAt = 1
		if e, own := refusal.Own(s.SaveGrant(t.Context(), stale)); !own || e.Code != goidc.ErrorCodeInvalidGrant {
			t.Fatalf("got %v, want invalid_grant", e)
		}
	})
}

func TestSlowRefreshCannotUndoARevocation(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveGrant(t.Context(), newGrant("g")))
		must(t, redeem(t.Context(), s.Store, "code-g"))
		slow, err := s.GrantByRefreshToken(t.Context(), "refresh-g")
		must(t, err)

		revoked, err := s.Grant(t.Context(), "g")
		must(t, err)
		revoked.RevokedAt = 1
		must(t, s.SaveGrant(t.Context(), revoked))

		if e, own := refusal.Own(s.SaveGrant(t.Context(), slow)); !own || e.Code != goidc.ErrorCodeInvalidGrant {
			t.Fatalf("the slow refresh passed: %v", e)
		}
		g, err := s.Grant(t.Context(), "g")
		must(t, err)
		if g.RevokedAt == 0 {
			t.Fatal("the revocation was undone")
		}
	})
}

func TestRefreshCannotMoveTheGrantToAnotherKey(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		grant := newGrant("g")
		grant.JWKThumbprint = "key-1"
		must(t, s.SaveGrant(t.Context(), grant))
		must(t, redeem(t.Context(), s.Store, "code-g"))
		g, err := s.GrantByRefreshToken(t.Context(), "refresh-g")
		must(t, err)
		must(t, s.SaveGrant(t.Context(), g))
		g.JWKThumbprint = "key-2"
		if _, own := refusal.Own(s.SaveGrant(t.Context(), g)); !own {
			t.Fatal("another key was taken")
		}
	})
}

func TestRevocationOutlivesTheRequestAndIsFinal(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveGrant(t.Context(), newGrant("g")))
		g, err := s.GrantByAuthCode(t.Context(), "code-g")
		must(t, err)
		stale, err := s.GrantByAuthCode(t.Context(), "code-g") // by a redemption that is under way
		must(t, err)
		g.RevokedAt = 1
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, s.SaveGrant(gone, g))
		first, err := s.Grant(t.Context(), "g")
		must(t, err)
		s.advance(time.Minute)
		must(t, s.SaveGrant(t.Context(), g))
		again, err := s.Grant(t.Context(), "g")
		must(t, err)
		if first.RevokedAt == 0 || first.RevokedAt != again.RevokedAt {
			t.Fatalf("revoked at %d, then %d", first.RevokedAt, again.RevokedAt)
		}
		stale.AuthCodeConsumedAt = 1
		if e, own := refusal.Own(s.SaveGrant(t.Context(), stale)); !own || e.Code != goidc.ErrorCodeInvalidGrant {
			t.Fatalf("a revoked grant's code was redeemed: %v", e)
		}
	})
}

func TestGrantRoundTrip(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveGrant(t.Context(), newGrant("g")))
		if _, err := s.GrantByRefreshToken(t.Context(), "refresh-g"); !errors.Is(err, goidc.ErrNotFound) {
			t.Fatalf("the refresh token works before the code was redeemed: %v", err)
		}
		g, err := s.GrantByAuthCode(t.Context(), "code-g")
		must(t, err)
		if g.RefreshToken != "refresh-g" || g.Store["auth_time"] != "1700000000" || len(g.AuthDetails) != 1 {
			t.Fatalf("got %+v", g)
		}
		must(t, redeem(t.Context(), s.Store, "code-g"))
		g, err = s.GrantByAuthCode(t.Context(), "code-g")
		must(t, err)
		if g.RefreshToken != "" {
			t.Fatal("the refresh token can still be read after redemption")
		}
		s.advance(2 * time.Hour)
		if _, err := s.GrantByRefreshToken(t.Context(), "refresh-g"); !errors.Is(err, goidc.ErrNotFound) {
			t.Fatalf("an expired refresh token: %v", err)
		}
	})
}

func TestEmptyValuesFindNothing(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		// Two grants without code and token, as client credentials make them: an empty
		// string in the columns would collide, or be found by presenting nothing.
		for _, id := range []string{"a", "b"} {
			must(t, s.SaveGrant(t.Context(), &goidc.Grant{ID: id, ClientID: "shop", Subject: "shop"}))
		}
		_, byCode := s.GrantByAuthCode(t.Context(), "")
		_, byToken := s.GrantByRefreshToken(t.Context(), "")
		_, byRequest := s.SessionByPushedAuthReqID(t.Context(), "")
		for _, err := range []error{byCode, byToken, byRequest} {
			if !errors.Is(err, goidc.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestNoBearerValueIsInTheDatabase(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveGrant(t.Context(), newGrant("canary")))
		must(t, s.SaveSession(t.Context(), newSession("canary")))
		login, err := s.CreateLogin(t.Context(), Login{UserID: "u", AuthTime: time.Now()}, 0)
		must(t, err)
		for _, table := range []string{"grants", "authorization_sessions", "login_sessions"} {
			for _, secret := range []string{"code-canary", "refresh-canary", "pushed-canary", login} {
				if dumpContains(t, s.Store, table, secret) {
					t.Errorf("%s holds a bearer value in clear", table)
				}
			}
		}
	})
}

func dumpContains(t *testing.T, s *Store, table, secret string) bool {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SELECT * FROM "+table)
	must(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		must(t, rows.Scan(cells...))
		for _, cell := range cells {
			value := *cell.(*any)
			if b, ok := value.([]byte); ok {
				value = string(b)
			}
			if strings.Contains(fmt.Sprint(value), secret) {
				return true
			}
		}
	}
	must(t, rows.Err())
	return false
}

func TestConsumeJTI(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		var won atomic.Int64
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				err := s.ConsumeJTI(t.Context(), Proof, "shop", "jti", time.Minute)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, ErrReplayed) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 20 passed", won.Load())
		}
		// Assertions and proofs are apart, and so are clients.
		must(t, s.ConsumeJTI(t.Context(), Assertion, "shop", "jti", time.Minute))
		must(t, s.ConsumeJTI(t.Context(), Proof, "other", "jti", time.Minute))
	})
}

func TestNothingIsEvicted(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for i := range 150 {
			must(t, s.SaveSession(t.Context(), newSession(fmt.Sprint(i))))
			must(t, s.SaveGrant(t.Context(), newGrant(fmt.Sprint(i))))
		}
		for i := range 150 {
			_, err := s.Session(t.Context(), fmt.Sprint(i))
			must(t, err)
			_, err = s.Grant(t.Context(), fmt.Sprint(i))
			must(t, err)
		}
	})
}

func TestDeleteExpired(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for i := range 3 {
			must(t, s.SaveSession(t.Context(), newSession(fmt.Sprint(i))))
			must(t, s.SaveGrant(t.Context(), newGrant(fmt.Sprint(i))))
			must(t, s.ConsumeJTI(t.Context(), Proof, "c", fmt.Sprint(i), time.Minute))
		}
		_, err := s.CreateLogin(t.Context(), Login{UserID: "u", AuthTime: time.Now()}, 0)
		must(t, err)
		if n, err := s.DeleteExpired(t.Context()); err != nil || n != 0 {
			t.Fatalf("deleted %d live rows, %v", n, err)
		}
		s.advance(24 * time.Hour)
		if n, err := s.DeleteExpired(t.Context()); err != nil || n != 13 {
			t.Fatalf("deleted %d rows, want 13, %v", n, err)
		}
	})
}
