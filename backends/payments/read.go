package payments

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

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

// visiblePayment gives it if the token may see it.
func (s *Server) visiblePayment(r *http.Request) (payment, error) {
	p, err := s.paymentOf(r)
	if err == nil && !p.visible(tokencheck.From(r.Context())) {
		err = errNotFound
	}
	return p, err
}

func (s *Server) readPayment(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visiblePayment(r)
	if err != nil {
		return err
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
	search, err := readSearch(r)
	if err != nil {
		return err
	}
	t := tokencheck.From(r.Context())
	search.and("client_id = ?", t.ClientID)
	if !byClient(t) {
		search.and("payer = ?", t.Subject)
	}
	if page.After != "" {
		search.and("id < ?", page.After)
	}
	condition, args := search.newest(page.Limit + 1)
	found, err := queryPayments(r.Context(), s.db, condition, args...)
	if err != nil {
		return err
	}
	views := make([]paymentView, len(found))
	for i, p := range found {
		views[i] = p.view()
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, func(v paymentView) string { return v.ID }))
	return nil
}

// search is the condition of a list.
type search struct {
	tests []string
	args  []any
}

// and adds a test, with ? where the argument goes.
func (s *search) and(test string, arg any) {
	s.args = append(s.args, arg)
	s.tests = append(s.tests, strings.ReplaceAll(test, "?", fmt.Sprintf("$%d", len(s.args))))
}

// newest gives the SQL for the newest that pass, and its arguments.
func (s *search) newest(limit int) (condition string, args []any) {
	args = append(s.args, limit)
	return fmt.Sprintf("WHERE %s ORDER BY id DESC LIMIT $%d", strings.Join(s.tests, " AND "), len(args)), args
}

// readSearch reads what a list of payments is narrowed to.
func readSearch(r *http.Request) (*search, error) {
	query := r.URL.Query()
	var s search
	var wrong []problem.FieldError
	if status := query.Get("status"); status != "" {
		if _, known := iso20022[Status(status)]; !known {
			wrong = append(wrong, problem.FieldError{Pointer: "status", Detail: "must be a state of a payment"})
		}
		s.and("status = ?", status)
		if status != string(Succeeded) {
			s.tests = append(s.tests, "status <> 'succeeded'") // says that the index of these will do
		}
	}
	if id := query.Get("end_to_end_id"); id != "" {
		if !utf8.ValidString(id) || strings.ContainsFunc(id, unprintable) {
			wrong = append(wrong, problem.FieldError{Pointer: "end_to_end_id", Detail: "must be printable text"})
		}
		s.and("end_to_end_id = ?", id)
	}
	for name, test := range map[string]string{"created_from": "created_at >= ?", "created_before": "created_at < ?"} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			wrong = append(wrong, problem.FieldError{Pointer: name, Detail: "must be a time of RFC 3339, such as 2026-03-01T12:00:00Z"})
		}
		s.and(test, at.UnixMicro())
	}
	if len(wrong) > 0 {
		return nil, problem.New(http.StatusBadRequest, "invalid_parameter", "A query parameter is not valid.").WithErrors(wrong...)
	}
	return &s, nil
}
