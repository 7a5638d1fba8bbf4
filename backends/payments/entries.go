package payments

import (
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

// entryView is a transfer as the holder of one of its accounts sees it.
type entryView struct {
	ID        string         `json:"id"`
	Direction string         `json:"direction"` // credit or debit
	Kind      string         `json:"kind"`
	Amount    money.Amount   `json:"amount"`
	Purpose   ledger.Purpose `json:"purpose"`
	PaymentID string         `json:"payment_id,omitempty"`
	CreatedAt time.Time      `json:"created_at"`
}

func viewEntry(e ledger.Entry) entryView {
	direction := "debit"
	if e.Credit {
		direction = "credit"
	}
	return entryView{
		ID: e.ID, Direction: direction, Kind: e.Kind, Amount: money.Amount{Value: e.Amount, Currency: e.Currency},
		Purpose: e.Purpose, PaymentID: e.PaymentID, CreatedAt: e.CreatedAt,
	}
}

// listEntries lists what went into and out of an account, newest first.
func (s *Server) listEntries(w http.ResponseWriter, r *http.Request) error {
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	a, err := s.account(r)
	if err != nil {
		return err
	}
	entries, err := ledger.Entries(r.Context(), s.db, a.ID, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]entryView, len(entries))
	for i, e := range entries {
		views[i] = viewEntry(e)
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, func(v entryView) string { return v.ID }))
	return nil
}
