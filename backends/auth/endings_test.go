package auth

import (
	"net/http"
	"net/url"
	"testing"
)

// endAccess is what the users service asks for when a password was changed.
func (w *world) endAccess(service string) {
	w.t.Helper()
	w.internalCall(http.MethodDelete, "/internal/users/"+aliceID+"/grants", service).ok(w.t)
}

// The password is changed, and all access ended, while a sign-in with the old one is
// looked at: it makes no login.
func TestAPasswordChangesWhileItIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service := w.usersClient().post(tokenPath, ownForm(scopeGrants)).ok(t).text("access_token")
	shop, b := w.standard(), w.browser()
	page := b.open(shop, shop.push(paying))
	w.users.meanwhile(func() { w.endAccess(service) })
	fields := url.Values{"username": {"alice"}, "password": {alicePassword}}
	again := b.submit(page, "login", fields)
	if n := w.count(`SELECT count(*) FROM login_sessions`); n != 0 || again.status != http.StatusForbidden {
		t.Errorf("%d logins, %d %s", n, again.status, again.html)
	}
	w.users.meanwhile(nil)
	b.submit(b.signIn(again), "consent", approval()).code()
}

// All access is ended while an approval is being checked: nothing is granted.
func TestAccessEndsWhileAConsentIsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service := w.usersClient().post(tokenPath, ownForm(scopeGrants)).ok(t).text("access_token")
	shop, b := w.standard(), w.browser()
	page := b.signIn(b.open(shop, shop.push(paying)))
	w.payments.meanwhile(func() { w.endAccess(service) })
	refused := b.submit(page, "consent", approval())
	if n := w.count(`SELECT count(*) FROM grants WHERE code_hash IS NOT NULL`); n != 0 {
		t.Errorf("%d grants, %d %s", n, refused.status, refused.location)
	}
	refused.problem(http.StatusBadRequest, "start again")
}

// count gives the number that a query counts.
func (w *world) count(query string) (n int) {
	w.t.Helper()
	if err := w.server.registry.db.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
