package auth

import (
	"context"
	"net/http"
	"testing"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

// A client that is told to try again can: what the store alone has failed does not
// spend the code.
func TestACodeOutlivesAStoreThatFails(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		w := newWorldOn(t, dsn)
		fapi := w.app(Registration{ID: "finance", Kind: "fapi2", GenerateKey: true})
		code := fapi.code()
		w.exec(`ALTER TABLE jtis RENAME TO jtis_away`)
		fapi.redeem(code).wants(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		w.exec(`ALTER TABLE jtis_away RENAME TO jtis`)
		fapi.redeem(code).ok(t)
	})
}

// The redemption itself fails, or the caller hangs up in it, or the code was consumed.
func TestWhatAFailedRedemptionLeaves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failed, hungUp, consumed bool
		revoked                  bool
	}{
		"the store failed":                {failed: true},
		"the store failed, code consumed": {failed: true, consumed: true, revoked: true},
		"the caller hung up":              {failed: true, hungUp: true, revoked: true},
		"refused":                         {revoked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh.ForEach(t, func(t *testing.T, dsn string) {
				w := newWorldOn(t, dsn)
				m := managers{w.server.store, w.server.vault}
				g, err := m.GrantByAuthCode(t.Context(), w.standard().code())
				if err != nil {
					t.Fatal(err)
				}
				if c.consumed {
					w.exec(`UPDATE grants SET code_consumed_at = 1`)
				}
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), callKey{}, &call{path: tokenPath}))
				defer cancel()
				if c.hungUp {
					cancel()
				}
				if c.failed {
					_ = callOf(ctx).noteStore(ctx, store.ErrUnavailable) // what it was given
				}
				g.RevokedAt = 1
				if err := m.SaveGrant(ctx, g); err != nil {
					t.Fatal(err)
				}
				if kept, err := m.Grant(t.Context(), g.ID); err != nil || (kept.RevokedAt != 0) != c.revoked {
					t.Errorf("revoked at %d, %v", kept.RevokedAt, err)
				}
			})
		})
	}
}
