package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Of two cookies with one name, one was planted: neither is believed, also where
// the right one comes first.
func TestTwoCookiesOfOneNameAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.signIn(b.open(shop, shop.push(paying)))
	target, err := url.Parse(w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	own := b.client.Jar.Cookies(target)
	b.client.Jar = nil
	approve := func(more ...*http.Cookie) view {
		r := b.form(page, "consent", approval())
		for _, c := range append(own[:len(own):len(own)], more...) {
			r.AddCookie(c)
		}
		return b.do(r)
	}
	approve(&http.Cookie{Name: browserCookie, Value: "planted"}).problem(http.StatusForbidden, "cookies")
	if v := approve(&http.Cookie{Name: loginCookie, Value: "planted"}); !strings.HasPrefix(v.location, authorizePath) {
		t.Errorf("approved: %d %s", v.status, v.location)
	}
}
