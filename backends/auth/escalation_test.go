package auth

import (
	"net/http"
	"net/url"
	"testing"
)

// million is a payment that nobody has approved.
func million() string {
	return details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": "1000000.00"}))
}

// Escalation 1: a grant by scope only, and authorization_details at the token endpoint.
func TestDetailsCannotBeAddedAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, raw := range map[string]string{"a million": million(), "the payment": details()} {
		t.Run(name, func(t *testing.T) {
			form := shop.codeForm(shop.code())
			form.Set("authorization_details", raw)
			shop.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_authorization_details")

			refresh := refreshForm(shop.tokens().text("refresh_token"))
			refresh.Set("authorization_details", raw)
			shop.post(tokenPath, refresh).wants(t, http.StatusBadRequest, "invalid_authorization_details")
		})
	}
}

// The same on a grant that has details: no others can take their place.
func TestApprovedDetailsCannotBeChangedAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, raw := range map[string]string{
		"amount":        million(),
		"payee":         details(set("creditorAccount", map[string]any{"id": bobAccount})),
		"payment":       details(set("paymentId", bobAccount)),
		"debtor":        details(set("debtorAccount", map[string]any{"id": bobAccount})),
		"none":          "[]",
		"two":           details()[:len(details())-1] + "," + million()[1:],
		"not JSON":      "{",
		"unknown type":  `[{"type":"account_information"}]`,
		"member beside": details() + `,"x":1`,
	} {
		t.Run(name, func(t *testing.T) {
			form := shop.codeForm(shop.code(paying))
			form.Set("authorization_details", raw)
			shop.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_authorization_details")
		})
	}
}

func TestApprovedDetailsMayBeRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, raw := range map[string]string{
		"as pushed":   details(),
		"as approved": details(set("debtorAccount", map[string]any{"id": aliceAccount})),
	} {
		t.Run(name, func(t *testing.T) {
			form := shop.codeForm(shop.code(paying))
			form.Set("authorization_details", raw)
			tokens := shop.post(tokenPath, form).ok(t)
			claims := w.claimsOf(tokens.text("access_token"))
			for _, got := range []any{claims["authorization_details"], tokens.body["authorization_details"]} {
				list, _ := got.([]any)
				if len(list) != 1 || list[0].(map[string]any)["debtorAccount"] == nil {
					t.Errorf("the token does not carry what was approved: %v", got)
				}
			}
		})
	}
}

// Escalation 2: a grant by details only, and scopes at the token endpoint.
func TestScopesCannotBeAddedAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	byDetails := func(v url.Values) {
		paying(v)
		v.Del("scope")
	}
	form := shop.codeForm(shop.code(byDetails))
	form.Set("scope", "accounts:read profile:read")
	shop.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_scope")

	refresh := refreshForm(shop.tokens(byDetails).text("refresh_token"))
	refresh.Set("scope", "accounts:read")
	shop.post(tokenPath, refresh).wants(t, http.StatusBadRequest, "invalid_scope")

	wider := refreshForm(shop.tokens(with("scope", "accounts:read")).text("refresh_token"))
	wider.Set("scope", "accounts:read profile:read")
	shop.post(tokenPath, wider).wants(t, http.StatusBadRequest, "invalid_scope")
}

// Escalation 3: client credentials with authorization_details, or with what only
// a user can give.
func TestClientCredentialsCannotHaveWhatUsersGive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	form := ownForm("payments:create")
	form.Set("authorization_details", details())
	shop.post(tokenPath, form).wants(t, http.StatusBadRequest, "invalid_authorization_details")

	for _, scope := range []string{
		"accounts:read", "payments:confirm", "payments:create profile:read", "openid", "payments:create openid",
		"users:create", "internal:users", "", "nonsense",
	} {
		shop.post(tokenPath, ownForm(scope)).wants(t, http.StatusBadRequest, "invalid_scope")
	}
	shop.post(tokenPath, ownForm("payments:create payments:read")).ok(t)
}

// Escalation 4: what is malformed when it is pushed is refused, not dropped.
func TestMalformedDetailsAreRefusedWhenPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for name, raw := range map[string]string{
		"empty":             "",
		"not JSON":          "[{",
		"an object":         details()[1 : len(details())-1],
		"no object":         "[]",
		"two":               details()[:len(details())-1] + "," + details()[1:],
		"null":              "null",
		"behind it":         details() + " []",
		"duplicate member":  `[{"type":"payment_initiation","type":"payment_initiation"}]`,
		"unknown type":      details(set("type", "account_information")),
		"no type":           details(drop("type")),
		"unknown member":    details(set("remittance", "x")),
		"nested member":     details(set("creditorAccount", map[string]any{"id": shopAccount, "iban": "x"})),
		"amount a number":   details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": 1})),
		"amount negative":   details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": "-1.00"})),
		"amount zero":       details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": "0.00"})),
		"too many places":   details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": "1.005"})),
		"unknown currency":  details(set("instructedAmount", map[string]any{"currency": "XXX", "amount": "1.00"})),
		"no payee":          details(drop("creditorName")),
		"payee turned":      details(set("creditorName", "Corner\u202eShop")),
		"payment no UUID":   details(set("paymentId", "1")),
		"debtor by client":  details(set("debtorAccount", map[string]any{"id": aliceAccount})),
		"other letter case": details(drop("paymentId"), set("PaymentId", paymentID)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, scope := range []string{"payments:confirm", "accounts:read"} { // the second could do without
				form := shop.pushForm(with("scope", scope), with("authorization_details", raw))
				shop.post(parPath, form).wants(t, http.StatusBadRequest, "invalid_authorization_details")
			}
		})
	}
	if w.payments.calls != 0 {
		t.Errorf("%d calls of the payments service", w.payments.calls)
	}
}

func TestDetailsOnlyForClientsThatPay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reader := w.app(Registration{ID: "reader", Kind: "standard", Scopes: []string{"accounts:read"},
		GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://shop.example/callback"}})
	form := reader.pushForm(with("scope", "accounts:read"), with("authorization_details", details()))
	reader.post(parPath, form).wants(t, http.StatusBadRequest, "invalid_authorization_details")
}

func TestScopesOfAPushedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	for scope, code := range map[string]string{
		"payments:create":        "invalid_scope", // no user can give it
		"users:create":           "invalid_scope",
		"internal:users":         "invalid_scope",
		"accounts:write":         "invalid_scope", // not registered
		"accounts:read nonsense": "invalid_scope",
		"":                       "invalid_scope",
		"payments:confirm":       "invalid_authorization_details", // of which payment?
	} {
		shop.post(parPath, shop.pushForm(with("scope", scope))).wants(t, http.StatusBadRequest, code)
	}
}

func TestScopesTakenFromTheClientAreTakenFromItsRefreshTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	refresh := shop.tokens(with("scope", "accounts:read profile:read")).text("refresh_token")
	shop.ClientSecret = w.app(Registration{ID: "shop", Kind: "standard", Replace: true, Scopes: []string{"profile:read"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, RedirectURIs: shop.RedirectURIs}).ClientSecret
	shop.post(tokenPath, refreshForm(refresh)).wants(t, http.StatusBadRequest, "invalid_scope")
}
