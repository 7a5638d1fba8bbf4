package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

func TestDuplicateParametersAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for _, path := range []string{tokenPath, parPath, introspectPath, revokePath} {
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"payments:create", "payments:create"}, "token": {"x"}}
		shop.post(path, form).wants(t, http.StatusBadRequest, "invalid_request")
	}
}

func TestRequestsThatAreNoForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, c := range map[string]struct {
		tweak  func(*http.Request)
		status int
	}{
		"JSON":             {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, http.StatusBadRequest},
		"no type":          {func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusBadRequest},
		"in the URL":       {func(r *http.Request) { r.URL.RawQuery = "grant_type=client_credentials" }, http.StatusBadRequest},
		"another method":   {func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		"not even a query": {func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 }, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			r := shop.request(tokenPath, ownForm("payments:create"))
			c.tweak(r)
			w.do(r).wants(t, c.status, "invalid_request")
		})
	}
	for name, value := range map[string]string{"a large body": strings.Repeat("x", 100<<10), "a long parameter": strings.Repeat("x", 20<<10), "not UTF-8": "\xff"} {
		t.Run(name, func(t *testing.T) {
			form := ownForm("payments:create")
			form.Set("x", value)
			shop.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_request")
		})
	}
}

// Every refusal of the endpoints that clients call: status, code, and the fields
// that belong to it. The library's causes stay inside.
func TestErrorAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	stranger := &app{w: w, Registered: Registered{ClientID: "nobody", ClientSecret: "secret-canary"}}
	wrong := &app{w: w, Registered: Registered{ClientID: "shop", ClientSecret: "secret-canary"}}
	for name, c := range map[string]struct {
		got    reply
		status int
		code   string
	}{
		"unknown client": {stranger.post(tokenPath, ownForm("payments:create")), 401, "invalid_client"},
		"wrong secret":   {wrong.post(tokenPath, ownForm("payments:create")), 401, "invalid_client"},
		"unknown code":   {shop.post(tokenPath, url.Values{"grant_type": {"authorization_code"}, "code": {"code-canary"}}), 400, "invalid_grant"},
		"no code":        {shop.post(tokenPath, url.Values{"grant_type": {"authorization_code"}}), 400, "invalid_request"},
		"unknown token":  {shop.post(tokenPath, refreshForm("refresh-canary")), 400, "invalid_grant"},
		"no token":       {shop.post(revokePath, url.Values{}), 400, "invalid_request"},
		"unknown scope":  {shop.post(tokenPath, ownForm("scope-canary")), 400, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			c.got.wants(t, c.status, c.code)
			if c.got.header.Get("Content-Type") != "application/json" || !strings.Contains(c.got.header.Get("Cache-Control"), "no-store") {
				t.Errorf("header: %v", c.got.header)
			}
			description := c.got.text("error_description")
			if description == "" || strings.Contains(description, "canary") || !strings.HasSuffix(description, ".") {
				t.Errorf("description: %q", description)
			}
			if (c.status == 401) != (c.got.header.Get("WWW-Authenticate") == `Basic realm="tollgate"`) {
				t.Errorf("challenge: %q", c.got.header.Get("WWW-Authenticate"))
			}
		})
	}
}

