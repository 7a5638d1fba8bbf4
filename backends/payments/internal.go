package payments

import (
	"net/http"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// consentRequest is what the authorization server needs to ask for consent, and
// to refuse a request that differs from the payment.
type consentRequest struct {
	ID                   string                `json:"id"`
	ClientID             string                `json:"client_id"`
	Status               Status                `json:"status"`
	Amount               money.Amount          `json:"amount"`
	Creditor             party                 `json:"creditor"`
	Description          string                `json:"description"`
	ExpiresAt            time.Time             `json:"expires_at"`
	AuthorizationDetails *authorizationDetails `json:"authorization_details"`
}

func (s *Server) paymentForConsent(w http.ResponseWriter, r *http.Request) error {
	p, err := s.paymentOf(r)
	if err != nil {
		return err
	}
	if p.Status == RequiresConsent && !s.now().Before(p.ExpiresAt) {
		p.Status = Expired // the sweep has not come by yet
	}
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, http.StatusOK, consentRequest{
		ID: p.ID, ClientID: p.ClientID, Status: p.Status, Amount: p.Amount,
		Creditor:    party{Name: p.CreditorName, AccountID: p.CreditorAccount},
		Description: p.Description, ExpiresAt: p.ExpiresAt, AuthorizationDetails: p.details(),
	})
	return nil
}

// payable is an account that a user can choose on the consent page.
type payable struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Currency  string       `json:"currency"`
	Available money.Amount `json:"available"`
}

// accountsForConsent lists a user's accounts in one currency, or in all.
func (s *Server) accountsForConsent(w http.ResponseWriter, r *http.Request) error {
	owner, currency := r.URL.Query().Get("owner"), r.URL.Query().Get("currency")
	if owner == "" || strings.ContainsFunc(owner, unprintable) {
		return problem.New(http.StatusBadRequest, "invalid_parameter", "A query parameter is missing or not valid.").
			WithErrors(problem.FieldError{Pointer: "owner", Detail: "must name a user"})
	}
	accounts, err := ledger.ByOwner(r.Context(), s.db, ledger.Wallet, owner, "", maxWallets)
	if err != nil {
		return err
	}
	data := []payable{}
	for _, a := range accounts {
		if a.Closed || currency != "" && a.Currency != currency {
			continue
		}
		b, err := ledger.BalancesOf(r.Context(), s.db, a)
		if err != nil {
			return err
		}
		data = append(data, payable{
			ID: a.ID, Name: a.Name, Currency: a.Currency, Available: money.Amount{Value: b.Available, Currency: a.Currency},
		})
	}
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, http.StatusOK, struct {
		Data []payable `json:"data"`
	}{data})
	return nil
}
