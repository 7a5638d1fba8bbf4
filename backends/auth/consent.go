package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/page"
	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// toApprove is what the consent page is about: what was asked for, held against
// what there is.
type toApprove struct {
	scopes   []string
	details  []paymentDetail
	payment  payment // of details[0], where there is one
	accounts []account
}

// errDifferent is a payment that is not what the client asked to be approved.
var errDifferent = errors.New("the payment is not what authorization_details say")

// load gets the payment and the user's accounts, and compares.
func (i interaction) load() (toApprove, error) {
	a := toApprove{scopes: strings.Fields(i.as.Scopes)}
	for _, object := range i.as.AuthDetails {
		d, err := parsePayment(object)
		if err != nil {
			return a, fmt.Errorf("%w: %w", errDifferent, err)
		}
		a.details = append(a.details, d)
	}
	if len(a.details) == 0 {
		return a, nil
	}
	var err error
	ctx, d := i.r.Context(), a.details[0]
	if a.payment, err = i.s.payments.payment(ctx, d.PaymentID); err != nil {
		return a, err
	}
	if err := a.payment.is(d, i.as.ClientID, i.s.now()); err != nil {
		return a, err
	}
	a.accounts, err = i.s.payments.accounts(ctx, i.as.Subject, d.Amount.Currency)
	return a, err
}

// is compares the payment with what the client asks the user to approve (dynamic
// linking): the page must show, and the token must carry, the payment as it is.
func (p payment) is(d paymentDetail, clientID string, now time.Time) error {
	for what, same := range map[string]bool{
		"id":               p.ID == d.PaymentID,
		"client":           p.ClientID == clientID,
		"status":           p.Status == "requires_consent",
		"amount":           p.Amount == d.Amount,
		"creditor name":    p.Creditor.Name == d.CreditorName,
		"creditor account": p.Creditor.AccountID == d.CreditorAccount,
		"time left":        p.ExpiresAt.IsZero() || p.ExpiresAt.After(now),
	} {
		if !same {
			return fmt.Errorf("%w: %s", errDifferent, what)
		}
	}
	return nil
}

// showConsent asks.
func (i interaction) showConsent(problem string) (goidc.Status, error) {
	a, err := i.load()
	if err != nil {
		return i.cannotAsk(err)
	}
	user, _ := i.as.Store[noteName].(string)
	status := http.StatusOK
	if problem != "" {
		status = http.StatusBadRequest
	}
	page.Consent{
		Interaction: i.page(), User: user, Scopes: inWords(a.scopesBeside()), Lasts: i.lasts(), Payment: a.page(), Problem: problem,
	}.Write(i.w, status)
	return goidc.StatusPending, nil
}

// lasts tells for how long a client with refresh tokens keeps what it is given.
func (i interaction) lasts() string {
	if !slices.Contains(i.c.GrantTypes, goidc.GrantRefreshToken) {
		return ""
	}
	return plural(int(refreshTokenLifetime/(24*time.Hour)), "day")
}

// cannotAsk ends a request for something that is not there; what cannot be told
// for now may be tried again.
func (i interaction) cannotAsk(err error) (goidc.Status, error) {
	if !errors.Is(err, errDifferent) {
		return i.unavailable(err)
	}
	i.s.logger.WarnContext(i.r.Context(), "consent refused", "client_id", i.as.ClientID, "error", err)
	return goidc.StatusFailure, refusal.New(goidc.ErrorCodeInvalidAuthDetails,
		"The payment does not exist, cannot be approved any more, or is not what the authorization_details say.")
}

// scopesBeside are the scopes that the payment itself does not say already.
func (a toApprove) scopesBeside() []string {
	if len(a.details) == 0 {
		return a.scopes
	}
	return slices.DeleteFunc(slices.Clone(a.scopes), func(name string) bool { return name == scopeConfirm })
}

func (a toApprove) page() *page.Payment {
	if len(a.details) == 0 {
		return nil
	}
	p := &page.Payment{Amount: display(a.payment.Amount), Payee: a.payment.Creditor.Name, Description: a.payment.Description}
	selected := false
	for _, acc := range a.accounts {
		enough := acc.Available.Value >= a.payment.Amount.Value
		p.Accounts = append(p.Accounts, page.Account{
			ID: acc.ID, Name: acc.Name, Available: display(acc.Available), TooLittle: !enough, Selected: enough && !selected,
		})
		selected = selected || enough
	}
	return p
}

// display writes an amount with its thousands apart: "1,234.50 EUR".
func display(a money.Amount) string {
	number, currency, _ := strings.Cut(a.String(), " ")
	whole, fraction, hasFraction := strings.Cut(number, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for n := len(whole) - 3; n > 0; n -= 3 {
		whole = whole[:n] + "," + whole[n:]
	}
	if hasFraction {
		whole += "." + fraction
	}
	return sign + whole + " " + currency
}

// answer takes the user's decision. Everything is loaded and compared again: the
// page may be minutes old, and a form can be sent without it.
func (i interaction) answer() (goidc.Status, error) {
	switch i.r.PostForm.Get("decision") {
	case "deny":
		return goidc.StatusFailure, refusal.New(goidc.ErrorCodeAccessDenied, "The user said no.")
	case "approve":
	default:
		return i.refuse(http.StatusBadRequest, "No answer", "The form said neither yes nor no.")
	}
	login, present, err := i.s.present(i.r, i.as)
	if err != nil {
		return i.unavailable(err)
	}
	if !present {
		clearUser(i.as)
		return i.next() // nobody is signed in who could approve
	}
	// It may be another login than the page was shown to: the grant is of this one.
	i.s.setUser(i.as, login, cookie(i.r, loginCookie))
	a, err := i.load()
	if err != nil {
		return i.cannotAsk(err)
	}
	if len(a.details) > 0 {
		account := i.r.PostForm.Get("account")
		if !a.owns(account) {
			return i.showConsent("Choose the account to pay from.")
		}
		a.details[0].DebtorAccount = account
		i.as.GrantedAuthDetails = []goidc.AuthDetail{a.details[0].object()}
	}
	i.as.GrantedScopes = strings.Join(a.scopes, " ")
	return goidc.StatusSuccess, nil
}

// owns tells whether the account is one of the user's, in the payment's currency.
func (a toApprove) owns(id string) bool {
	return slices.ContainsFunc(a.accounts, func(acc account) bool { return acc.ID == id })
}
