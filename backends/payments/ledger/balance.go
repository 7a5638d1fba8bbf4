package ledger

import (
	"context"
	"fmt"
)

// replay sums the transfers of each account into the four columns that balances
// are made of.
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

// unfoldedSums are the entries that wait, by account.
const unfoldedSums = `
SELECT account, CAST(SUM(debits_pending) AS BIGINT) AS debits_pending, CAST(SUM(debits_posted) AS BIGINT) AS debits_posted,
	CAST(SUM(credits_pending) AS BIGINT) AS credits_pending, CAST(SUM(credits_posted) AS BIGINT) AS credits_posted
FROM unfolded
`

// wrongBalances are the accounts whose row and waiting entries are not what their
// transfers come to.
const wrongBalances = `
SELECT a.id FROM accounts a
LEFT JOIN (` + replay + ` GROUP BY account) r ON r.account = a.id
LEFT JOIN (` + unfoldedSums + ` GROUP BY account) u ON u.account = a.id
WHERE a.debits_pending + COALESCE(u.debits_pending, 0) <> COALESCE(r.debits_pending, 0)
	OR a.debits_posted + COALESCE(u.debits_posted, 0) <> COALESCE(r.debits_posted, 0)
	OR a.credits_pending + COALESCE(u.credits_pending, 0) <> COALESCE(r.credits_pending, 0)
	OR a.credits_posted + COALESCE(u.credits_posted, 0) <> COALESCE(r.credits_posted, 0)
`

// columns are the sums that balances are made of.
type columns struct{ debitsPending, debitsPosted, creditsPending, creditsPosted int64 }

func (c columns) balances() Balances {
	posted := c.creditsPosted - c.debitsPosted
	return Balances{Posted: posted, Pending: c.creditsPending - c.debitsPending, Available: posted - c.debitsPending}
}

// BalancesOf gives an account's balances: its row, and the entries that wait to be
// folded into it. One statement sees both as they are at one moment.
func BalancesOf(ctx context.Context, q Querier, a Account) (Balances, error) {
	var c columns
	err := q.QueryRowContext(ctx, `
		SELECT a.debits_pending + COALESCE(u.debits_pending, 0), a.debits_posted + COALESCE(u.debits_posted, 0),
			a.credits_pending + COALESCE(u.credits_pending, 0), a.credits_posted + COALESCE(u.credits_posted, 0)
		FROM accounts a LEFT JOIN (`+unfoldedSums+` WHERE account = $1 GROUP BY account) u ON u.account = a.id
		WHERE a.id = $1`, a.ID).Scan(&c.debitsPending, &c.debitsPosted, &c.creditsPending, &c.creditsPosted)
	if err != nil {
		return Balances{}, fmt.Errorf("ledger: balances: %w", err)
	}
	return c.balances(), nil
}
