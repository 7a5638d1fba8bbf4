package auth

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

func newWorldWithLifetime(t *testing.T, lifetime time.Duration) *world {
	t.Helper()
	return newWorldOn(t, fresh.SQLite(t), func(c *Config) { c.AccessTokenLifetime = lifetime })
}

// What the token says, what the client is told and what the store keeps go by the
// one setting.
func TestAccessTokenLifetime(t *testing.T) {
	t.Parallel()
	for set, want := range map[time.Duration]time.Duration{0: 5 * time.Minute, time.Second: time.Second, time.Hour: time.Hour} {
		t.Run(want.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorldWithLifetime(t, set)
			got := w.standard().post(tokenPath, ownForm("payments:create")).ok(t)
			if got.body["expires_in"] != want.Seconds() {
				t.Errorf("expires_in is %v", got.body["expires_in"])
			}
			claims := w.claimsOf(got.text("access_token"))
			if claims["exp"].(float64)-claims["iat"].(float64) != want.Seconds() {
				t.Errorf("iat %v, exp %v", claims["iat"], claims["exp"])
			}
			var kept int64
			row := w.server.registry.db.QueryRowContext(t.Context(), `SELECT expires_at - created_at FROM grants`)
			if err := row.Scan(&kept); err != nil || kept != (want+time.Hour).Microseconds() {
				t.Errorf("the grant is kept for %v, %v", time.Duration(kept)*time.Microsecond, err)
			}
		})
	}
}

// The last token that a key signs is as long-lived as there can be one, and was
// issued by an instance that noticed the rotation late.
func TestAKeyOutlivesTheTokensItSigned(t *testing.T) {
	t.Parallel()
	w := newWorldWithLifetime(t, maxAccessTokenLifetime)
	shop := w.standard()
	if _, err := w.server.registry.RotateKeys(t.Context(), RotationDelay); err != nil {
		t.Fatal(err)
	}
	w.advance(RotationDelay - time.Second)
	var header map[string]string
	decodePart(t, shop.post(tokenPath, ownForm("payments:create")).ok(t).text("access_token"), 0, &header)
	w.advance(keysRemembered + maxAccessTokenLifetime + clockLeeway)
	w.server.cleanUp(t.Context())
	keys, err := w.server.keys.published(t.Context())
	if err != nil || !slices.ContainsFunc(keys, func(k store.SigningKey) bool { return k.ID == header["kid"] }) {
		t.Errorf("the key is gone before its tokens have expired: %v", err)
	}
}

func TestLifetimesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{-time.Second, time.Millisecond, 1500 * time.Millisecond, time.Hour + time.Second} {
		cfg := Config{Issuer: "https://a.example", UsersURL: "http://127.0.0.1:1", PaymentsURL: "http://127.0.0.1:1", AccessTokenLifetime: lifetime}
		if _, err := cfg.complete(); err == nil || !strings.HasPrefix(err.Error(), "access-token-lifetime: must be ") {
			t.Errorf("%v: %v", lifetime, err)
		}
	}
}
