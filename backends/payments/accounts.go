package payments

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// maxWallets bounds what one user can open.
const maxWallets = 20

// accountView is an account as the API shows it.
type accountView struct {
	ID        string       `json:"id"`
	Kind      ledger.Kind  `json:"kind"`
	Name      string       `json:"name"`
	Currency  string       `json:"currency"`
	Balances  balancesView `json:"balances"`
	CreatedAt time.Time    `json:"created_at"`
}

type balancesView struct {
	Posted    money.Amount `json:"posted"`
	Pending   money.Amount `json:"pending"`
	Available money.Amount `json:"available"`
}

func viewAccount(ctx context.Context, q ledger.Querier, a ledger.Account) (accountView, error) {
	b, err := ledger.BalancesOf(ctx, q, a)
	if err != nil {
		return accountView{}, err
	}
	amount := func(value int64) money.Amount { return money.Amount{Value: value, Currency: a.Currency} }
	return accountView{
		ID: a.ID, Kind: a.Kind, Name: a.Name, Currency: a.Currency, CreatedAt: a.CreatedAt,
		Balances: balancesView{Posted: amount(b.Posted), Pending: amount(b.Pending), Available: amount(b.Available)},
	}, nil
}

// tag is an entity tag of what is shown: a merchant's balance changes without
// its row, so that no version could tell.
func (v accountView) tag() (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:12]) + `"`, nil
}

// holder says whose accounts a token may see: a user's wallets, or the merchant
// accounts of a client.
func holder(t *token.Token) (ledger.Kind, string) {
	if byClient(t) {
		return ledger.Merchant, t.ClientID
	}
	return ledger.Wallet, t.Subject
}

// account gives the account that the path names, if the token may see it.
func (s *Server) account(r *http.Request) (ledger.Account, error) {
	id, err := pathID(r)
	if err != nil {
		return ledger.Account{}, err
	}
	kind, owner := holder(tokencheck.From(r.Context()))
	a, err := ledger.Get(r.Context(), s.db, kind, owner, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Account{}, errNotFound
	}
	return a, err
}

func (s *Server) readAccount(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	v, err := viewAccount(r.Context(), s.db, a)
	if err != nil {
		return err
	}
	tag, err := v.tag()
	if err != nil || rest.NotModified(w, r, tag) {
		return err
	}
	service.WriteJSON(w, http.StatusOK, v)
	return nil
}

// listAccounts lists the holder's accounts, oldest first.
func (s *Server) listAccounts(w http.ResponseWriter, r *http.Request) error {
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	kind, owner := holder(tokencheck.From(r.Context()))
	accounts, err := ledger.ByOwner(r.Context(), s.db, kind, owner, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]accountView, len(accounts))
	for i, a := range accounts {
		if views[i], err = viewAccount(r.Context(), s.db, a); err != nil {
			return err
		}
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, func(v accountView) string { return v.ID }))
	return nil
}

// newAccount is the body of POST /api/accounts.
type newAccount struct {
	Name     string `json:"name"`
	Currency string `json:"currency"`
}

func (in newAccount) validate() error {
	var wrong faults
	if strings.TrimSpace(in.Name) == "" {
		wrong.Add("/name", "must not be empty")
	}
	wrong.text("/name", in.Name, maxAccountName)
	if _, known := money.Exponent(in.Currency); !known {
		wrong.Add("/currency", "must be a currency code of ISO 4217")
	}
	return wrong.Err()
}

// openAccount opens an empty wallet for the token's user.
func (s *Server) openAccount(w http.ResponseWriter, r *http.Request) error {
	t := tokencheck.From(r.Context())
	if byClient(t) {
		return errUserOnly
	}
	_, err := post(s, w, r, func(tx *sql.Tx, in newAccount) (idempotency.Response, error) {
		v, err := s.openWallet(r.Context(), tx, t.Subject, in)
		if err != nil {
			return idempotency.Response{}, err
		}
		tag, err := v.tag()
		if err != nil {
			return idempotency.Response{}, err
		}
		return respond(http.StatusCreated, v, tag, "/api/accounts/"+v.ID)
	})
	return err
}

func (s *Server) openWallet(ctx context.Context, tx *sql.Tx, owner string, in newAccount) (accountView, error) {
	// Two that counted at once would both find room for the last one.
	if err := s.db.Dialect.Hold(ctx, tx, "accounts of "+owner); err != nil {
		return accountView{}, err
	}
	open, err := ledger.ByOwner(ctx, tx, ledger.Wallet, owner, "", maxWallets)
	if err != nil {
		return accountView{}, err
	}
	if len(open) >= maxWallets {
		return accountView{}, problem.New(http.StatusConflict, "too_many_accounts", "The user has as many accounts as one can have.")
	}
	a, err := ledger.Open(ctx, tx, ledger.Account{Kind: ledger.Wallet, Owner: owner, Name: in.Name, Currency: in.Currency}, s.now())
	if errors.Is(err, ledger.ErrClosed) {
		return accountView{}, problem.New(http.StatusConflict, "accounts_closed", "The user's accounts were closed for good.")
	}
	if database.IsUnique(err) {
		return accountView{}, problem.New(http.StatusConflict, "account_name_taken", "The user has an account of this name.").
			WithErrors(problem.FieldError{Pointer: "/name", Detail: "must be new"})
	}
	if err != nil {
		return accountView{}, err
	}
	return viewAccount(ctx, tx, a)
}
