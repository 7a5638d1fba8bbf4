package payments

import (
	"encoding/json"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
)

// Status is where a payment stands.
type Status string

// The states of a payment, in the order in which it goes through them.
const (
	RequiresConsent Status = "requires_consent"
	Processing      Status = "processing"       // consented to, and waiting for a worker
	InReview        Status = "in_review"        // held, until an officer has looked at it
	RequiresCapture Status = "requires_capture" // held, until the client takes it
	Succeeded       Status = "succeeded"
	Rejected        Status = "rejected"
	Canceled        Status = "canceled"
	Expired         Status = "expired"
)

// iso20022 gives each state its code of ExternalPaymentTransactionStatus1Code.
var iso20022 = map[Status]string{
	RequiresConsent: "RCVD", // received
	Processing:      "PDNG", // pending
	InReview:        "PDNG",
	RequiresCapture: "ACFC", // accepted, funds checked
	Succeeded:       "ACSC", // accepted, settlement completed
	Rejected:        "RJCT",
	Canceled:        "CANC",
	Expired:         "RJCT",
}

// Why a payment ended without money, in its reason_code.
const (
	insufficientFunds = "insufficient_funds"
	accountClosed     = "account_closed"
	consentTimeout    = "consent_timeout"
	holdExpired       = "hold_expired"
	reviewTimeout     = "review_timeout"
	reviewRejected    = "review_rejected"
	riskDenied        = "risk_denied"
	canceledByClient  = "canceled_by_client"
)

// iso20022Reasons gives what went wrong its code of ExternalStatusReason1Code, where
// there is one that says it.
var iso20022Reasons = map[string]string{
	insufficientFunds: "AM04", // insufficient funds
	accountClosed:     "AC04", // closed account number
}

// How a payment takes its money.
const (
	automatic = "automatic" // all of it, as soon as the user has consented
	manual    = "manual"    // it is held, and taken in parts as the client asks for them
)

// payment is a row of the table.
type payment struct {
	ID              string
	ClientID        string
	CreditorAccount string
	CreditorName    string
	Payer           string // user id; empty until confirmed
	DebtorAccount   string // empty until confirmed
	Amount          money.Amount
	CaptureMethod   string
	Authorised      int64 // captured, and what is held to be captured yet
	Captured        int64
	Refunded        int64
	Status          Status
	ReasonCode      string
	Description     string
	EndToEndID      string // empty when the client gave none
	Metadata        map[string]string
	Version         int64
	CreatedAt       time.Time
	UpdatedAt       time.Time
	ExpiresAt       time.Time
}

// party is one side of a payment.
type party struct {
	Name      string `json:"name,omitempty"`
	AccountID string `json:"account_id"`
}

// paymentView is a payment as the API and the webhooks show it.
type paymentView struct {
	ID             string            `json:"id"`
	Status         Status            `json:"status"`
	ISO20022Status string            `json:"iso20022_status"`
	ReasonCode     string            `json:"reason_code,omitempty"`
	ISO20022Reason string            `json:"iso20022_reason,omitempty"`
	Amount         money.Amount      `json:"amount"`
	CaptureMethod  string            `json:"capture_method"`
	Authorised     money.Amount      `json:"authorised"`
	Captured       money.Amount      `json:"captured"`
	Refunded       money.Amount      `json:"refunded"`
	Creditor       party             `json:"creditor"`
	Debtor         *party            `json:"debtor,omitempty"`
	Description    string            `json:"description,omitempty"`
	EndToEndID     string            `json:"end_to_end_id,omitempty"`
	Metadata       map[string]string `json:"metadata"`
	// AuthorizationDetails is what to ask the user's consent for, while it is wanted.
	AuthorizationDetails *authorizationDetails `json:"authorization_details,omitempty"`
	CreatedAt            time.Time             `json:"created_at"`
	UpdatedAt            time.Time             `json:"updated_at"`
	ExpiresAt            time.Time             `json:"expires_at"`
}

func (p payment) view() paymentView {
	v := paymentView{
		ID:             p.ID,
		Status:         p.Status,
		ISO20022Status: iso20022[p.Status],
		ReasonCode:     p.ReasonCode,
		ISO20022Reason: iso20022Reasons[p.ReasonCode],
		Amount:         p.Amount,
		CaptureMethod:  p.CaptureMethod,
		Authorised:     p.money(p.Authorised),
		Captured:       p.money(p.Captured),
		Refunded:       p.money(p.Refunded),
		Creditor:       party{Name: p.CreditorName, AccountID: p.CreditorAccount},
		Description:    p.Description,
		EndToEndID:     p.EndToEndID,
		Metadata:       p.Metadata,
		CreatedAt:      p.CreatedAt,
		UpdatedAt:      p.UpdatedAt,
		ExpiresAt:      p.ExpiresAt,
	}
	if p.DebtorAccount != "" {
		v.Debtor = &party{AccountID: p.DebtorAccount}
	}
	if p.Status == RequiresConsent {
		v.AuthorizationDetails = p.details()
	}
	return v
}

// money is a value in the payment's currency.
func (p payment) money(value int64) money.Amount {
	return money.Amount{Value: value, Currency: p.Amount.Currency}
}

// The types of events that are not of a new state.
const (
	eventCaptured       = "payment.captured"
	eventRefunded       = "payment.refunded"
	eventRefundRejected = "payment.refund_rejected"
)

// refundEvent is what is told of a refund: the payment, as in all events, and the refund.
type refundEvent struct {
	paymentView
	Refund *movedView `json:"refund"`
}

// event is what the client is told when the payment has come to a state.
func (p payment) event() outbox.Event { return p.eventOf("payment." + string(p.Status)) }

// eventOf is one of something else than a new state.
func (p payment) eventOf(kind string) outbox.Event {
	return outbox.Event{Client: p.ClientID, Type: kind, Subject: p.ID, Data: p.view()}
}

// metadataJSON is the column's text. A map of strings always marshals.
func (p payment) metadataJSON() string {
	text, err := json.Marshal(p.Metadata)
	if err != nil || p.Metadata == nil {
		return "{}"
	}
	return string(text)
}
