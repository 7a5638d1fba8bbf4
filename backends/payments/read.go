package payments

import (
	"fmt"
	"net/http"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// visible says whether a token may see a payment: the client's own token all of
// the client's, a user's those that the user paid through this client.
func (p payment) visible(t *token.Token) bool {
	return p.ClientID == t.ClientID && (byClient(t) || p.Payer == t.Subject)
}

// paymentOf gives the payment that the path names, whoever may see it.
func (s *Server) paymentOf(r *http.Request) (payment, error) {
	id, err := pathID(r)
	if err != nil {
		return payment{}, err
	}
	return scanPayment(s.db.QueryRowContext(r.Context(), paymentColumns+`WHERE id = $1`, id))
}

func (s *Server) readPayment(w http.ResponseWriter, r *http.Request) error {
	p, err := s.paymentOf(r)
	if err != nil {
		return err
	}
	if !p.visible(tokencheck.From(r.Context())) {
		return errNotFound
	}
	if rest.NotModified(w, r, rest.VersionTag(p.Version)) {
		return nil
	}
	service.WriteJSON(w, http.StatusOK, p.view())
	return nil
}

// listPayments lists what the token may see, newest first.
func (s *Server) listPayments(w http.ResponseWriter, r *http.Request) error {
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	status := r.URL.Query().Get("status")
	if _, known := iso20022[Status(status)]; status != "" && !known {
		return problem.New(http.StatusBadRequest, "invalid_parameter", "A query parameter is not valid.").
			WithErrors(problem.FieldError{Pointer: "status", Detail: "must be a state of a payment"})
	}
	t := tokencheck.From(r.Context())
	condition, args := "WHERE client_id = $1", []any{t.ClientID}
	and := func(test string, arg any) {
		args = append(args, arg)
		condition += fmt.Sprintf(" AND %s $%d", test, len(args))
	}
	if !byClient(t) {
		and("payer =", t.Subject)
	}
	if status != "" {
		and("status =", status)
	}
	if page.After != "" {
		and("id <", page.After)
	}
	args = append(args, page.Limit+1)
	condition += fmt.Sprintf(" ORDER BY id DESC LIMIT $%d", len(args))
	found, err := queryPayments(r.Context(), s.db, condition, args...)
	if err != nil {
		return err
	}
	views := make([]paymentView, len(found))
	for i, p := range found {
		views[i] = p.view()
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	service.WriteJSON(w, http.StatusOK, rest.NewList(page, views, func(v paymentView) string { return v.ID }))
	return nil
}
