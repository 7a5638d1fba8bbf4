// Package outbox tells clients what happened, at least once: an event commits
// with what it tells of, and workers carry it to the client's endpoints until
// each has taken it or the schedule has run out.
//
// The tables events, webhook_endpoints and webhook_deliveries belong to the
// migrations of the component.
package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// Event is something that happened.
type Event struct {
	Client  string // who is told
	Type    string // such as payment.succeeded
	Subject string // the id of what it happened to
	Data    any    // as JSON; a snapshot of it
}

// payload is the body that is sent, by the Standard Webhooks specification.
type payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Publish writes the event and its deliveries in the caller's transaction, one of
// a database of this dialect. After the commit the caller wakes the Dispatcher.
func Publish(ctx context.Context, tx *sql.Tx, dialect database.Dialect, e Event, now time.Time) error {
	body, err := json.Marshal(payload{Type: e.Type, Timestamp: now.UTC(), Data: e.Data})
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO events (id, client_id, type, subject, payload, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		id.String(), e.Client, e.Type, e.Subject, body, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if err := dialect.Share(ctx, tx, endpointsOf(e.Client)); err != nil {
		return err
	}
	endpoints, err := enabledEndpoints(ctx, tx, e.Client)
	if err != nil {
		return err
	}
	for _, endpoint := range endpoints {
		if err := deliver(ctx, tx, id.String(), endpoint, now); err != nil {
			return err
		}
	}
	return nil
}

func enabledEndpoints(ctx context.Context, tx *sql.Tx, client string) ([]string, error) {
	ids, err := queryIDs(ctx, tx, `SELECT id FROM webhook_endpoints WHERE client_id = $1 AND disabled_at IS NULL ORDER BY id`, client)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return ids, nil
}

func queryIDs(ctx context.Context, tx *sql.Tx, query string, args ...any) (ids []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func deliver(ctx context.Context, tx *sql.Tx, event, endpoint string, now time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO webhook_deliveries (id, event_id, endpoint_id, due_at, created_at) VALUES ($1, $2, $3, $4, $4)`,
		id.String(), event, endpoint, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}
