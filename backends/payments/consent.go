package payments

import (
	"encoding/json"
	"errors"
	"reflect"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/token"
)

// detailsType is the type of authorization_details (RFC 9396) that allows a payment.
const detailsType = "payment_initiation"

// authorizationDetails is what a user consents to: this payment, this amount, this
// payee. Another amount or payee is another consent (dynamic linking).
type authorizationDetails struct {
	Type             string           `json:"type"`
	PaymentID        string           `json:"paymentId"`
	InstructedAmount instructedAmount `json:"instructedAmount"`
	CreditorName     string           `json:"creditorName"`
	CreditorAccount  accountRef       `json:"creditorAccount"`
	// DebtorAccount is the account that the user chose: only in what was consented to.
	DebtorAccount *accountRef `json:"debtorAccount,omitempty"`
}

type instructedAmount struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"` // decimal
}

type accountRef struct {
	ID string `json:"id"`
}

// details gives what to ask the user's consent for.
func (p payment) details() *authorizationDetails {
	decimal, err := p.Amount.Decimal()
	if err != nil {
		panic(err) // no payment was ever created in a currency that we do not know
	}
	return &authorizationDetails{
		Type:             detailsType,
		PaymentID:        p.ID,
		InstructedAmount: instructedAmount{Currency: p.Amount.Currency, Amount: decimal},
		CreditorName:     p.CreditorName,
		CreditorAccount:  accountRef{ID: p.CreditorAccount},
	}
}

// errConsent says that the token does not carry a consent to this payment.
var errConsent = errors.New("the token does not carry the user's consent to this payment")

// consentedAccount gives the account that the token's user chose to pay from. The
// token must carry one consent, and it must be to exactly this payment: a member
// that differs, is missing or is not known refuses it.
func consentedAccount(t *token.Token, p payment) (account string, err error) {
	var consent *token.Detail
	for i, detail := range t.Details {
		if detail.Type != detailsType {
			continue
		}
		if consent != nil {
			return "", errConsent
		}
		consent = &t.Details[i]
	}
	if consent == nil {
		return "", errConsent
	}
	var chosen struct {
		DebtorAccount accountRef `json:"debtorAccount"`
	}
	if err := json.Unmarshal(consent.Raw, &chosen); err != nil || uuid.Validate(chosen.DebtorAccount.ID) != nil {
		return "", errConsent
	}
	wanted := p.details()
	wanted.DebtorAccount = &chosen.DebtorAccount
	wantedJSON, err := json.Marshal(wanted)
	if err != nil {
		return "", err
	}
	if !sameJSON(wantedJSON, consent.Raw) {
		return "", errConsent
	}
	return chosen.DebtorAccount.ID, nil
}

// sameJSON compares two documents member by member, names to the letter.
func sameJSON(a, b []byte) bool {
	var left, right any
	return json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil && reflect.DeepEqual(left, right)
}
