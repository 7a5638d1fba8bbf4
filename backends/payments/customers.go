package payments

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// customersScope is what the users service has here.
const customersScope = "internal:customers"

// OpenMoney says what keeps a user from being erased.
type OpenMoney struct {
	Open     bool `json:"open"` // any of these
	Balance  bool `json:"balance"`
	Payments bool `json:"payments"` // that are not at their end
}

func moneyOf(ctx context.Context, q ledger.Querier, user string) (m OpenMoney, err error) {
	err = q.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM accounts WHERE kind = 'wallet' AND owner = $1
				AND (credits_posted <> debits_posted OR debits_pending <> 0 OR credits_pending <> 0)),
			EXISTS (SELECT 1 FROM payments WHERE payer = $1 AND status IN ('processing', 'in_review', 'requires_capture'))`,
		user).Scan(&m.Balance, &m.Payments)
	m.Open = m.Balance || m.Payments
	return m, err
}

// moneyOpen tells the users service whether a user has money here, or some on its
// way: who does cannot be erased.
func (s *Server) moneyOpen(w http.ResponseWriter, r *http.Request) error {
	return s.answerMoney(w, r, func(user string) (OpenMoney, error) { return moneyOf(r.Context(), s.db, user) })
}

// closeAccounts closes a user's accounts for good, unless money is open. The users
// service calls it right before it destroys what it knows of the user: what a refund
// brought in after that, nobody could spend.
func (s *Server) closeAccounts(w http.ResponseWriter, r *http.Request) error {
	return s.answerMoney(w, r, func(user string) (OpenMoney, error) { return CloseAccounts(r.Context(), s.db, user, s.now()) })
}

// errMoneyOpen rolls a closing back.
var errMoneyOpen = errors.New("payments: money is open")

// CloseAccounts closes a user's accounts, all or none. It can be repeated.
func CloseAccounts(ctx context.Context, db *database.DB, user string, now time.Time) (open OpenMoney, err error) {
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		// One that is being opened is closed too, or finds the others closed.
		if err := db.Dialect.Hold(ctx, tx, accountsOf(user)); err != nil {
			return err
		}
		done, err := ledger.Close(ctx, tx, user, now)
		if err != nil {
			return err
		}
		if open, err = moneyOf(ctx, tx, user); err != nil {
			return err
		}
		if !done || open.Open {
			return errMoneyOpen
		}
		return nil
	})
	if errors.Is(err, errMoneyOpen) {
		// A deposit may have come and gone between the two looks: not closed is open.
		open.Open, err = true, nil
	}
	return open, err
}

func (s *Server) answerMoney(w http.ResponseWriter, r *http.Request, of func(user string) (OpenMoney, error)) error {
	user, err := customer(r)
	if err != nil {
		return err
	}
	m, err := of(user)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, http.StatusOK, m)
	return nil
}

// customerData gives what is stored here about a user, for an export: the accounts
// with the first page, and the payments, oldest first.
func (s *Server) customerData(w http.ResponseWriter, r *http.Request) error {
	user, err := customer(r)
	if err != nil {
		return err
	}
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	found, err := queryPayments(r.Context(), s.db, `WHERE payer = $1 AND id > $2 ORDER BY id LIMIT $3`, user, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	payments := make([]paymentView, len(found))
	for i, p := range found {
		payments[i] = p.view()
	}
	list := rest.NewList(page, payments, func(v paymentView) string { return v.ID })
	answer := struct {
		Accounts   []accountView `json:"accounts"`
		Payments   []paymentView `json:"payments"`
		NextCursor string        `json:"next_cursor"`
	}{Accounts: []accountView{}, Payments: list.Data, NextCursor: list.NextCursor}
	if page.After == "" {
		accounts, err := ledger.ByOwner(r.Context(), s.db, ledger.Wallet, user, "", maxWallets)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			v, err := viewAccount(r.Context(), s.db, a)
			if err != nil {
				return err
			}
			answer.Accounts = append(answer.Accounts, v)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// customer gives the user that the path names. PostgreSQL takes no NUL in a text.
func customer(r *http.Request) (string, error) {
	user := r.PathValue("user")
	if len(user) > 255 || !utf8.ValidString(user) || strings.ContainsFunc(user, unprintable) {
		return "", problem.New(http.StatusNotFound, "not_found", "There is no such user.")
	}
	return user, nil
}