// A database that does not answer is 503 everywhere: never a refusal of the
// client, and never a pass.
func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, fapi, b := w.standard(), w.fapi2(), w.browser()
	refresh, page := shop.tokens().text("refresh_token"), b.open(shop, shop.push())
	access := shop.post(tokenPath, ownForm("payments:create")).text("access_token")
	if err := w.server.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.server.registry.db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]reply{
		"code":       shop.redeem("x"),
		"refresh":    shop.post(tokenPath, refreshForm(refresh)),
		"own":        fapi.post(tokenPath, ownForm("payments:create")),
		"push":       shop.post(parPath, shop.pushForm()),
		"introspect": shop.post(introspectPath, url.Values{"token": {access}}),
		"revoke":     shop.post(revokePath, url.Values{"token": {access}}),
	} {
		got.wants(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	b.submit(page, "login", url.Values{"username": {"alice"}, "password": {alicePassword}}).problem(http.StatusServiceUnavailable, "in a few seconds")
	b.open(shop, "urn:ietf:params:oauth:request_uri:x").problem(http.StatusServiceUnavailable, "in a few seconds")
	if err := w.server.Ready(t.Context()); err == nil {
		t.Error("it says that it is ready")
	}
}

// The library renders an error after the page that it could not save: nothing of
// that page may be left, a cookie or a redirect least of all.
func TestAnErrorTakesThePlaceOfThePage(t *testing.T) {
	t.Parallel()
	s := &Server{}
	a := newAnswer()
	a.Header().Set("Set-Cookie", "x=1")
	a.Header().Set("Location", "/elsewhere")
	a.WriteHeader(http.StatusSeeOther)
	_, _ = a.Write([]byte("the page before")) // a buffer takes everything
	if err := s.renderError(a, nil, store.ErrUnavailable); err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusServiceUnavailable || a.header.Get("Set-Cookie")+a.header.Get("Location") != "" ||
		strings.Contains(a.body.String(), "the page before") {
		t.Errorf("%d %v %s", a.status, a.header, a.body.String())
	}
}

func TestNoClientGetsTheInternalAudience(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, value := range map[string]string{"resource": internalAudience, "audience": internalAudience} {
		own := ownForm("payments:create")
		own.Set(name, value)
		form := shop.codeForm(shop.code(with(name, value)))
		form.Set(name, value)
		for _, got := range []reply{shop.post(tokenPath, own).ok(t), shop.post(tokenPath, form).ok(t)} {
			if aud := w.claimsOf(got.text("access_token"))["aud"]; !reflect.DeepEqual(aud, []any{w.issuer + "/api"}) {
				t.Errorf("%s: aud is %v", name, aud)
			}
		}
	}
}

func TestJTIStoreThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	w.exec(`DROP TABLE jtis`)
	fapi.post(tokenPath, ownForm("payments:create")).wants(t, http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestPathsThatAreNotRouted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{
		"/register", "/oauth/register", "/oauth", "/", "/logout", "/oauth/authorize/x/y/z", "/oauth/assets/nothing.css",
	} {
		if v := w.browser().get(path); v.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, v.status)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.issuer+"/register", strings.NewReader(`{"redirect_uris":["https://evil.example"]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if got := w.do(r); got.status != http.StatusNotFound || got.text("code") != "not_found" {
		t.Errorf("dynamic registration: %d %v", got.status, got.body)
	}
	m := managers{w.server.store, w.server.vault}
	if m.SaveClient(t.Context(), nil) == nil || m.DeleteClient(t.Context(), "shop") == nil || refuseRegistration(t.Context(), "") == nil {
		t.Error("dynamic registration is open inside")
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var documents [2]map[string]any
	for i, path := range []string{openIDPath, metadataPath} {
		v := w.browser().get(path)
		if v.status != http.StatusOK || !strings.Contains(v.header.Get("Cache-Control"), "max-age") {
			t.Fatalf("%s: %d %v", path, v.status, v.header)
		}
		if err := json.Unmarshal([]byte(v.html), &documents[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(documents[0], documents[1]) {
		t.Error("the two documents differ")
	}
	list := func(values ...any) []any { return values }
	for name, want := range map[string]any{
		"issuer":                                         w.issuer,
		"authorization_endpoint":                         w.issuer + authorizePath,
		"token_endpoint":                                 w.issuer + tokenPath,
		"pushed_authorization_request_endpoint":          w.issuer + parPath,
		"introspection_endpoint":                         w.issuer + introspectPath,
		"revocation_endpoint":                            w.issuer + revokePath,
		"jwks_uri":                                       w.issuer + jwksPath,
		"userinfo_endpoint":                              w.issuer + userinfoPath,
		"require_pushed_authorization_requests":          true,
		"authorization_response_iss_parameter_supported": true,
		"response_types_supported":                       list("code"),
		"response_modes_supported":                       list("query"),
		"code_challenge_methods_supported":               list("S256"),
		"authorization_details_types_supported":          list("payment_initiation"),
		"id_token_signing_alg_values_supported":          list("ES256"),
		"registration_endpoint":                          nil,
		"acr_values_supported":                           list(acrPassword),
	} {
		if got := documents[0][name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string][]string{
		"grant_types_supported":                            {"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_methods_supported":            {"client_secret_basic", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": {"ES256", "PS256", "EdDSA"},
		"dpop_signing_alg_values_supported":                {"ES256", "PS256", "EdDSA"},
	} {
		got := map[string]bool{}
		values, _ := documents[0][name].([]any)
		for _, v := range values {
			got[v.(string)] = true
		}
		if len(got) != len(want) {
			t.Errorf("%s is %v, want %v", name, values, want)
		}
		for _, v := range want {
			if !got[v] {
				t.Errorf("%s lacks %s", name, v)
			}
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, contentType := range map[string]string{assetsPath + "style.css": "text/css", assetsPath + "icon.svg": "image/svg+xml"} {
		v := w.browser().get(path)
		if v.status != http.StatusOK || !strings.HasPrefix(v.header.Get("Content-Type"), contentType) || !strings.Contains(v.header.Get("Cache-Control"), "max-age") {
			t.Errorf("%s: %d %v", path, v.status, v.header)
		}
	}
}

// No secret that goes through the server shows up in its log.
func TestNoSecretInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, fapi, b := w.standard(), w.fapi2(), w.browser()
	requestURI := shop.push(paying)
	page := b.open(shop, requestURI)
	b.submit(page, "login", url.Values{"username": {"alice"}, "password": {"password-canary"}})
	b.submit(page, "login", url.Values{"username": {"locked"}, "password": {"password-canary"}})
	w.payments.setFail(true)
	consent := b.get(b.submit(page, "login", url.Values{"username": {"alice"}, "password": {alicePassword}}).location)
	consent.problem(http.StatusServiceUnavailable, "in a few seconds")
	w.payments.setFail(false)
	code := b.submit(b.get(strings.TrimSuffix(page.action("login"), "/login")), "consent", approval()).code()
	tokens := shop.redeem(code).ok(t)
	shop.redeem(code)
	shop.post(tokenPath, refreshForm(tokens.text("refresh_token")))
	wrong := &app{w: w, Registered: Registered{ClientID: "shop", ClientSecret: "secret-canary"}}
	wrong.post(tokenPath, ownForm("payments:create"))
	assertion := fapi.assertion()
	form := ownForm("payments:create")
	form.Set("client_assertion", assertion)
	fapi.post(tokenPath, form)
	fapi.post(tokenPath, form) // replayed
	shop.post(introspectPath, url.Values{"token": {tokens.text("access_token") + "x"}})

	log := w.log.String()
	if !strings.Contains(log, `"msg":"refused"`) || !strings.Contains(log, "client_id") {
		t.Fatalf("the refusals are not logged: %s", log)
	}
	secrets := map[string]string{
		"password": alicePassword, "wrong password": "password-canary", "client secret": shop.ClientSecret, "wrong secret": "secret-canary",
		"code": code, "access token": tokens.text("access_token"), "refresh token": tokens.text("refresh_token"), "assertion": assertion,
		"request_uri": strings.TrimPrefix(requestURI, "urn:ietf:params:oauth:request_uri:"), "CSRF token": page.csrf(), "user": aliceID,
	}
	target, _ := url.Parse(w.issuer)
	for _, c := range b.client.Jar.Cookies(target) {
		secrets["cookie "+c.Name] = c.Value
	}
	for name, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

func TestKeySetAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.browser().get(jwksPath)
	if v.header.Get("Cache-Control") != "public, max-age=300" || strings.Contains(v.html, `"d"`) || !strings.Contains(v.html, `"use":"sig"`) {
		t.Errorf("%v %s", v.header, v.html)
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	published := func() []string {
		w.advance(keysRemembered)
		keys, err := w.server.keys.published(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, k := range keys {
			ids = append(ids, k.ID)
		}
		return ids
	}
	signer := func() string {
		var header map[string]string
		decodePart(t, shop.post(tokenPath, ownForm("payments:create")).ok(t).text("access_token"), 0, &header)
		return header["kid"]
	}
	first := published()
	if len(first) != 1 || signer() != first[0] {
		t.Fatalf("at start: %v", first)
	}
	rotation, err := w.server.registry.RotateKeys(t.Context(), RotationDelay)
	if err != nil {
		t.Fatal(err)
	}
	if got := published(); !reflect.DeepEqual(got, []string{first[0], rotation.KeyID}) || signer() != first[0] {
		t.Fatalf("published second: %v", got)
	}
	old := shop.post(tokenPath, ownForm("payments:create")).ok(t).text("access_token")
	w.advance(RotationDelay)
	if got := published(); !reflect.DeepEqual(got, []string{rotation.KeyID, first[0]}) || signer() != rotation.KeyID {
		t.Fatalf("moved to first: %v", got)
	}
	if !shop.active(old) {
		t.Error("what the key before has signed is no longer valid")
	}
	w.server.cleanUp(t.Context())
	if got := published(); len(got) != 2 {
		t.Fatalf("removed too early: %v", got)
	}
	w.advance(keyRetention)
	w.server.cleanUp(t.Context())
	if got := published(); !reflect.DeepEqual(got, []string{rotation.KeyID}) {
		t.Fatalf("retired: %v", got)
	}
	if all, err := w.server.store.SigningKeys(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d keys are kept, %v", len(all), err)
	}
}

func TestCleanUpEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- w.server.CleanUp(ctx) }()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}
