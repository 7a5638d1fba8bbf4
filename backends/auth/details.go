package auth

import (
	"context"
	"errors"
	"fmt"
	"unicode"

	"github.com/google/uuid"
	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/internal/jose"
)

// paymentType is the one type of authorization_details (RFC 9396).
const paymentType = "payment_initiation"

const (
	maxPayeeName = 140 // runes; ISO 20022 has no more for a name
	maxAccountID = 64
)

// paymentDetail is an authorization_details object of type payment_initiation.
// The user's consent adds the debtor account.
type paymentDetail struct {
	PaymentID       string
	Amount          money.Amount
	CreditorName    string
	CreditorAccount string
	DebtorAccount   string // empty before consent
}

// parsePayment reads an object strictly: a member that is missing, of another
// type or not known is an error (RFC 9396 section 5).
func parsePayment(members map[string]any) (paymentDetail, error) {
	m := memberReader{members: members, left: len(members)}
	if m.text("type") != paymentType {
		return paymentDetail{}, errors.New("type is not " + paymentType)
	}
	amount := m.object("instructedAmount")
	creditor := m.object("creditorAccount")
	d := paymentDetail{
		PaymentID:       m.text("paymentId"),
		CreditorName:    m.text("creditorName"),
		CreditorAccount: creditor.text("id"),
	}
	decimal, currency := amount.text("amount"), amount.text("currency")
	if _, present := members["debtorAccount"]; present {
		debtor := m.object("debtorAccount")
		d.DebtorAccount = debtor.text("id")
		m.fail(debtor.done())
	}
	if err := errors.Join(amount.done(), creditor.done(), m.done()); err != nil {
		return paymentDetail{}, err
	}
	var err error
	if d.Amount, err = money.Parse(decimal, currency); err != nil {
		return paymentDetail{}, fmt.Errorf("instructedAmount: %w", err)
	}
	return d, d.check()
}

func (d paymentDetail) check() error {
	if d.Amount.Value <= 0 {
		return errors.New("instructedAmount is not more than zero")
	}
	if _, err := uuid.Parse(d.PaymentID); err != nil {
		return errors.New("paymentId is not a UUID")
	}
	for _, id := range []string{d.CreditorAccount, d.DebtorAccount} {
		if len(id) > maxAccountID {
			return errors.New("an account id is too long")
		}
	}
	name := []rune(d.CreditorName)
	if len(name) > maxPayeeName {
		return errors.New("creditorName is too long")
	}
	for _, r := range name {
		// A direction mark in the name could make the page read otherwise than the ledger.
		if !unicode.IsGraphic(r) {
			return errors.New("creditorName has a character that cannot be shown")
		}
	}
	return nil
}

// object gives the detail as it goes into grants and tokens. The amount is written
// in one way, with all the places of its currency, however it was asked for.
func (d paymentDetail) object() goidc.AuthDetail {
	decimal, _ := d.Amount.Decimal() // of a currency that was parsed
	detail := goidc.AuthDetail{
		"type":             paymentType,
		"paymentId":        d.PaymentID,
		"instructedAmount": map[string]any{"currency": d.Amount.Currency, "amount": decimal},
		"creditorName":     d.CreditorName,
		"creditorAccount":  map[string]any{"id": d.CreditorAccount},
	}
	if d.DebtorAccount != "" {
		detail["debtorAccount"] = map[string]any{"id": d.DebtorAccount}
	}
	return detail
}

// covers tells whether asking for d is asking for no other than was granted. The
// account that the user chose may be left out: the client did not know it.
func (granted paymentDetail) covers(d paymentDetail) bool {
	if d.DebtorAccount == "" {
		d.DebtorAccount = granted.DebtorAccount
	}
	return d == granted
}

// memberReader takes string and object members out of a parsed object and counts
// them, so that what nobody asked for shows.
type memberReader struct {
	members map[string]any
	left    int
	err     error
}

func (m *memberReader) text(name string) string {
	m.left--
	s, ok := m.members[name].(string)
	if !ok || s == "" {
		m.fail(errors.New(name + " is missing or not a string"))
	}
	return s
}

func (m *memberReader) object(name string) *memberReader {
	m.left--
	object, ok := m.members[name].(map[string]any)
	if !ok {
		m.fail(errors.New(name + " is missing or not an object"))
	}
	return &memberReader{members: object, left: len(object)}
}

func (m *memberReader) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *memberReader) done() error {
	if m.err == nil && m.left > 0 {
		return errors.New("a member that this type does not have")
	}
	return m.err
}

// parseDetailsParameter reads the authorization_details parameter of a request:
// exactly one payment. The library would drop what it cannot parse in silence.
func parseDetailsParameter(raw string) ([]paymentDetail, error) {
	// The parser reads objects; whatever stands beside the array makes a second
	// member or an error.
	object, err := jose.ParseObject([]byte(`{"details":` + raw + `}`))
	if err != nil {
		return nil, err
	}
	list, ok := object["details"].([]any)
	if !ok || len(object) != 1 {
		return nil, errors.New("not an array")
	}
	if len(list) != 1 {
		return nil, errors.New("not exactly one object: a consent is for one payment")
	}
	members, ok := list[0].(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	d, err := parsePayment(members)
	if err != nil {
		return nil, err
	}
	return []paymentDetail{d}, nil
}

// validateDetail is the library's own check of each object, wherever one comes from.
func validateDetail(_ context.Context, detail goidc.AuthDetail) error {
	_, err := parsePayment(detail)
	return err
}

// compareDetails lets a client repeat at the token endpoint what was granted. The
// library's comparison would burn the code: the grant has the debtor account.
func compareDetails(_ context.Context, requested, granted []goidc.AuthDetail) error {
	different := refusal.New(goidc.ErrorCodeInvalidAuthDetails, "The authorization_details are not those that the user approved.")
	if len(requested) != len(granted) {
		return different
	}
	for i := range requested {
		asked, err := parsePayment(requested[i])
		if err != nil {
			return different
		}
		given, err := parsePayment(granted[i])
		if err != nil || !given.covers(asked) {
			return different
		}
	}
	return nil
}
