package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The attack: the victim has signed in and is about to approve; somebody else
// opens the same request_uri in another browser.
func TestAnotherBrowserGetsNothingOfTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, victim, attacker := w.standard(), w.browser(), w.browser()
	requestURI := shop.push(paying)
	first := victim.get(openURL(shop, requestURI))
	consent := victim.signIn(victim.get(first.location))

	// The victim's page, by its address alone.
	attacker.get(first.location).problem(http.StatusForbidden, "another browser")
	attacker.submit(consent, "consent", approval()).problem(http.StatusForbidden, "another browser")

	// The request from its start: a sign-in page, whoever signed in elsewhere.
	if v := attacker.open(shop, requestURI); !strings.Contains(v.html, `name="password"`) || strings.Contains(v.html, "Alice") {
		t.Fatalf("the second browser got %d %s", v.status, v.html)
	}
	// It is the second browser's now; the first can no longer approve what it shows.
	victim.submit(consent, "consent", approval()).problem(http.StatusForbidden, "another browser")
}

func TestABrowserWithoutCookiesIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	first := b.get(openURL(shop, shop.push()))
	page := b.get(first.location)
	b.client.Jar = nil
	b.get(first.location).problem(http.StatusForbidden, "cookies")
	b.submit(page, "consent", approval()).problem(http.StatusForbidden, "cookies")
}

func TestForgedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	other := b.open(shop, shop.push())
	page := b.signIn(b.open(shop, shop.push(paying)))
	path := page.action("consent")
	for name, tweak := range map[string]func(*http.Request, url.Values){
		"no token":       func(_ *http.Request, v url.Values) { v.Del("csrf") },
		"empty token":    func(_ *http.Request, v url.Values) { v.Set("csrf", "") },
		"another page's": func(_ *http.Request, v url.Values) { v.Set("csrf", other.csrf()) },
		"another site":   func(r *http.Request, _ url.Values) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":      func(r *http.Request, _ url.Values) { r.Header.Set("Sec-Fetch-Site", "same-site") },
	} {
		t.Run(name, func(t *testing.T) {
			fields := approval()
			fields.Set("csrf", page.csrf())
			tweak(&http.Request{Header: http.Header{}}, fields)
			r := b.post(path, fields)
			tweak(r, url.Values{})
			b.do(r).problem(http.StatusForbidden, "not sent by this page")
		})
	}
	// None of them has ended the request.
	b.submit(page, "consent", approval()).code()
}

func TestFormsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.signIn(b.open(shop, shop.push(paying)))
	b.submit(page, "consent", url.Values{}).problem(http.StatusBadRequest, "neither yes nor no")
	b.submit(page, "consent", url.Values{"decision": {"approve", "deny"}}).problem(http.StatusBadRequest, "could not be read")
	big := b.form(page, "consent", url.Values{"decision": {"approve"}, "x": {strings.Repeat("x", 100<<10)}})
	b.do(big).problem(http.StatusBadRequest, "could not be read")
	r := b.form(page, "consent", approval())
	r.Header.Set("Content-Type", "text/plain")
	b.do(r).problem(http.StatusBadRequest, "could not be read")
	if v := b.get(page.action("consent")); v.status != http.StatusMethodNotAllowed {
		t.Errorf("GET of a form: %d", v.status)
	}
	b.do(b.post(strings.Replace(page.action("consent"), "/consent", "/other", 1), url.Values{"csrf": {page.csrf()}})).
		problem(http.StatusNotFound, "no such page")
}

func TestCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	first := b.get(openURL(shop, shop.push()))
	after := b.submit(b.get(first.location), "login", url.Values{"username": {"alice"}, "password": {alicePassword}})
	for name, v := range map[string]view{browserCookie: first, loginCookie: after} {
		set := v.header.Get("Set-Cookie")
		for _, attribute := range []string{name + "=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
			if !strings.Contains(set, attribute) {
				t.Errorf("%s: no %s in %q", name, attribute, set)
			}
		}
		if !strings.HasPrefix(name, "__Host-") || strings.Contains(set, "Domain") {
			t.Errorf("%s: not bound to the host", name)
		}
	}
}

