package auth

import (
	"net/http"
	"strings"
	"testing"
)

// HEAD gives what GET does but the body (RFC 9110 section 9.3.2).
func TestHeadIsAnsweredLikeGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	opening := openURL(shop, shop.push())
	for _, c := range []struct {
		name, target string
		status       int
	}{
		{"OpenID metadata", openIDPath, http.StatusOK},
		{"metadata", metadataPath, http.StatusOK},
		{"keys", jwksPath, http.StatusOK},
		{"asset", assetsPath + "style.css", http.StatusOK},
		{"no asset", assetsPath + "nothing.css", http.StatusNotFound},
		{"its page", b.get(opening).location, http.StatusOK},
		{"userinfo without a token", userinfoPath, http.StatusUnauthorized},
	} {
		get, head := b.get(c.target), b.send(http.MethodHead, c.target)
		if get.status != c.status || head.status != c.status {
			t.Errorf("%s: GET %d, HEAD %d, want %d", c.name, get.status, head.status, c.status)
		}
		if head.html != "" {
			t.Errorf("%s: HEAD has a body", c.name)
		}
		for _, field := range []string{"Content-Type", "Cache-Control", "Content-Security-Policy", "WWW-Authenticate"} {
			if g, h := get.header.Get(field), head.header.Get(field); g != h {
				t.Errorf("%s: %s is %q, and %q for HEAD", c.name, field, g, h)
			}
		}
	}
}

// A request that was looked at with HEAD can still be answered.
func TestHeadSpendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	requestURI := shop.push()
	if got := w.browser().send(http.MethodHead, openURL(shop, requestURI)); got.status != http.StatusMethodNotAllowed {
		t.Fatalf("opened: %d", got.status)
	}
	b := w.browser()
	page := b.signIn(b.open(shop, requestURI))
	if got := b.send(http.MethodHead, strings.TrimSuffix(page.action("consent"), "/consent")); got.status != http.StatusOK {
		t.Fatalf("the page: %d", got.status)
	}
	shop.redeem(b.submit(page, "consent", approval()).code()).ok(t)
}

func TestMethodsThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodPost, metadataPath, "GET, HEAD"},
		{http.MethodPut, openIDPath, "GET, HEAD"},
		{http.MethodDelete, jwksPath, "GET, HEAD"},
		{http.MethodPut, userinfoPath, "GET, HEAD, POST"},
		{http.MethodPost, assetsPath + "style.css", "GET, HEAD"},
		{http.MethodPost, authorizePath, "GET"},
		{http.MethodHead, authorizePath, "GET"},
		{http.MethodPost, authorizePath + "/x", "GET, HEAD"},
		{http.MethodHead, authorizePath + "/x/login", "POST"},
		{http.MethodGet, authorizePath + "/x/login", "POST"},
		{http.MethodHead, tokenPath, "POST"},
	} {
		got := w.browser().send(c.method, c.path)
		if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, got.status, got.header.Get("Allow"))
		}
	}
}
