package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

// A fapi2 client cannot authenticate as a standard one may, at any endpoint.
func TestFAPI2ClientCannotUseASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	for _, path := range []string{tokenPath, parPath, introspectPath, revokePath} {
		for name, tweak := range map[string]func(*http.Request, url.Values){
			"basic":           func(r *http.Request, _ url.Values) { r.SetBasicAuth(fapi.ClientID, "secret") },
			"basic, empty":    func(r *http.Request, _ url.Values) { r.SetBasicAuth(fapi.ClientID, "") },
			"post":            func(_ *http.Request, v url.Values) { v.Set("client_secret", "secret") },
			"nothing":         func(*http.Request, url.Values) {},
			"basic, own hash": func(r *http.Request, _ url.Values) { r.SetBasicAuth(fapi.ClientID, string(fapi.JWK)) },
		} {
			t.Run(strings.TrimPrefix(path, "/oauth/")+" "+name, func(t *testing.T) {
				form := url.Values{"client_id": {fapi.ClientID}, "token": {"x"}, "grant_type": {"client_credentials"}, "scope": {"payments:create"}}
				nobody := &app{w: w, Registered: Registered{ClientID: fapi.ClientID}} // without credentials of its own
				tweak(&http.Request{Header: http.Header{}}, form)
				r := nobody.request(path, form)
				tweak(r, url.Values{})
				got := w.do(r)
				got.wants(t, http.StatusUnauthorized, "invalid_client")
				if got.header.Get("WWW-Authenticate") == "" {
					t.Error("a 401 without a challenge")
				}
			})
		}
	}
}

func TestTwoWaysOfAuthenticationAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi, shop := w.fapi2(), w.standard()

	r := fapi.request(tokenPath, ownForm("payments:create"))
	r.SetBasicAuth(shop.ClientID, shop.ClientSecret)
	w.do(r).wants(t, http.StatusBadRequest, "invalid_request")

	r = shop.request(tokenPath, ownForm("payments:create"))
	r.Header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("finance:x")))
	w.do(r).wants(t, http.StatusBadRequest, "invalid_request")

	form := ownForm("payments:create")
	form.Set("client_secret", shop.ClientSecret)
	shop.post(tokenPath, form).wants(t, http.StatusUnauthorized, "invalid_client")
}

func TestStandardClientCannotUseAnAssertion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, key := range strangeKeys(t) {
		impostor := &app{w: w, Registered: Registered{ClientID: shop.ClientID}, key: key}
		got := impostor.post(tokenPath, ownForm("payments:create"))
		if got.text("error") != "invalid_client" {
			t.Errorf("%s: %v", name, got.body)
		}
	}
	// The secret as an HMAC key (client_secret_jwt) is no way in either.
	key := importKey(t, []byte(shop.ClientSecret), jwa.HS256())
	impostor := &app{w: w, Registered: Registered{ClientID: shop.ClientID}, key: key}
	impostor.post(tokenPath, ownForm("payments:create")).wants(t, http.StatusUnauthorized, "invalid_client")
}

func TestFAPI2ClientGetsBoundTokensOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	code, refresh := fapi.code(), fapi.tokens().text("refresh_token")
	fapi.proof = nil
	for _, form := range []url.Values{ownForm("payments:create"), fapi.codeForm(code), refreshForm(refresh)} {
		fapi.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
	}
}

// A client that was standard has refresh tokens that are bound to nothing. Once
// it is registered as fapi2 they are worth nothing.
func TestUnboundRefreshTokenOfAClientThatBecameFAPI2(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refresh := w.standard().tokens().text("refresh_token")
	fapi := w.app(Registration{ID: "shop", Kind: "fapi2", GenerateKey: true, Replace: true, ChangeKind: true})
	fapi.post(tokenPath, refreshForm(refresh)).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
	fapi.proof = nil
	fapi.post(tokenPath, refreshForm(refresh)).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

func TestRequestsThatWereNotPushedAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, a := range []*app{w.standard(), w.fapi2()} {
		v := w.browser().get(authorizePath + "?" + a.pushForm().Encode())
		v.problem(http.StatusBadRequest, "cannot be used")
		if v.location != "" {
			t.Errorf("redirected to %s", v.location)
		}
	}
}

func TestPKCEIsRequiredWithS256(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, a := range []*app{w.standard(), w.fapi2()} {
		for name, e := range map[string]func(url.Values){
			"none":      func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") },
			"plain":     func(v url.Values) { v.Set("code_challenge_method", "plain"); v.Set("code_challenge", verifier) },
			"no method": without("code_challenge_method"),
			"no hash":   with("code_challenge", "short"),
		} {
			got := a.post(parPath, a.pushForm(e))
			if got.status != http.StatusBadRequest || got.text("error") != "invalid_request" {
				t.Errorf("%s, %s: %d %v", a.ClientID, name, got.status, got.body)
			}
		}
		for _, wrong := range []string{"", strings.Repeat("x", 50)} {
			form := a.codeForm(a.code())
			form.Set("code_verifier", wrong)
			a.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_grant")
		}
	}
}

