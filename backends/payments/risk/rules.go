package risk

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// Subject is whom or what a rule is about.
type Subject string

// The subjects.
const (
	OfPayment Subject = "payment"
	OfUser    Subject = "user"
	OfClient  Subject = "client"
	OfPayee   Subject = "payee"
)

// crowd tells whether payments of many users belong to it.
func (s Subject) crowd() bool { return s == OfClient || s == OfPayee }

// ErrNotFound says that there is no such rule or entry.
var ErrNotFound = errors.New("risk: no such rule or entry")

// count is under what rules on how often have their thresholds.
const count = "count"

// rule is one of the fixed rules. It measures a payment; bound is the highest
// threshold, beyond which nobody needs to know the exact value.
type rule struct {
	words   string
	subject Subject
	over    Subject // whose payments it looks at; OfPayment is this one only
	amounts bool    // it measures money: thresholds are by currency
	measure func(ctx context.Context, tx *sql.Tx, p Payment, now time.Time, bound int64) (int64, error)
}

func (r rule) key(p Payment) string {
	if r.amounts {
		return p.Amount.Currency
	}
	return count
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

var rules = map[string]rule{
	"payment_amount": {"the amount of the payment", OfPayment, OfPayment, true,
		func(_ context.Context, _ *sql.Tx, p Payment, _ time.Time, _ int64) (int64, error) {
			return p.Amount.Value, nil
		}},
	"new_payee":         {"the amount, to a payee whom the user has not paid before", OfPayee, OfUser, true, newPayee},
	"user_amount_24h":   {"what the user pays within a day", OfUser, OfUser, true, sum("user_id", Payment.user, day)},
	"client_amount_24h": {"what is paid through the client within a day", OfClient, OfClient, true, sum("client_id", Payment.client, day)},
	"user_count_1h":     {"payments of the user within an hour", OfUser, OfUser, false, frequency("user_id", Payment.user, hour)},
	"user_count_24h":    {"payments of the user within a day", OfUser, OfUser, false, frequency("user_id", Payment.user, day)},
	"client_count_1h":   {"payments through the client within an hour", OfClient, OfClient, false, frequency("client_id", Payment.client, hour)},
	"client_count_24h":  {"payments through the client within a day", OfClient, OfClient, false, frequency("client_id", Payment.client, day)},
	"payee_count_1h":    {"payments to the payee within an hour", OfPayee, OfPayee, false, frequency("creditor_account", Payment.payee, hour)},
	"payee_count_24h":   {"payments to the payee within a day", OfPayee, OfPayee, false, frequency("creditor_account", Payment.payee, day)},
}

func (p Payment) user() string   { return p.User }
func (p Payment) client() string { return p.Client }
func (p Payment) payee() string  { return p.Payee }

// frequency counts what was consented to, this payment with it. It reads no more
// rows than the threshold needs.
func frequency(column string, of func(Payment) string, window time.Duration) func(context.Context, *sql.Tx, Payment, time.Time, int64) (int64, error) {
	query := `SELECT count(*) FROM (SELECT 1 FROM consents WHERE ` + column + ` = $1 AND used_at > $2 LIMIT $3) recent`
	return func(ctx context.Context, tx *sql.Tx, p Payment, now time.Time, bound int64) (n int64, err error) {
		err = tx.QueryRowContext(ctx, query, of(p), now.Add(-window).UnixMicro(), bound+1).Scan(&n)
		return n + 1, err
	}
}

// sum adds up what was consented to in the payment's currency, this payment with
// it, without what came to nothing.
func sum(column string, of func(Payment) string, window time.Duration) func(context.Context, *sql.Tx, Payment, time.Time, int64) (int64, error) {
	query := `SELECT CAST(COALESCE(SUM(c.amount), 0) AS BIGINT) FROM consents c JOIN payments p ON p.id = c.payment_id
		WHERE c.` + column + ` = $1 AND c.used_at > $2 AND c.currency = $3 AND p.status NOT IN ('rejected', 'canceled', 'expired')`
	return func(ctx context.Context, tx *sql.Tx, p Payment, now time.Time, _ int64) (value int64, err error) {
		err = tx.QueryRowContext(ctx, query, of(p), now.Add(-window).UnixMicro(), p.Amount.Currency).Scan(&value)
		return value + p.Amount.Value, err
	}
}

// newPayee is the amount if the user has never paid this payee, else nothing.
func newPayee(ctx context.Context, tx *sql.Tx, p Payment, _ time.Time, _ int64) (int64, error) {
	var known bool
	err := tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM consents c JOIN payments p ON p.id = c.payment_id
			WHERE c.user_id = $1 AND c.creditor_account = $2 AND p.captured > 0)`, p.User, p.Payee).Scan(&known)
	if err != nil || known {
		return 0, err
	}
	return p.Amount.Value, nil
}

// Limits are the thresholds of a rule in one currency. A value above one leads to
// its outcome; nil is never.
type Limits struct {
	StepUp *int64 `json:"step_up,omitempty"`
	Review *int64 `json:"review,omitempty"`
	Deny   *int64 `json:"deny,omitempty"`
}

// each goes through the thresholds that are set.
func (l Limits) each(yield func(Outcome, int64) bool) {
	for _, limit := range []struct {
		outcome   Outcome
		threshold *int64
	}{{StepUp, l.StepUp}, {Review, l.Review}, {Deny, l.Deny}} {
		if limit.threshold != nil && !yield(limit.outcome, *limit.threshold) {
			return
		}
	}
}

func (l Limits) highest() (bound int64) {
	for _, threshold := range iter.Seq2[Outcome, int64](l.each) {
		bound = max(bound, threshold)
	}
	return bound
}

// Setting is what officers can change of a rule.
type Setting struct {
	ID         string
	Enabled    bool
	Thresholds map[string]Limits // by currency, or under "count"
	Version    int64
	UpdatedAt  time.Time
}

// Measures says what the rule looks at.
func (s Setting) Measures() string { return rules[s.ID].words }

// Subject says whom the rule is about.
func (s Setting) Subject() Subject { return rules[s.ID].subject }

// maxThreshold is as large as an amount can be.
const maxThreshold = 100_000_000_000_000

// Validate gives what is wrong, by the member that it is wrong with.
func (s Setting) Validate() map[string]string {
	wrong := map[string]string{}
	for key, limits := range s.Thresholds {
		if _, currency := money.Exponent(key); rules[s.ID].amounts != currency || !currency && key != count {
			wrong[key] = "must be a currency code of ISO 4217 for a rule on amounts, and count for others"
			continue
		}
		for outcome, threshold := range limits.each {
			if threshold < 0 || threshold > maxThreshold {
				wrong[key+"/"+string(outcome)] = "must be from 0 to 100000000000000"
			}
		}
	}
	return wrong
}

const settingColumns = `SELECT id, enabled, thresholds, version, updated_at FROM risk_rules `

// Rules gives the settings of all rules, in the order of their ids. A rule that the
// table knows and this program does not is an error: it would not be applied.
func Rules(ctx context.Context, q Querier) (list []Setting, err error) {
	rows, err := q.QueryContext(ctx, settingColumns+`ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("risk: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		s, err := scanSetting(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("risk: %w", err)
	}
	if len(list) != len(rules) {
		return nil, fmt.Errorf("risk: the table has %d rules, and this program %v", len(list), slices.Sorted(maps.Keys(rules)))
	}
	return list, nil
}

