package risk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// The lists.
const (
	AllowList = "allow" // the rules on this subject do not apply; that on the amount does
	DenyList  = "deny"  // refused, whatever the rules say
)

// Entry is one of whom or what is on a list.
type Entry struct {
	ID        string
	List      string
	Subject   Subject
	Value     string // the id of the user, client or payee's account
	Note      string
	CreatedAt time.Time
}

const entryColumns = `SELECT id, list, subject, value, note, created_at FROM risk_lists `

// consultLists looks for the three that take part in the payment.
func (d *Decision) consultLists(ctx context.Context, tx *sql.Tx) error {
	p := d.Inputs.Payment
	entries, err := queryEntries(ctx, tx, `WHERE (subject = 'user' AND value = $1) OR (subject = 'client' AND value = $2)
		OR (subject = 'payee' AND value = $3) ORDER BY subject`, p.User, p.Client, p.Payee)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.List == DenyList {
			d.add(Finding{Rule: "deny_list_" + string(e.Subject), Outcome: Deny})
		} else {
			d.Inputs.Exempt = append(d.Inputs.Exempt, e.Subject)
		}
	}
	return nil
}

func queryEntries(ctx context.Context, q Querier, condition string, args ...any) (list []Entry, err error) {
	rows, err := q.QueryContext(ctx, entryColumns+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("risk: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func scanEntry(row interface{ Scan(...any) error }) (Entry, error) {
	var e Entry
	var created int64
	err := row.Scan(&e.ID, &e.List, &e.Subject, &e.Value, &e.Note, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, ErrNotFound
	}
	if err != nil {
		return Entry{}, fmt.Errorf("risk: %w", err)
	}
	e.CreatedAt = time.UnixMicro(created).UTC()
	return e, nil
}

// Entries lists both lists, newest first, before the id `before`.
func Entries(ctx context.Context, q Querier, before string, limit int) ([]Entry, error) {
	return queryEntries(ctx, q, `WHERE ($1 = '' OR id < $1) ORDER BY id DESC LIMIT $2`, before, limit)
}

// AddEntry puts somebody on a list and notes who did it. One is on one list at most:
// a second entry violates a unique constraint.
func AddEntry(ctx context.Context, tx *sql.Tx, actor string, e Entry, now time.Time) (Entry, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Entry{}, err
	}
	e.ID, e.CreatedAt = id.String(), now.UTC().Truncate(time.Microsecond)
	_, err = tx.ExecContext(ctx, `INSERT INTO risk_lists (id, list, subject, value, note, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.ID, e.List, e.Subject, e.Value, e.Note, e.CreatedAt.UnixMicro())
	if err != nil {
		return Entry{}, fmt.Errorf("risk: adding to a list: %w", err)
	}
	return e, Note(ctx, tx, Record{Actor: actor, Action: "list.added", Object: e.ID, Became: e.state()}, now)
}

// RemoveEntry takes somebody off a list and notes who did it.
func RemoveEntry(ctx context.Context, tx *sql.Tx, actor, id string, now time.Time) error {
	was, err := scanEntry(tx.QueryRowContext(ctx, `
		DELETE FROM risk_lists WHERE id = $1 RETURNING id, list, subject, value, note, created_at`, id))
	if err != nil {
		return err
	}
	return Note(ctx, tx, Record{Actor: actor, Action: "list.removed", Object: id, Was: was.state()}, now)
}

// state is an entry as the record of changes shows it.
func (e Entry) state() any {
	return struct {
		List    string  `json:"list"`
		Subject Subject `json:"subject"`
		Value   string  `json:"value"`
		Note    string  `json:"note"`
	}{e.List, e.Subject, e.Value, e.Note}
}
