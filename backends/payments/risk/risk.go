// Package risk judges payments: fixed rules, whose thresholds officers change in a
// table, and lists of whom to refuse and whom to let pass. Everything is read inside
// the payment's transaction, and each decision is kept with its rules and inputs.
package risk

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// Outcome is what becomes of a payment.
type Outcome string

// The outcomes, from the mildest to the strictest.
const (
	Allow  Outcome = "allow"
	StepUp Outcome = "step_up" // the user has to authenticate more strongly, or again
	Review Outcome = "review"  // an officer looks at it
	Deny   Outcome = "deny"
)

var strictness = map[Outcome]int{Allow: 0, StepUp: 1, Review: 2, Deny: 3}

// stricter gives the stricter of two.
func stricter(a, b Outcome) Outcome {
	if strictness[b] > strictness[a] {
		return b
	}
	return a
}

// Payment is what is judged.
type Payment struct {
	ID     string       `json:"-"`
	Client string       `json:"client"`
	User   string       `json:"user"`
	Payee  string       `json:"payee"` // the account
	Amount money.Amount `json:"amount"`
	// SteppedUp says that the user has authenticated as a rule could ask for.
	SteppedUp bool `json:"stepped_up"`
}

// Finding is a rule that did not simply let the payment pass.
type Finding struct {
	Rule      string  `json:"rule"`
	Outcome   Outcome `json:"outcome"`
	Value     int64   `json:"value,omitempty"`
	Threshold int64   `json:"threshold,omitempty"` // which the value is above
}

// Inputs are what a decision was made from.
type Inputs struct {
	Payment
	Measured map[string]int64 `json:"measured"`         // by rule
	Exempt   []Subject        `json:"exempt,omitempty"` // on an allow list
}

// Decision is the judgement of a payment at a time.
type Decision struct {
	ID        string
	PaymentID string
	Outcome   Outcome
	Findings  []Finding
	Inputs    Inputs
	CreatedAt time.Time

	near []Subject // of which what is under way could bring a count above a threshold
}

// WantsStepUp tells whether a rule asks for it and it has not happened, beside what
// else is to happen.
func (d Decision) WantsStepUp() bool {
	if d.Inputs.SteppedUp {
		return false
	}
	return slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Outcome == StepUp })
}

// Decide judges a payment in its transaction. It keeps nothing: see Keep.
func Decide(ctx context.Context, tx *sql.Tx, dialect database.Dialect, p Payment, now time.Time) (Decision, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Decision{}, err
	}
	d := Decision{
		ID: id.String(), PaymentID: p.ID, Outcome: Allow, Findings: []Finding{}, CreatedAt: now.UTC().Truncate(time.Microsecond),
		Inputs: Inputs{Payment: p},
	}
	if err := d.consultLists(ctx, tx); err != nil {
		return Decision{}, err
	}
	settings, err := Rules(ctx, tx)
	if err != nil {
		return Decision{}, err
	}
	return d.ordered(ctx, tx, dialect, measuring{settings: settings, now: now})
}

// measuring is what the rules are measured with.
type measuring struct {
	settings []Setting
	now      time.Time
	underWay int64            // how many payments there can be that are not committed, this one with them
	alone    map[Subject]bool // of which none is beside this one
}

// measured gives the decision with what all rules say.
func (d Decision) measured(ctx context.Context, tx *sql.Tx, m measuring) (Decision, error) {
	d.Findings, d.Inputs.Measured = slices.Clone(d.Findings), map[string]int64{}
	for _, setting := range m.settings {
		if err := d.apply(ctx, tx, setting, m); err != nil {
			return Decision{}, err
		}
	}
	return d, nil
}

// add notes a finding; the strictest wins. A step-up that has happened holds
// nothing up.
func (d *Decision) add(f Finding) {
	d.Findings = append(d.Findings, f)
	if f.Outcome != StepUp || !d.Inputs.SteppedUp {
		d.Outcome = stricter(d.Outcome, f.Outcome)
	}
}

// applies tells whether a rule has something to say of the payment.
func (d Decision) applies(setting Setting) bool {
	rule := rules[setting.ID]
	_, limited := setting.Thresholds[rule.key(d.Inputs.Payment)]
	return setting.Enabled && limited && !d.exempt(rule.subject)
}

// apply measures one rule and compares the value with its thresholds.
func (d *Decision) apply(ctx context.Context, tx *sql.Tx, setting Setting, m measuring) error {
	if !d.applies(setting) {
		return nil
	}
	rule := rules[setting.ID]
	limits := setting.Thresholds[rule.key(d.Inputs.Payment)]
	value, err := rule.measure(ctx, tx, d.Inputs.Payment, m.now, limits.highest())
	if err != nil {
		return fmt.Errorf("risk: %s: %w", setting.ID, err)
	}
	d.Inputs.Measured[setting.ID] = value
	for outcome, threshold := range limits.each {
		if value > threshold {
			d.add(Finding{Rule: setting.ID, Outcome: outcome, Value: value, Threshold: threshold})
		} else if m.underWay > 0 && rule.over.crowd() && !m.alone[rule.over] && value+m.underWay > threshold {
			d.near = append(d.near, rule.over)
		}
	}
	return nil
}

func (d Decision) exempt(subject Subject) bool { return slices.Contains(d.Inputs.Exempt, subject) }

// Keep stores a decision.
func Keep(ctx context.Context, tx *sql.Tx, d Decision) error {
	findings, err := json.Marshal(d.Findings)
	if err != nil {
		return err
	}
	inputs, err := json.Marshal(d.Inputs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO risk_decisions (id, payment_id, outcome, findings, inputs, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		d.ID, d.PaymentID, d.Outcome, string(findings), string(inputs), d.CreatedAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("risk: keeping a decision: %w", err)
	}
	return nil
}

// Decisions lists those of a payment, newest first, before the id `before`.
func Decisions(ctx context.Context, q Querier, payment, before string, limit int) (list []Decision, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, payment_id, outcome, findings, inputs, created_at FROM risk_decisions
		WHERE payment_id = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`, payment, before, limit)
	if err != nil {
		return nil, fmt.Errorf("risk: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var d Decision
		var findings, inputs []byte
		var created int64
		if err := rows.Scan(&d.ID, &d.PaymentID, &d.Outcome, &findings, &inputs, &created); err != nil {
			return nil, fmt.Errorf("risk: %w", err)
		}
		if err := json.Unmarshal(findings, &d.Findings); err != nil {
			return nil, fmt.Errorf("risk: findings of %s: %w", d.ID, err)
		}
		if err := json.Unmarshal(inputs, &d.Inputs); err != nil {
			return nil, fmt.Errorf("risk: inputs of %s: %w", d.ID, err)
		}
		d.CreatedAt = time.UnixMicro(created).UTC()
		list = append(list, d)
	}
	return list, rows.Err()
}

// Querier is what reading needs of a database or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
