package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

// Account is what the operator's commands print of an account.
type Account struct {
	ID       string `json:"id"`
	Owner    string `json:"owner"`
	Name     string `json:"name"`
	Currency string `json:"currency"`
}

// OpenAccount opens a wallet with a deposit from the outside world, in minor
// units. A user's account of that name is left as it is: no second deposit.
func OpenAccount(ctx context.Context, db *database.DB, owner, name, currency string, deposit int64) (Account, error) {
	if err := (newAccount{Name: name, Currency: currency}).validate(); err != nil {
		return Account{}, err
	}
	if deposit < 0 || deposit > maxAmount {
		return Account{}, fmt.Errorf("the deposit must be from 0 to %d minor units", int64(maxAmount))
	}
	if owner == "" {
		return Account{}, errors.New("the owner is missing")
	}
	var wallet ledger.Account
	err := db.InTx(ctx, func(tx *sql.Tx) (err error) {
		// A closing at the same time would not see the deposit.
		if err := db.Dialect.Hold(ctx, tx, accountsOf(owner)); err != nil {
			return err
		}
		wallet, err = ledger.WalletByName(ctx, tx, owner, name)
		if err == nil && wallet.Closed {
			return ledger.ErrClosed
		}
		if err == nil && wallet.Currency != currency {
			return fmt.Errorf("the account exists, in %s", wallet.Currency)
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		wallet, err = openFunded(ctx, tx, ledger.Account{Kind: ledger.Wallet, Owner: owner, Name: name, Currency: currency}, deposit)
		return err
	})
	return Account{ID: wallet.ID, Owner: owner, Name: name, Currency: currency}, err
}

func openFunded(ctx context.Context, tx *sql.Tx, a ledger.Account, deposit int64) (ledger.Account, error) {
	now := time.Now()
	wallet, err := ledger.Open(ctx, tx, a, now)
	if err != nil || deposit == 0 {
		return wallet, err
	}
	outside, err := ledger.ExternalFor(ctx, tx, a.Currency)
	if errors.Is(err, ledger.ErrNotFound) {
		outside, err = ledger.Open(ctx, tx, ledger.Account{Kind: ledger.External, Name: "Outside", Currency: a.Currency}, now)
	}
	if err != nil {
		return ledger.Account{}, err
	}
	_, err = ledger.Post(ctx, tx, ledger.Transfer{
		Debit: outside, Credit: wallet, Amount: money.Amount{Value: deposit, Currency: a.Currency}, Purpose: ledger.Deposit,
	}, now)
	return wallet, err
}

// AddMerchant opens the account that a client is paid to in a currency, under the
// name that payers are shown. One that exists gets the name.
func AddMerchant(ctx context.Context, db *database.DB, client, name, currency string) (Account, error) {
	if err := (newAccount{Name: name, Currency: currency}).validate(); err != nil {
		return Account{}, err
	}
	if client == "" {
		return Account{}, errors.New("the client is missing")
	}
	var merchant ledger.Account
	err := db.InTx(ctx, func(tx *sql.Tx) (err error) {
		merchant, err = ledger.MerchantOf(ctx, tx, client, currency)
		if errors.Is(err, ledger.ErrNotFound) {
			merchant, err = ledger.Open(ctx, tx, ledger.Account{Kind: ledger.Merchant, Owner: client, Name: name, Currency: currency}, time.Now())
			return err
		}
		if err != nil || merchant.Name == name {
			return err
		}
		return ledger.Rename(ctx, tx, merchant, name)
	})
	return Account{ID: merchant.ID, Owner: client, Name: name, Currency: currency}, err
}
