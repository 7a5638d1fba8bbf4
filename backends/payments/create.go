package payments

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// newPayment is the body of POST /api/payments.
type newPayment struct {
	Amount        money.Amount      `json:"amount"`
	CaptureMethod string            `json:"capture_method"`
	Description   string            `json:"description"`
	EndToEndID    string            `json:"end_to_end_id"`
	Metadata      map[string]string `json:"metadata"`
}

func (in newPayment) validate() error {
	var wrong faults
	if in.Amount.Value <= 0 || in.Amount.Value > maxAmount {
		wrong.Add("/amount/value", "must be a positive number of minor units, within reason")
	}
	if in.Amount.Validate() != nil {
		wrong.Add("/amount/currency", "must be a currency code of ISO 4217")
	}
	if in.CaptureMethod != "" && in.CaptureMethod != automatic && in.CaptureMethod != manual {
		wrong.Add("/capture_method", "must be automatic or manual")
	}
	wrong.text("/description", in.Description, maxDescription)
	wrong.text("/end_to_end_id", in.EndToEndID, maxEndToEndID)
	wrong.metadata("/metadata", in.Metadata)
	return wrong.Err()
}

// createPayment announces a payment to the client's own account. Nothing moves
// until a user consents.
func (s *Server) createPayment(w http.ResponseWriter, r *http.Request) error {
	t := tokencheck.From(r.Context())
	if !byClient(t) {
		return errClientOnly
	}
	_, err := post(s, w, r, func(tx *sql.Tx, in newPayment) (idempotency.Response, error) {
		p, err := s.create(r.Context(), tx, t.ClientID, in)
		if err != nil {
			return idempotency.Response{}, err
		}
		return respond(http.StatusCreated, p.view(), rest.VersionTag(p.Version), "/api/payments/"+p.ID)
	})
	return err
}

func (s *Server) create(ctx context.Context, tx *sql.Tx, client string, in newPayment) (payment, error) {
	creditor, err := ledger.MerchantOf(ctx, tx, client, in.Amount.Currency)
	if errors.Is(err, ledger.ErrNotFound) {
		return payment{}, rest.Faults{{Pointer: "/amount/currency", Detail: "must be one that this client has an account in"}}.Err()
	}
	if err != nil {
		return payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return payment{}, err
	}
	now := fromMicro(s.now().UnixMicro())
	p := payment{
		ID: id.String(), ClientID: client, CreditorAccount: creditor.ID, CreditorName: creditor.Name,
		Amount: in.Amount, CaptureMethod: cmp.Or(in.CaptureMethod, automatic), Status: RequiresConsent, Description: in.Description, EndToEndID: in.EndToEndID,
		Metadata: in.Metadata, Version: 1, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(consentTime),
	}
	if p.Metadata == nil {
		p.Metadata = map[string]string{}
	}
	err = insert(ctx, tx, p)
	if database.IsUnique(err) {
		return payment{}, problem.New(http.StatusConflict, "end_to_end_id_taken",
			"There is a payment with this end_to_end_id already.").
			WithErrors(problem.FieldError{Pointer: "/end_to_end_id", Detail: "must be new"})
	}
	return p, err
}
