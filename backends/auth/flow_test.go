package auth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// approved is the detail that a token carries after consent.
func approved(t *testing.T) any {
	t.Helper()
	var list []any
	if err := json.Unmarshal([]byte(details(set("debtorAccount", map[string]any{"id": aliceAccount}))), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestStandardClientPays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()

	signIn := b.open(shop, shop.push(paying))
	if signIn.status != http.StatusOK || !strings.Contains(signIn.html, "Corner Shop") {
		t.Fatalf("sign-in page: %d %s", signIn.status, signIn.html)
	}
	consent := b.signIn(signIn)
	for _, words := range []string{"1,234.50 EUR", "Corner Shop", "Order 1042", "Everyday", "2,500.00 EUR", "Alice Archer"} {
		if !strings.Contains(consent.html, words) {
			t.Errorf("the consent page does not show %q", words)
		}
	}
	answer := b.submit(consent, "consent", approval()).answer()
	if answer.Get("iss") != w.issuer || answer.Get("state") != "st-1" {
		t.Errorf("authorization response: %v", answer)
	}
	tokens := shop.redeem(answer.Get("code")).ok(t)
	if tokens.text("token_type") != "Bearer" || tokens.body["expires_in"] != 300.0 || tokens.text("scope") != "payments:confirm" {
		t.Errorf("token response: %v", tokens.body)
	}
	claims := w.claimsOf(tokens.text("access_token"))
	for _, got := range []any{claims["authorization_details"], tokens.body["authorization_details"]} {
		if !reflect.DeepEqual(got, approved(t)) {
			t.Errorf("authorization_details: %v", got)
		}
	}
}

func TestFAPI2ClientWalksTheWholeFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.payments.change(set("client_id", "finance"))
	app := w.fapi2()
	tokens := app.tokens(paying, with("scope", "openid accounts:read payments:confirm"), with("nonce", "n-1"))
	if tokens.text("token_type") != "DPoP" {
		t.Errorf("token response: %v", tokens.body)
	}
	if !reflect.DeepEqual(tokens.body["authorization_details"], approved(t)) {
		t.Errorf("authorization_details: %v", tokens.body["authorization_details"])
	}
	claims := w.claimsOf(tokens.text("access_token"))
	jkt := map[string]any{"jkt": thumbprint(t, app.proof)}
	for name, want := range map[string]any{
		"iss": w.issuer, "sub": aliceID, "client_id": "finance", "scope": "openid accounts:read payments:confirm",
		"aud": []any{w.issuer + "/api"}, "acr": acrPassword, "cnf": jkt,
	} {
		if !reflect.DeepEqual(claims[name], want) {
			t.Errorf("access token: %s is %v, want %v", name, claims[name], want)
		}
	}
	if claims["jti"] == "" || claims["exp"].(float64)-claims["iat"].(float64) != 300 {
		t.Errorf("access token: %v", claims)
	}
	if age := time.Since(time.Unix(int64(claims["auth_time"].(float64)), 0)); age < 0 || age > time.Minute {
		t.Errorf("auth_time is %v ago", age)
	}
	if grant, _ := claims["grant_id"].(string); grant == "" {
		t.Error("access token: no grant_id to revoke it by")
	}
	id := w.claimsOf(tokens.text("id_token"))
	if id["sub"] != aliceID || id["aud"] != "finance" || id["nonce"] != "n-1" || id["acr"] != acrPassword || id["auth_time"] == nil {
		t.Errorf("ID token: %v", id)
	}

	fresh := app.post(tokenPath, refreshForm(tokens.text("refresh_token"))).ok(t)
	if fresh.body["refresh_token"] != nil {
		t.Error("the refresh token was rotated") // FAPI 2.0 section 5.3.2.1
	}
	again := w.claimsOf(fresh.text("access_token"))
	if again["jti"] == claims["jti"] || again["grant_id"] != claims["grant_id"] || !reflect.DeepEqual(again["cnf"], jkt) || again["auth_time"] != claims["auth_time"] {
		t.Errorf("refreshed token: %v", again)
	}
}

func TestTokenHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.standard().post(tokenPath, ownForm("payments:create")).ok(t)
	var header map[string]any
	decodePart(t, tokens.text("access_token"), 0, &header)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == nil {
		t.Errorf("header: %v", header)
	}
	claims := w.claimsOf(tokens.text("access_token"))
	if claims["sub"] != "shop" || claims["client_id"] != "shop" || claims["scope"] != "payments:create" ||
		claims["acr"] != nil || claims["auth_time"] != nil || tokens.body["refresh_token"] != nil {
		t.Errorf("a client's own token: %v", claims)
	}
	if tokens.header.Get("Cache-Control") == "" {
		t.Error("the token response may be cached")
	}
}

func TestStandardClientMayBindItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	shop.proof = newKey(t)
	tokens := shop.tokens()
	if tokens.text("token_type") != "DPoP" {
		t.Errorf("token response: %v", tokens.body)
	}
	shop.proof = nil
	shop.post(tokenPath, refreshForm(tokens.text("refresh_token"))).wants(t, http.StatusBadRequest, "invalid_dpop_proof")
}

func TestRefreshTokenOnlyForItsGrantType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.app(Registration{ID: "shop", Kind: "standard", GrantTypes: []string{"authorization_code"},
		RedirectURIs: []string{"https://shop.example/callback"}, Scopes: userScopes})
	if tokens := shop.tokens(); tokens.body["refresh_token"] != nil {
		t.Error("a refresh token for a client that cannot use one")
	}
	shop.post(tokenPath, refreshForm("anything")).wants(t, http.StatusBadRequest, "invalid_grant")
	shop.post(tokenPath, ownForm("payments:read")).wants(t, http.StatusBadRequest, "unauthorized_client")
}

func TestClientAuthenticationIsFormEncodedInsideBasic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.app(Registration{ID: "my-shop.eu", Kind: "standard"})
	r := shop.request(tokenPath, ownForm("payments:create"))
	r.SetBasicAuth(strings.NewReplacer("-", "%2D", ".", "%2E").Replace(shop.ClientID), url.QueryEscape(shop.ClientSecret))
	w.do(r).ok(t)
}

func TestOtherKeysOfClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, key := range strangeKeys(t) {
		if name != "PS256" && name != "EdDSA" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			app := w.withKey(t, "app-"+strings.ToLower(name), key)
			app.proof = key
			app.post(tokenPath, ownForm("payments:create")).ok(t)
		})
	}
}
