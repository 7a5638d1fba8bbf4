package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Two consent pages are open in one browser; what ends the login in one tab ends
// it for the other, whatever its session remembers.
func TestAConsentPageEndsWithTheLogin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask []func(url.Values) // of the request in the first tab
		end func(*world, *browser, view)
	}{
		"signed out in another tab": {nil, func(_ *world, b *browser, other view) { b.submit(other, "switch", url.Values{}) }},
		"the login went idle": {nil, func(w *world, _ *browser, _ view) {
			w.exec(`UPDATE login_sessions SET seen_at = $1`, w.server.now().Add(-loginIdle-time.Second).UnixMicro())
		}},
		"all that the user granted was revoked": {nil, func(w *world, _ *browser, _ view) {
			service := w.usersClient().post(tokenPath, ownForm(scopeGrants)).ok(w.t).text("access_token")
			w.internalCall(http.MethodDelete, "/internal/users/"+aliceID+"/grants", service).ok(w.t)
		}},
		"prompt=login, signed out": {[]func(url.Values){with("prompt", "login")},
			func(_ *world, b *browser, other view) { b.submit(other, "switch", url.Values{}) }},
		"prompt=login, another login": {[]func(url.Values){with("prompt", "login")},
			func(w *world, b *browser, other view) {
				b.signIn(b.get(b.submit(other, "switch", url.Values{}).location))
			}},
		"max_age, another login": {[]func(url.Values){with("max_age", "0")},
			func(w *world, b *browser, other view) {
				b.signIn(b.get(b.submit(other, "switch", url.Values{}).location))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			shop, b := w.standard(), w.browser()
			first := b.signIn(b.open(shop, shop.push(append(c.ask, paying)...)))
			other := b.open(shop, shop.push(paying))
			c.end(w, b, other)
			again := b.submit(first, "consent", approval())
			if again.status != http.StatusSeeOther || !strings.HasPrefix(again.location, authorizePath) {
				t.Fatalf("approved: %d %s", again.status, again.location)
			}
			if page := b.get(again.location); !strings.Contains(page.html, `name="password"`) || strings.Contains(page.html, "Alice Archer") {
				t.Errorf("the page goes on as Alice: %d %s", page.status, page.html)
			}
		})
	}
}

// A page that is looked at again asks who is there, too.
func TestAConsentPageIsNotShownAfterSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	first := b.signIn(b.open(shop, shop.push(paying)))
	b.submit(b.open(shop, shop.push(paying)), "switch", url.Values{})
	if page := b.get(strings.TrimSuffix(first.action("consent"), "/consent")); strings.Contains(page.html, "Alice Archer") {
		t.Error("the page shows who was signed in")
	}
}

// Signing in anew as the same user does not get in the way of a page for which
// any login of the user is good enough.
func TestAConsentPageSurvivesAnotherLoginOfTheSameUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	first := b.signIn(b.open(shop, shop.push(paying)))
	b.signIn(b.open(shop, shop.push(with("prompt", "login"))))
	b.submit(first, "consent", approval()).code()
}
