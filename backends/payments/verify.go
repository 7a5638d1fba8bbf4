package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
)

// rules hold of payments against the ledger.
var rules = []ledger.Rule{
	{Name: "captured and refunded are the sums of the payment's transfers", Table: "payments", Query: `
		SELECT p.id FROM payments p LEFT JOIN (
			SELECT payment_id, SUM(CASE purpose WHEN 'payment' THEN amount ELSE 0 END) AS captured,
				SUM(CASE purpose WHEN 'refund' THEN amount ELSE 0 END) AS refunded
			FROM transfers WHERE kind IN ('direct', 'post') GROUP BY payment_id) t ON t.payment_id = p.id
		WHERE p.captured <> COALESCE(t.captured, 0) OR p.refunded <> COALESCE(t.refunded, 0)`},
	{Name: "refunded <= captured <= authorised <= amount", Table: "payments", Query: `
		SELECT id FROM payments WHERE refunded > captured OR captured > authorised OR authorised > amount`},
	{Name: "a payment moves money between its own two accounts, and a refund moves it back", Table: "transfers", Query: `
		SELECT t.id FROM transfers t LEFT JOIN payments p ON p.id = t.payment_id AND p.currency = t.currency AND (
			t.purpose = 'payment' AND p.debtor_account = t.debit_account AND p.creditor_account = t.credit_account OR
			t.purpose = 'refund' AND p.creditor_account = t.debit_account AND p.debtor_account = t.credit_account AND t.kind = 'direct')
		WHERE t.purpose <> 'deposit' AND p.id IS NULL`},
	{Name: "a payment moves its money once", Table: "payments", Query: `
		SELECT payment_id AS id FROM transfers WHERE purpose = 'payment' AND kind IN ('direct', 'pending')
		GROUP BY payment_id HAVING count(*) > 1`},
	{Name: "what is held is what is authorised and not captured", Table: "payments", Query: `
		SELECT p.id FROM payments p LEFT JOIN (
			SELECT payment_id, SUM(CASE kind WHEN 'pending' THEN amount ELSE -amount END) AS held
			FROM transfers WHERE purpose = 'payment' AND kind <> 'direct' GROUP BY payment_id) t ON t.payment_id = p.id
		WHERE p.authorised - p.captured <> COALESCE(t.held, 0)`},
	{Name: "money is held exactly in the states that say so", Table: "payments", Query: `
		SELECT id FROM payments WHERE (authorised > captured) <> (status IN ('requires_capture', 'in_review'))`},
	{Name: "money was captured exactly in the states that say so", Table: "payments", Query: `
		SELECT id FROM payments WHERE (status = 'succeeded' AND captured = 0)
			OR (status NOT IN ('succeeded', 'requires_capture') AND captured > 0)`},
	{Name: "a payment is in the queue exactly while it is being carried out", Table: "payments", Query: `
		SELECT p.id FROM payments p LEFT JOIN jobs j ON j.payment_id = p.id
		WHERE (p.status = 'processing') <> (j.payment_id IS NOT NULL)`},
	{Name: "what was authorised was consented to", Table: "payments", Query: `
		SELECT p.id FROM payments p LEFT JOIN consents c ON c.payment_id = p.id AND c.client_id = p.client_id
			AND c.user_id = p.payer AND c.debtor_account = p.debtor_account AND c.creditor_account = p.creditor_account
			AND c.amount = p.amount AND c.currency = p.currency
		WHERE p.authorised > 0 AND c.payment_id IS NULL`},
}

// toldOnce is the rule that the client was told of each payment that succeeded. An
// event past its retention may have been deleted. The day before is for clocks that
// disagree: nobody is to be accused by one.
func toldOnce(now time.Time) ledger.Rule {
	kept := now.Add(24*time.Hour - outbox.Retention).UnixMicro()
	return ledger.Rule{Name: "a payment that succeeded was told of once", Table: "payments", Query: fmt.Sprintf(`
		SELECT p.id FROM payments p JOIN consents c ON c.payment_id = p.id
		WHERE p.status = 'succeeded' AND (
			SELECT count(*) FROM events e WHERE e.subject = p.id AND e.type = 'payment.succeeded')
			NOT IN (1, CASE WHEN c.used_at > %d THEN 1 ELSE 0 END)`, kept)}
}

// VerifyLedger checks that the books are right at this time, from the transfers up.
// The first row that breaks a rule is a *ledger.Violation.
func VerifyLedger(ctx context.Context, db *database.DB, now time.Time) error {
	return ledger.Verify(ctx, db.DB, append(rules[:len(rules):len(rules)], toldOnce(now))...)
}