// Rule gives one rule's setting.
func Rule(ctx context.Context, q Querier, id string) (Setting, error) {
	return scanSetting(q.QueryRowContext(ctx, settingColumns+`WHERE id = $1`, id))
}

func scanSetting(row interface{ Scan(...any) error }) (Setting, error) {
	var s Setting
	var thresholds []byte
	var updated int64
	err := row.Scan(&s.ID, &s.Enabled, &thresholds, &s.Version, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return Setting{}, ErrNotFound
	}
	if err != nil {
		return Setting{}, fmt.Errorf("risk: %w", err)
	}
	if _, known := rules[s.ID]; !known {
		return Setting{}, fmt.Errorf("risk: the table has a rule %s, which this program does not know", s.ID)
	}
	if err := json.Unmarshal(thresholds, &s.Thresholds); err != nil {
		return Setting{}, fmt.Errorf("risk: thresholds of %s: %w", s.ID, err)
	}
	s.UpdatedAt = time.UnixMicro(updated).UTC()
	return s, nil
}

// Change writes a setting on top of the version that it has, and notes who did it.
// It gives false when somebody else has changed it since.
func Change(ctx context.Context, tx *sql.Tx, actor string, was Setting, s *Setting, now time.Time) (done bool, err error) {
	thresholds, err := json.Marshal(s.Thresholds)
	if err != nil {
		return false, err
	}
	result, err := tx.ExecContext(ctx, `
		UPDATE risk_rules SET enabled = $1, thresholds = $2, version = version + 1, updated_at = $3 WHERE id = $4 AND version = $5`,
		s.Enabled, string(thresholds), now.UnixMicro(), s.ID, was.Version)
	if err != nil {
		return false, fmt.Errorf("risk: changing a rule: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil || rows == 0 {
		return false, err
	}
	s.Version, s.UpdatedAt = was.Version+1, now.UTC().Truncate(time.Microsecond)
	return true, Note(ctx, tx, Record{Actor: actor, Action: "rule.changed", Object: s.ID, Was: was.state(), Became: s.state()}, now)
}

// state is a setting as the record of changes shows it.
func (s Setting) state() any {
	return struct {
		Enabled    bool              `json:"enabled"`
		Thresholds map[string]Limits `json:"thresholds"`
	}{s.Enabled, s.Thresholds}
}
