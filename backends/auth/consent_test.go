package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// What the client asks to be approved is not the payment: the user is not asked.
func TestAPaymentThatDiffersIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	b.consent(shop, shop.push())
	asked := func(raw string) func(url.Values) {
		return func(v url.Values) { paying(v); v.Set("authorization_details", raw) }
	}
	for name, raw := range map[string]string{
		"amount":   details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": "1234.51"})),
		"currency": details(set("instructedAmount", map[string]any{"currency": "USD", "amount": paymentDecimal})),
		"payee":    details(set("creditorName", "Corner Shop Ltd")),
		"account":  details(set("creditorAccount", map[string]any{"id": bobAccount})),
		"payment":  details(set("paymentId", "0190cccc-0000-7000-8000-00000000ffff")),
	} {
		t.Run(name, func(t *testing.T) {
			answer := b.open(shop, shop.push(asked(raw))).answer()
			if answer.Get("error") != "invalid_authorization_details" || answer.Get("code") != "" {
				t.Errorf("got %v", answer)
			}
		})
	}
	// "1234.5" is the same amount, written otherwise.
	if v := b.open(shop, shop.push(asked(details(set("instructedAmount", map[string]any{"currency": "EUR", "amount": "1234.5"}))))); !strings.Contains(v.html, "1,234.50 EUR") {
		t.Errorf("got %d %s", v.status, v.location)
	}
}

// The payment changes between the page and the answer.
func TestAPaymentThatChangesBehindThePageIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]edit{
		"amount":         set("amount", money.Amount{Value: 123451, Currency: "EUR"}),
		"currency":       set("amount", money.Amount{Value: 123450, Currency: "USD"}),
		"payee":          set("creditor", map[string]any{"name": "Evil", "account_id": shopAccount}),
		"account":        set("creditor", map[string]any{"name": "Corner Shop", "account_id": bobAccount}),
		"client":         set("client_id", "other"),
		"status":         set("status", "succeeded"),
		"canceled":       set("status", "canceled"),
		"expired":        set("expires_at", time.Now().Add(-time.Second).UTC().Format(time.RFC3339)),
		"another answer": set("id", bobAccount),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			shop, b := w.standard(), w.browser()
			page := b.signIn(b.open(shop, shop.push(paying)))
			w.payments.change(change)
			answer := b.submit(page, "consent", approval()).answer()
			if answer.Get("error") != "invalid_authorization_details" || answer.Get("code") != "" {
				t.Errorf("got %v", answer)
			}
			w.payments.change(set("status", "requires_consent"))
			b.submit(page, "consent", approval()).problem(http.StatusBadRequest, "answered already")
		})
	}
}

func TestTheDebtorAccountIsTheUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.signIn(b.open(shop, shop.push(paying)))
	for _, account := range []string{bobAccount, shopAccount, "", "nonsense"} {
		b.submit(page, "consent", url.Values{"decision": {"approve"}, "account": {account}}).problem(http.StatusBadRequest, "Choose the account")
	}
	b.submit(page, "consent", approval()).code()
}

func TestConsentPageOfAPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	w.payments.change(set("description", `<b>bold</b>`))
	page := b.signIn(b.open(shop, shop.push(paying, with("scope", "payments:confirm accounts:read"))))
	for _, words := range []string{
		"&lt;b&gt;bold", "not enough", `value="` + alicePoor + `" required disabled`, `value="` + aliceAccount + `" required checked`,
		"See your accounts, balances and transactions", "Approve 1,234.50 EUR",
	} {
		if !strings.Contains(page.html, words) {
			t.Errorf("the page does not have %q: %s", words, page.html)
		}
	}
	if strings.Contains(page.html, "<b>") {
		t.Error("the description is not escaped")
	}
}

func TestConsentPageWithoutAPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.signIn(b.open(shop, shop.push(with("scope", "profile:read accounts:read"))))
	if !strings.Contains(page.html, "Read your name and e-mail address") || strings.Contains(page.html, "Pay from") {
		t.Errorf("page: %s", page.html)
	}
	if w.payments.calls != 0 {
		t.Error("the payments service was asked")
	}
	code := b.submit(page, "consent", url.Values{"decision": {"approve"}, "account": {aliceAccount}}).code()
	if claims := w.claimsOf(shop.redeem(code).ok(t).text("access_token")); claims["authorization_details"] != nil {
		t.Errorf("claims: %v", claims)
	}
}

// Who approves a payment and gives access beside it is told how long that lasts.
func TestConsentPageSaysHowLongAccessLasts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	once := w.app(Registration{ID: "once", Kind: "standard", Scopes: userScopes,
		GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://shop.example/callback"}})
	for name, c := range map[string]struct {
		app   *app
		edits []func(url.Values)
		says  bool
	}{
		"scopes":                       {shop, []func(url.Values){with("scope", "accounts:read")}, true},
		"scopes beside a payment":      {shop, []func(url.Values){paying, with("scope", "payments:confirm accounts:read")}, true},
		"a payment alone":              {shop, []func(url.Values){paying, with("scope", "payments:confirm")}, false},
		"a client that cannot refresh": {once, []func(url.Values){with("scope", "accounts:read")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			page := b.signIn(b.open(c.app, c.app.push(c.edits...)))
			if page.status != http.StatusOK || strings.Contains(page.html, "This access lasts for up to 30 days.") != c.says {
				t.Errorf("got %d %s", page.status, page.html)
			}
		})
	}
}

func TestServicesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, b := w.standard(), w.browser()
	page := b.open(shop, shop.push(paying))
	w.users.setFail(true)
	b.submit(page, "login", url.Values{"username": {"alice"}, "password": {alicePassword}}).problem(http.StatusServiceUnavailable, "in a few seconds")
	w.users.setFail(false)
	w.payments.setFail(true)
	after := b.submit(page, "login", url.Values{"username": {"alice"}, "password": {alicePassword}})
	unavailable := b.get(after.location)
	unavailable.problem(http.StatusServiceUnavailable, "in a few seconds")
	if unavailable.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.payments.setFail(false)
	consent := b.get(after.location) // a reload goes on where it was
	w.payments.setFail(true)
	b.submit(consent, "consent", approval()).problem(http.StatusServiceUnavailable, "in a few seconds")
	w.payments.setFail(false)
	b.submit(consent, "consent", approval()).code()
}

func TestDisplay(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]money.Amount{
		"0.05 EUR": {Value: 5, Currency: "EUR"}, "123.50 EUR": {Value: 12350, Currency: "EUR"},
		"1,234.50 EUR": {Value: 123450, Currency: "EUR"}, "1,234,567 JPY": {Value: 1234567, Currency: "JPY"},
		"-1,000.000 KWD": {Value: -1000000, Currency: "KWD"}, "-999.00 EUR": {Value: -99900, Currency: "EUR"},
	} {
		if got := display(a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
