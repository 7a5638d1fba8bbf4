package users

import (
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
)

// Every operation, by somebody whose account stays open because there is money in
// it. Wrong passwords are counted although the request is refused.
func FuzzHandlers(f *testing.F) {
	h := newHarness(f, fresh.SQLite(f))
	u := h.addUser("fay")
	h.platform.set(func(p *fakePlatform) {
		p.open = Money{Open: true, Balance: true}
		p.grants[u.ID] = []Consent{consentOf("shop")}
	})
	tokens := map[string]string{"users:create": h.token("shop", "users:create")}
	for _, scope := range []string{"profile:read", "profile:write", "profile:delete", "profile:export", "password:write", "consents:read", "consents:write"} {
		tokens[scope] = h.token(u.ID, scope)
	}
	h.doc.Fuzz(f, openapitest.Target{
		Handler: h.svc, Tokens: tokens,
		Values: map[string][]string{"users/{id}": {"me", u.ID, "somebody-else", "%00"}, "consents/{consent}": {"none", "%00", "shop"}},
		Digest: func(t testing.TB) string { return databasetest.Digest(t, h.config.DB, "users", "service_keys") },
	})
}