// A login cookie that was there before sign-in is worth nothing after it: it may
// have been planted, or copied.
func TestSignInChangesTheLoginCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	target, _ := url.Parse(w.issuer)
	login := func() *http.Cookie {
		for _, c := range b.client.Jar.Cookies(target) {
			if c.Name == loginCookie {
				return &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", Secure: true}
			}
		}
		t.Fatal("not signed in")
		return nil
	}
	planted := &http.Cookie{Name: loginCookie, Value: "planted-by-somebody", Path: "/", Secure: true}
	b.client.Jar.SetCookies(target, []*http.Cookie{planted})
	b.signIn(b.open(shop, shop.push()))
	first := login()
	b.signIn(b.open(shop, shop.push(with("prompt", "login"))))
	if second := login(); first.Value == planted.Value || second.Value == first.Value {
		t.Fatal("the cookie is the old one")
	}
	thief := w.browser()
	thief.client.Jar.SetCookies(target, []*http.Cookie{first})
	if v := thief.open(shop, shop.push()); !strings.Contains(v.html, `name="password"`) {
		t.Error("the old cookie still signs in")
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	first := b.get(openURL(shop, shop.push(paying)))
	signIn := b.get(first.location)
	consent := b.signIn(signIn)
	expired := b.get(openURL(shop, "urn:ietf:params:oauth:request_uri:none"))
	answer := b.submit(consent, "consent", approval())
	for name, v := range map[string]view{"redirect": first, "sign-in": signIn, "consent": consent, "problem": expired, "answer": answer} {
		for field, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		} {
			if got := v.header.Get(field); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q", name, field, got)
			}
		}
	}
	for name, v := range map[string]view{"sign-in": signIn, "consent": consent, "problem": expired} {
		policy := v.header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s: no %s in %q", name, directive, policy)
			}
		}
		if strings.Contains(v.html, "<script") || strings.Contains(v.html, "style=") || strings.Contains(v.html, " on") && strings.Contains(v.html, "onclick") {
			t.Errorf("%s: inline script or style", name)
		}
	}
	// Chromium holds the redirect after the form against form-action.
	if policy := consent.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://shop.example") {
		t.Errorf("policy: %q", policy)
	}
}

func TestWrongPasswords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.open(shop, shop.push())
	wrong := b.submit(page, "login", url.Values{"username": {"alice"}, "password": {"wrong-canary"}})
	unknown := b.submit(page, "login", url.Values{"username": {"nobody"}, "password": {"wrong-canary"}})
	wrong.problem(http.StatusForbidden, "not right")
	unknown.problem(http.StatusForbidden, "not right")
	if strings.ReplaceAll(wrong.html, "alice", "") != strings.ReplaceAll(unknown.html, "nobody", "") {
		t.Error("the answers tell whether the username exists")
	}
	if strings.Contains(wrong.html, "wrong-canary") {
		t.Error("the password comes back")
	}
	locked := b.submit(page, "login", url.Values{"username": {"locked"}, "password": {"x"}})
	locked.problem(http.StatusTooManyRequests, "30 seconds")
	if locked.header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After: %q", locked.header.Get("Retry-After"))
	}
	for _, fields := range []url.Values{
		{}, {"username": {"alice"}}, {"password": {"x"}}, {"username": {strings.Repeat("a", 200)}, "password": {"x"}},
	} {
		b.submit(page, "login", fields).problem(http.StatusBadRequest, "Type your username")
	}
	b.signIn(page) // and the right one still works
}

func TestASecondConsentNeedsNoSecondPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	b.consent(shop, shop.push())
	calls := w.users.calls
	first := w.claimsOf(shop.redeem(b.consent(shop, shop.push())).text("access_token"))
	if w.users.calls != calls {
		t.Error("the password was asked for again")
	}
	w.advance(time.Minute)
	second := w.claimsOf(shop.redeem(b.consent(shop, shop.push())).text("access_token"))
	if first["auth_time"] != second["auth_time"] {
		t.Error("auth_time is not when the password was given")
	}
	w.advance(loginIdle + time.Minute)
	if v := b.open(shop, shop.push()); !strings.Contains(v.html, `name="password"`) {
		t.Error("an idle login still counts")
	}
}

func TestPromptAndMaxAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	if answer := b.get(openURL(shop, shop.push(with("prompt", "none")))).answer(); answer.Get("error") != "login_required" || answer.Get("state") != "st-1" {
		t.Errorf("prompt=none, nobody signed in: %v", answer)
	}
	b.consent(shop, shop.push())
	if answer := b.get(openURL(shop, shop.push(with("prompt", "none")))).answer(); answer.Get("error") != "consent_required" {
		t.Errorf("prompt=none, signed in: %v", answer)
	}
	asks := func(e func(url.Values)) bool {
		return strings.Contains(b.open(shop, shop.push(e)).html, `name="password"`)
	}
	w.advance(2 * time.Minute)
	for name, c := range map[string]struct {
		edit func(url.Values)
		asks bool
	}{
		"nothing special":           {with("prompt", "consent"), false},
		"prompt=login":              {with("prompt", "login"), true},
		"prompt=login consent":      {with("prompt", "login consent"), true},
		"max_age not reached":       {with("max_age", "3600"), false},
		"max_age reached":           {with("max_age", "60"), true},
		"max_age=0":                 {with("max_age", "0"), true},
		"the one acr that there is": {with("acr_values", acrPassword), false},
	} {
		if got := asks(c.edit); got != c.asks {
			t.Errorf("%s: asks for the password: %v", name, got)
		}
	}
	// The password that max_age wanted is good for this request, and shows in the token.
	before := w.server.now().Unix()
	claims := w.claimsOf(shop.redeem(b.consent(shop, shop.push(with("max_age", "0")))).text("access_token"))
	if int64(claims["auth_time"].(float64)) < before {
		t.Error("auth_time is that of the old login")
	}
}

func TestLoginHintAndAnotherUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.open(shop, shop.push(with("login_hint", `a"><script>`)))
	if !strings.Contains(page.html, `value="a&#34;&gt;&lt;script&gt;"`) {
		t.Error("login_hint is missing or not escaped")
	}
	consent := b.signIn(page)
	v := b.submit(consent, "switch", url.Values{})
	if page := b.get(v.location); !strings.Contains(page.html, `name="password"`) {
		t.Error("not signed out")
	}
	// The consent page of the first user is worth nothing any more.
	again := b.submit(consent, "consent", approval())
	if again.status != http.StatusSeeOther || !strings.HasPrefix(again.location, authorizePath) {
		t.Errorf("approved by nobody: %d %s", again.status, again.location)
	}
	if v := b.open(shop, shop.push()); !strings.Contains(v.html, `name="password"`) {
		t.Error("the login session is still there")
	}
}

func TestDenyWithoutSigningIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.open(shop, shop.push())
	if answer := b.submit(page, "consent", url.Values{"decision": {"deny"}}).answer(); answer.Get("error") != "access_denied" {
		t.Errorf("got %v", answer)
	}
	page = b.open(shop, shop.push())
	if v := b.submit(page, "consent", approval()); v.status != http.StatusSeeOther || !strings.HasPrefix(v.location, authorizePath) {
		t.Errorf("approved by nobody: %d %s", v.status, v.location)
	}
}

func TestUnknownRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	other := w.app(Registration{ID: "other", Kind: "standard"})
	for name, path := range map[string]string{
		"nothing":         authorizePath,
		"unknown request": openURL(shop, "urn:ietf:params:oauth:request_uri:none"),
		"empty request":   openURL(shop, "urn:ietf:params:oauth:request_uri:"),
		"another client":  openURL(other, shop.push()),
		"unknown client":  openURL(&app{Registered: Registered{ClientID: "nobody"}}, shop.push()),
		"unknown session": authorizePath + "/0190aaaa-0000-7000-8000-00000000ffff",
		"twice":           openURL(shop, shop.push()) + "&client_id=shop",
		"bad query":       authorizePath + "?client_id=shop;request_uri=x",
	} {
		t.Run(name, func(t *testing.T) {
			v := b.get(path)
			if v.status < 400 || v.status > 403 || v.location != "" {
				t.Errorf("got %d %s", v.status, v.location)
			}
			v.problem(v.status, "<h1>")
		})
	}
}
