package auth

import (
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// together runs fn n times at once.
func together(n int, fn func(int)) {
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	group.Wait()
}

// 50 redemptions of one code at once: one gets tokens, and because the code was
// presented more than once, what it got is revoked.
func TestRacingRedemptions(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		w := newWorldOn(t, dsn)
		shop := w.standard()
		code := shop.code()
		var mu sync.Mutex
		var won []reply
		together(50, func(int) {
			if got := shop.redeem(code); got.status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, got)
			} else {
				got.wants(t, http.StatusBadRequest, "invalid_grant")
			}
		})
		if len(won) != 1 {
			t.Fatalf("%d redemptions got tokens, want 1", len(won))
		}
		shop.post(tokenPath, refreshForm(won[0].text("refresh_token"))).wants(t, http.StatusBadRequest, "invalid_grant")
		if shop.active(won[0].text("access_token")) {
			t.Error("the access token is still active")
		}
	})
}

// active asks the introspection endpoint.
func (a *app) active(token string) bool {
	a.w.t.Helper()
	return a.post(introspectPath, url.Values{"token": {token}}).ok(a.w.t).body["active"] == true
}

// 20 approvals of one page at once give one code.
func TestParallelConsentsGiveOneCode(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		w := newWorldOn(t, dsn)
		shop, b := w.standard(), w.browser()
		page := b.signIn(b.open(shop, shop.push(paying)))
		var mu sync.Mutex
		codes := 0
		together(20, func(int) {
			v := b.submit(page, "consent", approval())
			if v.location != "" && v.answer().Get("code") != "" {
				mu.Lock()
				defer mu.Unlock()
				codes++
			} else {
				v.problem(http.StatusBadRequest, "answered already")
			}
		})
		if codes != 1 {
			t.Fatalf("%d codes, want 1", codes)
		}
	})
}

func TestReuseOfACodeRevokesItsGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, later := range map[string]string{
		"at once": `UPDATE grants SET used_at = used_at`, "after it expired": `UPDATE grants SET code_expires_at = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			code := shop.code()
			tokens := shop.redeem(code).ok(t)
			w.exec(later)
			for range 3 { // the library says expired_token from the second time on
				shop.redeem(code).wants(t, http.StatusBadRequest, "invalid_grant")
			}
			shop.post(tokenPath, refreshForm(tokens.text("refresh_token"))).wants(t, http.StatusBadRequest, "invalid_grant")
		})
	}
}

func TestARefusalIsFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	requestURI := shop.push(paying)
	page := b.signIn(b.open(shop, requestURI))
	if answer := b.submit(page, "consent", url.Values{"decision": {"deny"}}).answer(); answer.Get("error") != "access_denied" || answer.Get("iss") != w.issuer {
		t.Fatalf("got %v", answer)
	}
	b.submit(page, "consent", approval()).problem(http.StatusBadRequest, "answered already")
	b.open(shop, requestURI).problem(http.StatusBadRequest, "answered already")
}

func TestARequestURIIsForOneAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	requestURI := shop.push()
	b.consent(shop, requestURI)
	b.open(shop, requestURI).problem(http.StatusBadRequest, "answered already")
}

func TestACodeIsForItsClientRedirectAndVerifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	thief := w.app(Registration{ID: "thief", Kind: "standard"})
	for name, send := range map[string]func(url.Values) reply{
		"another client": func(form url.Values) reply { return thief.post(tokenPath, form) },
		"another redirect": func(form url.Values) reply {
			form.Set("redirect_uri", "https://x.example")
			return shop.post(tokenPath, form)
		},
		"no redirect": func(form url.Values) reply { form.Del("redirect_uri"); return shop.post(tokenPath, form) },
		"another verifier": func(form url.Values) reply {
			form.Set("code_verifier", verifier+"x")
			return shop.post(tokenPath, form)
		},
	} {
		t.Run(name, func(t *testing.T) {
			form := shop.codeForm(shop.code())
			send(maps.Clone(form)).wants(t, http.StatusBadRequest, "invalid_grant")
			shop.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_grant") // it is spent
		})
	}
	refresh := refreshForm(shop.tokens().text("refresh_token"))
	thief.post(tokenPath, refresh).wants(t, http.StatusBadRequest, "invalid_grant")
	shop.post(tokenPath, refresh).ok(t)
}

func TestRefreshWithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	refresh := refreshForm(fapi.tokens().text("refresh_token"))
	own := fapi.proof
	fapi.proof = newKey(t)
	fapi.post(tokenPath, refresh).wants(t, http.StatusBadRequest, "invalid_grant")
	fapi.proof = own
	fapi.post(tokenPath, refresh).ok(t)
}

func TestACodeIsBoundToTheKeyOfThePushedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	code := fapi.code(with("dpop_jkt", thumbprint(t, fapi.proof)))
	fapi.proof = newKey(t)
	fapi.redeem(code).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	thief := w.app(Registration{ID: "thief", Kind: "standard"})
	for _, which := range []string{"access_token", "refresh_token"} {
		t.Run(which, func(t *testing.T) {
			tokens := shop.tokens()
			access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
			form := url.Values{"token": {tokens.text(which)}}
			if got := thief.post(revokePath, form); got.status == http.StatusOK || !shop.active(access) {
				t.Fatalf("another client revoked it: %d", got.status)
			}
			shop.post(revokePath, form).ok(t)
			if shop.active(access) {
				t.Error("the access token is active")
			}
			shop.post(tokenPath, refreshForm(refresh)).wants(t, http.StatusBadRequest, "invalid_grant")
			shop.post(revokePath, form).ok(t) // RFC 7009 section 2.2: twice is fine
		})
	}
	shop.post(revokePath, url.Values{"token": {"never-issued"}}).ok(t)
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, fapi := w.standard(), w.fapi2()
	tokens := shop.tokens()
	got := shop.post(introspectPath, url.Values{"token": {tokens.text("access_token")}}).ok(t)
	for name, want := range map[string]any{
		"active": true, "sub": aliceID, "client_id": "shop", "scope": "openid accounts:read", "token_type": "Bearer",
		"iss": w.issuer, "username": nil, "acr": acrPassword,
	} {
		if got.body[name] != want {
			t.Errorf("%s is %v, want %v", name, got.body[name], want)
		}
	}
	if shop.active(tokens.text("refresh_token")) {
		t.Error("a refresh token is called an active bearer token")
	}
	if shop.active(tokens.text("id_token")) || shop.active("nonsense") || shop.active(fapi.assertion()) {
		t.Error("what is no access token is called active")
	}
	internal, err := w.server.internalToken(t.Context(), "internal:users")
	if err != nil || shop.active(internal) {
		t.Errorf("a service's own token is called active, %v", err)
	}
	if fapi.active(tokens.text("access_token")) {
		t.Error("a client looked into another client's token")
	}
	bound := fapi.tokens()
	if got := fapi.post(introspectPath, url.Values{"token": {bound.text("access_token")}}); got.text("token_type") != "DPoP" {
		t.Errorf("got %v", got.body)
	}
	if fapi.active(bound.text("refresh_token")) {
		t.Error("a refresh token is called active")
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()

	pushed := shop.post(parPath, shop.pushForm()).ok(t)
	if pushed.status != http.StatusCreated || pushed.body["expires_in"] != 60.0 {
		t.Errorf("pushed request: %d %v", pushed.status, pushed.body)
	}
	requestURI := shop.push()
	w.advance(61 * time.Second)
	w.browser().open(shop, requestURI).problem(http.StatusBadRequest, "expired")

	w.offset.Store(0)
	b := w.browser()
	page := b.open(shop, shop.push())
	w.advance(sessionLifetime + time.Second)
	b.submit(page, "login", url.Values{"username": {"alice"}, "password": {alicePassword}}).problem(http.StatusBadRequest, "expired")

	w.offset.Store(0)
	code := shop.code()
	var left int64
	row := w.server.registry.db.QueryRowContext(t.Context(), `SELECT code_expires_at - created_at FROM grants WHERE code_consumed_at = 0`)
	if err := row.Scan(&left); err != nil || left > 61*time.Second.Microseconds() || left < 55*time.Second.Microseconds() {
		t.Errorf("a code lives for %v, %v", time.Duration(left)*time.Microsecond, err)
	}
	w.exec(`UPDATE grants SET code_expires_at = 1`)
	shop.redeem(code).wants(t, http.StatusBadRequest, "invalid_grant")

	refresh := refreshForm(shop.tokens().text("refresh_token"))
	w.advance(refreshTokenLifetime - time.Hour)
	shop.post(tokenPath, refresh).ok(t)
	w.advance(2 * time.Hour)
	shop.post(tokenPath, refresh).wants(t, http.StatusBadRequest, "invalid_grant")
}

// The library's own store would have dropped the first of these.
func TestNothingIsForgottenUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	first := shop.push()
	tokens := shop.tokens()
	for range 120 {
		shop.push()
		shop.post(tokenPath, ownForm("payments:create")).ok(t)
	}
	b.consent(shop, first)
	if !shop.active(tokens.text("access_token")) {
		t.Error("a grant was evicted")
	}
}

func TestCleanUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fapi2().post(tokenPath, ownForm("payments:create")).ok(t)
	w.standard().push()
	w.advance(48 * time.Hour)
	w.server.cleanUp(t.Context())
	for _, table := range []string{"grants", "jtis", "authorization_sessions"} {
		var n int
		if err := w.server.registry.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
}
