package ledger

import (
	"context"
	"fmt"
)

// replay sums the transfers of each account into the four columns that a wallet
// keeps as running balances.
const replay = `
SELECT account, CAST(SUM(dp) AS BIGINT) AS debits_pending, CAST(SUM(d) AS BIGINT) AS debits_posted,
	CAST(SUM(cp) AS BIGINT) AS credits_pending, CAST(SUM(c) AS BIGINT) AS credits_posted
FROM (
	SELECT debit_account AS account,
		CASE kind WHEN 'pending' THEN amount WHEN 'direct' THEN 0 ELSE -amount END AS dp,
		CASE WHEN kind IN ('direct', 'post') THEN amount ELSE 0 END AS d, 0 AS cp, 0 AS c
	FROM transfers
	UNION ALL
	SELECT credit_account, 0, 0,
		CASE kind WHEN 'pending' THEN amount WHEN 'direct' THEN 0 ELSE -amount END,
		CASE WHEN kind IN ('direct', 'post') THEN amount ELSE 0 END
	FROM transfers
) moved
`

// columns are the sums that balances are made of.
type columns struct{ debitsPending, debitsPosted, creditsPending, creditsPosted int64 }

func (c columns) balances() Balances {
	posted := c.creditsPosted - c.debitsPosted
	return Balances{Posted: posted, Pending: c.creditsPending - c.debitsPending, Available: posted - c.debitsPending}
}

// BalancesOf gives an account's balances: a wallet's from its row, another
// account's as the sum of its transfers.
func BalancesOf(ctx context.Context, q Querier, a Account) (Balances, error) {
	query := `SELECT debits_pending, debits_posted, credits_pending, credits_posted FROM accounts WHERE id = $1`
	if a.Kind != Wallet {
		query = `SELECT COALESCE(MAX(debits_pending), 0), COALESCE(MAX(debits_posted), 0),
			COALESCE(MAX(credits_pending), 0), COALESCE(MAX(credits_posted), 0)
			FROM (` + replay + ` WHERE account = $1 GROUP BY account) sums`
	}
	var c columns
	err := q.QueryRowContext(ctx, query, a.ID).Scan(&c.debitsPending, &c.debitsPosted, &c.creditsPending, &c.creditsPosted)
	if err != nil {
		return Balances{}, fmt.Errorf("ledger: balances: %w", err)
	}
	return c.balances(), nil
}