// Every other flow and every way to put parameters past the pushed request.
func TestOnlyTheCodeFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, e := range map[string]func(url.Values){
		"implicit":        with("response_type", "token"),
		"id_token":        with("response_type", "id_token"),
		"hybrid":          with("response_type", "code id_token"),
		"fragment":        with("response_mode", "fragment"),
		"form_post":       with("response_mode", "form_post"),
		"json":            with("response_mode", "json"),
		"request object":  with("request", "eyJhbGciOiJub25lIn0.e30."),
		"request_uri":     with("request_uri", "https://shop.example/request.jwt"),
		"id_token_hint":   with("id_token_hint", "x.y.z"),
		"other redirect":  with("redirect_uri", "https://evil.example/callback"),
		"redirect suffix": with("redirect_uri", "https://shop.example/callback/more"),
		"no redirect":     without("redirect_uri"),
		"unknown acr":     with("acr_values", "urn:other"),
		"unknown prompt":  with("prompt", "create"),
		"none and login":  with("prompt", "none login"),
		"max_age":         with("max_age", "soon"),
		"max_age below 0": with("max_age", "-1"),
		"long state":      with("state", strings.Repeat("s", 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			got := shop.post(parPath, shop.pushForm(e))
			if got.status != http.StatusBadRequest {
				t.Errorf("got %d %v", got.status, got.body)
			}
		})
	}
	hint := shop.tokens().text("id_token")
	shop.post(parPath, shop.pushForm(with("id_token_hint", hint))).wants(t, http.StatusBadRequest, "invalid_request")
	for _, grant := range []string{"password", "implicit", "urn:ietf:params:oauth:grant-type:device_code",
		"urn:ietf:params:oauth:grant-type:token-exchange", ""} {
		shop.post(tokenPath, url.Values{"grant_type": {grant}}).wants(t, http.StatusBadRequest, "unsupported_grant_type")
	}
}

// Parameters beside request_uri are not added to the pushed request.
func TestNothingCanBeAddedAtTheAuthorizationEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, a := range []*app{w.standard(), w.fapi2()} {
		b := w.browser()
		extra := url.Values{"scope": {"profile:read"}, "authorization_details": {million()}, "redirect_uri": {"https://evil.example"},
			"state": {"other"}, "nonce": {"other"}, "prompt": {"none"}, "response_mode": {"fragment"}}
		first := b.get(openURL(a, a.push(without("nonce"))) + "&" + extra.Encode())
		consent := b.signIn(b.get(first.location))
		answer := b.submit(consent, "consent", approval()).answer()
		tokens := a.redeem(answer.Get("code")).ok(t)
		claims := w.claimsOf(tokens.text("access_token"))
		if answer.Get("state") != "st-1" || claims["scope"] != "openid accounts:read" || claims["authorization_details"] != nil {
			t.Errorf("%v %v", answer, claims)
		}
	}
}

func TestAssertionsOfOtherAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := strangeKeys(t)
	// The registered key is the RSA key; the client signs with RS256 instead of PS256.
	fapi := w.withKey(t, "rsa", keys["PS256"])
	fapi.key = keys["RS256"]
	if err := fapi.key.Set("kid", "key-of-rsa"); err != nil {
		t.Fatal(err)
	}
	fapi.post(tokenPath, ownForm("payments:create")).wants(t, http.StatusUnauthorized, "invalid_client")

	for name, alg := range map[string]jwa.SignatureAlgorithm{"HS256": jwa.HS256(), "HS512": jwa.HS512()} {
		fapi := w.app(Registration{ID: "app-" + name, Kind: "fapi2", GenerateKey: true})
		kid, _ := fapi.key.KeyID()
		fapi.key = importKey(t, []byte(fapi.JWK), alg)
		if err := fapi.key.Set("kid", kid); err != nil {
			t.Fatal(err)
		}
		fapi.post(tokenPath, ownForm("payments:create")).wants(t, http.StatusUnauthorized, "invalid_client")
	}

	none := w.app(Registration{ID: "app-none", Kind: "fapi2", GenerateKey: true})
	parts := strings.Split(none.assertion(), ".")
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, forged := range []string{header + "." + parts[1] + ".", header + "." + parts[1] + "." + parts[2]} {
		form := ownForm("payments:create")
		form.Set("client_assertion", forged)
		none.post(tokenPath, form).wants(t, http.StatusUnauthorized, "invalid_client")
	}
}

func TestAssertionClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	w.standard()
	for name, e := range map[string]edit{
		"aud an array":       set("aud", []string{w.issuer}),
		"aud of two":         set("aud", []string{w.issuer, "https://other.example"}),
		"aud the endpoint":   set("aud", w.issuer+tokenPath),
		"aud with a slash":   set("aud", w.issuer+"/"),
		"aud missing":        drop("aud"),
		"another spelling":   func(m map[string]any) { m["aud"] = []string{w.issuer}; m["AUD"] = w.issuer },
		"another client":     func(m map[string]any) { m["iss"], m["sub"] = "shop", "shop" },
		"sub of another":     set("sub", "shop"),
		"iss of another":     set("iss", "shop"),
		"jti missing":        drop("jti"),
		"exp missing":        drop("exp"),
		"exp far away":       func(m map[string]any) { m["exp"] = m["iat"].(int64) + 3600 },
		"expired":            func(m map[string]any) { m["exp"] = m["iat"].(int64) - 11 },
		"issued in a minute": func(m map[string]any) { m["iat"] = m["iat"].(int64) + 60 },
	} {
		t.Run(name, func(t *testing.T) {
			form := ownForm("payments:create")
			form.Set("client_assertion", fapi.assertion(e))
			fapi.post(tokenPath, form).wants(t, http.StatusUnauthorized, "invalid_client")
		})
	}
}

// Clocks may differ by eight seconds, either way.
func TestClockLeeway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	for _, shift := range []int64{-8, 8} {
		move := func(m map[string]any) {
			for _, name := range []string{"iat", "exp"} {
				if at, ok := m[name].(int64); ok {
					m[name] = at + shift
				}
			}
		}
		form := ownForm("payments:create")
		form.Set("client_assertion", fapi.assertion(move))
		r := fapi.request(tokenPath, form)
		r.Header.Set("DPoP", dpopProof(t, fapi.proof, http.MethodPost, w.issuer+tokenPath, move))
		w.do(r).ok(t)
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fapi := w.fapi2()
	strange := strangeKeys(t)
	endpoint := w.issuer + tokenPath
	proof := func(e ...edit) string { return dpopProof(t, fapi.proof, http.MethodPost, endpoint, e...) }
	private, err := json.Marshal(fapi.proof)
	if err != nil {
		t.Fatal(err)
	}
	public, err := fapi.proof.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	withType := func(typ string) string {
		return sign(t, fapi.proof, map[string]any{"typ": typ, "jwk": public},
			map[string]any{"htm": "POST", "htu": endpoint, "iat": time.Now().Unix(), "jti": uuid.NewString()})
	}
	withPrivate := sign(t, fapi.proof, map[string]any{"typ": "dpop+jwt", "jwk": fapi.proof},
		map[string]any{"htm": "POST", "htu": endpoint, "iat": time.Now().Unix(), "jti": "x"})
	if !strings.Contains(string(private), `"d"`) {
		t.Fatal("the key is not private")
	}
	// What the cases below differ from is good.
	r := fapi.request(tokenPath, ownForm("payments:create"))
	r.Header.Set("DPoP", withType("dpop+jwt"))
	w.do(r).ok(t)
	for name, values := range map[string][]string{
		"two":             {proof(), proof()},
		"empty":           {""},
		"not a JWT":       {"x.y.z"},
		"other method":    {proof(set("htm", "GET"))},
		"other URL":       {proof(set("htu", w.issuer+parPath))},
		"other host":      {proof(set("htu", "https://other.example"+tokenPath))},
		"old":             {proof(set("iat", 1))},
		"in a minute":     {proof(func(m map[string]any) { m["iat"] = m["iat"].(int64) + 60 })},
		"no iat":          {proof(drop("iat"))},
		"no jti":          {proof(drop("jti"))},
		"other typ":       {withType("jwt")},
		"private key":     {withPrivate},
		"ES384":           {dpopProof(t, strange["ES384"], http.MethodPost, endpoint)},
		"RS256":           {dpopProof(t, strange["RS256"], http.MethodPost, endpoint)},
		"small RSA key":   {weakProof(t, endpoint)},
		"other signature": {proof()[:len(proof())-8] + "AAAAAAAA"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fapi.request(tokenPath, ownForm("payments:create"))
			r.Header["Dpop"] = values
			w.do(r).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
		})
	}
}

// The library takes two DPoP fields for none: a client that means to bind its
// token would get one that is not bound.
func TestTwoProofsAreNotNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	r := shop.request(tokenPath, ownForm("payments:create"))
	for range 2 {
		r.Header.Add("DPoP", dpopProof(t, newKey(t), http.MethodPost, w.issuer+tokenPath))
	}
	w.do(r).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

func TestTheKindDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := managers{w.server.store, w.server.vault}
	w.standard()
	w.fapi2()
	shop, err := m.Client(t.Context(), "shop")
	if err != nil || shop.TokenAuthnMethod != "client_secret_basic" || shop.DPoPTokenBindingIsRequired || shop.JWKS != nil || !shop.PARIsRequired {
		t.Errorf("standard: %+v, %v", shop, err)
	}
	finance, err := m.Client(t.Context(), "finance")
	if err != nil || finance.TokenAuthnMethod != "private_key_jwt" || !finance.DPoPTokenBindingIsRequired || finance.Secret != "" || !finance.PARIsRequired {
		t.Errorf("fapi2: %+v, %v", finance, err)
	}
	if got, _ := w.server.store.Client(t.Context(), "finance"); got.Kind != store.FAPI2 {
		t.Errorf("stored as %s", got.Kind)
	}
}
