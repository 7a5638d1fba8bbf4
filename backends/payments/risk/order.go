package risk

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// Two payments at once must not both be the last that a rule lets pass: each would look
// at the consents that are committed, and miss the other. SQLite has one writer, so that
// there is no such thing. On PostgreSQL payments that a rule looks at together are judged
// in an order, by advisory locks that end with the transaction: those of the user, then
// of the client, then of the payee, so that no two wait for each other.
//
// A user pays once at a time anyway. All of a shop's payments are another matter: waiting
// for each other's commit, they would be as slow as one. So they share the lock for as
// long as a count cannot come to a threshold by what is under way, which is no more than
// the server has connections. Only near a threshold each waits for the others. Sums have
// no such bound, since an amount can be anything: a sum over a client is always in order.

// crowd is a client or payee whose payments a rule looks at.
type crowd struct {
	over Subject
	name string // of the lock
}

// ordered measures the rules when all that they look at is committed, or cannot matter.
func (d Decision) ordered(ctx context.Context, tx *sql.Tx, dialect database.Dialect, m measuring) (Decision, error) {
	if dialect != database.Postgres {
		return d.measured(ctx, tx, m)
	}
	if m.looksAt(d, OfUser, false) {
		if err := dialect.Hold(ctx, tx, "risk of user "+d.Inputs.User); err != nil {
			return Decision{}, err
		}
	}
	crowds := m.crowds(d)
	if len(crowds) == 0 {
		return d.measured(ctx, tx, m)
	}
	if err := tx.QueryRowContext(ctx, `SELECT current_setting('max_connections')::bigint`).Scan(&m.underWay); err != nil {
		return Decision{}, fmt.Errorf("risk: %w", err)
	}
	return d.among(ctx, tx, m, crowds)
}

// among takes the locks of the crowds and measures: again, with a lock of its own, where
// a count is near a threshold. A shared lock cannot be made one's own, since two that
// tried would wait for each other; it is given back with the savepoint before it.
func (d Decision) among(ctx context.Context, tx *sql.Tx, m measuring, crowds []crowd) (Decision, error) {
	m.alone = map[Subject]bool{OfClient: m.looksAt(d, OfClient, true), OfPayee: m.looksAt(d, OfPayee, true)}
	if err := execute(ctx, tx, `SAVEPOINT judging`); err != nil {
		return Decision{}, err
	}
	for {
		for _, c := range crowds {
			hold := database.Postgres.Share
			if m.alone[c.over] {
				hold = database.Postgres.Hold
			}
			if err := hold(ctx, tx, c.name); err != nil {
				return Decision{}, err
			}
		}
		judged, err := d.measured(ctx, tx, m)
		if err != nil || len(judged.near) == 0 {
			return judged, err
		}
		if err := execute(ctx, tx, `ROLLBACK TO SAVEPOINT judging`); err != nil {
			return Decision{}, err
		}
		for _, over := range judged.near {
			m.alone[over] = true
		}
	}
}

func execute(ctx context.Context, tx *sql.Tx, statement string) error {
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("risk: %w", err)
	}
	return nil
}

// crowds gives those whose payments a rule looks at, in the order of their locks.
func (m measuring) crowds(d Decision) (list []crowd) {
	p := d.Inputs.Payment
	for _, c := range []crowd{{OfClient, "risk of client " + p.Client}, {OfPayee, "risk of payee " + p.Payee}} {
		if m.looksAt(d, c.over, false) {
			list = append(list, c)
		}
	}
	return list
}

// looksAt tells whether a rule that applies looks at the payments of a user, client or
// payee; with sums, whether one adds their amounts up.
func (m measuring) looksAt(d Decision, over Subject, sums bool) bool {
	return slices.ContainsFunc(m.settings, func(s Setting) bool {
		rule := rules[s.ID]
		return rule.over == over && (rule.amounts || !sums) && d.applies(s)
	})
}
