package risk

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Record is something that an officer did. Records are never changed.
type Record struct {
	ID          string
	Actor       string // the client that the officer worked with
	Action      string
	Object      string // the id of what it was done to
	Was, Became any    // as JSON; nil is nothing
	CreatedAt   time.Time
}

// Note keeps a record. It commits with what it tells of.
func Note(ctx context.Context, tx *sql.Tx, r Record, now time.Time) error {
	was, err := json.Marshal(r.Was)
	if err != nil {
		return err
	}
	became, err := json.Marshal(r.Became)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO risk_changes (id, actor, action, object, was, became, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id.String(), r.Actor, r.Action, r.Object, string(was), string(became), now.UnixMicro())
	if err != nil {
		return fmt.Errorf("risk: keeping a record: %w", err)
	}
	return nil
}

// Records lists what officers did, newest first, before the id `before`.
func Records(ctx context.Context, q Querier, before string, limit int) (list []Record, err error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, actor, action, object, was, became, created_at FROM risk_changes
		WHERE ($1 = '' OR id < $1) ORDER BY id DESC LIMIT $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("risk: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r Record
		var was, became []byte
		var created int64
		if err := rows.Scan(&r.ID, &r.Actor, &r.Action, &r.Object, &was, &became, &created); err != nil {
			return nil, fmt.Errorf("risk: %w", err)
		}
		r.Was, r.Became, r.CreatedAt = json.RawMessage(was), json.RawMessage(became), time.UnixMicro(created).UTC()
		list = append(list, r)
	}
	return list, rows.Err()
}
