package auth

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request_uri ends after its minute also when a browser has opened it; the
// page behind it goes on.
func TestAnOpenedRequestURIEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	requestURI := shop.push(paying)
	page := b.signIn(b.open(shop, requestURI))
	w.advance(requestURILifetime + time.Second)
	w.browser().open(shop, requestURI).problem(http.StatusBadRequest, "expired")
	b.submit(page, "consent", approval()).code()
}

// Pages that are looked at, and strangers who are refused, write nothing to the
// session: an approval that was under way would fail for it.
func TestLooksAndStrangersLeaveTheSessionAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.signIn(b.open(shop, shop.push(paying)))
	path := strings.TrimSuffix(page.action("consent"), "/consent")
	revision := func() (n int64) {
		row := w.server.registry.db.QueryRowContext(t.Context(), `SELECT rev FROM authorization_sessions`)
		if err := row.Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := revision()
	if v := b.get(path); v.status != http.StatusOK {
		t.Fatalf("the page: %d", v.status)
	}
	w.browser().get(path).problem(http.StatusForbidden, "cookies")
	w.browser().submit(page, "consent", approval()).problem(http.StatusForbidden, "cookies")
	if after := revision(); after != before {
		t.Errorf("revision %d became %d", before, after)
	}
}
