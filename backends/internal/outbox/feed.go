package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// ErrCursor says that the event behind which a reader wants to go on is not, or
// no longer, there: what came after it may be gone too.
var ErrCursor = errors.New("outbox: the event of the cursor is not there")

// placeBatch bounds how many events get their places in one transaction.
const placeBatch = 500

// Told is an event as its client is told of it.
type Told struct {
	ID        string
	Type      string
	Subject   string
	CreatedAt time.Time
	Data      json.RawMessage
}

// Delivery is an event on its way to an endpoint.
type Delivery struct {
	Endpoint   string
	State      string // pending, delivered or failed
	Attempts   int64
	Due        time.Time // of the next try, while pending
	LastStatus int64     // zero when there was no answer
	LastError  string
	FinishedAt time.Time // zero while pending
}

// Feed is the events, for who asks instead of being told.
type Feed struct {
	DB  *database.DB
	Now func() time.Time
}

// Filter says which events are asked for; empty is all.
type Filter struct{ Type, Subject string }

const selectEvent = `SELECT id, type, subject, payload, created_at FROM events `

func scanEvent(row interface{ Scan(...any) error }) (Told, error) {
	var e Told
	var body []byte
	var created int64
	err := row.Scan(&e.ID, &e.Type, &e.Subject, &body, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return Told{}, ErrNotFound
	}
	if err != nil {
		return Told{}, err
	}
	e.CreatedAt = time.UnixMicro(created).UTC()
	var sent struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &sent); err != nil {
		return Told{}, fmt.Errorf("outbox: payload of %s: %w", e.ID, err)
	}
	e.Data = sent.Data
	return e, nil
}

// List gives up to n events of the client in the order of the feed, behind the
// event after. Whoever goes on behind the last one that he was given misses none.
func (f Feed) List(ctx context.Context, client, after string, filter Filter, n int) (list []Told, err error) {
	var position int64
	if after != "" {
		err := f.DB.QueryRowContext(ctx,
			`SELECT position FROM events WHERE id = $1 AND client_id = $2 AND position IS NOT NULL`, after, client).Scan(&position)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, ErrCursor
		}
		if err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
	}
	query, args := selectEvent+`WHERE client_id = $1 AND position > $2`, []any{client, position}
	for _, c := range []struct{ column, value string }{{"type", filter.Type}, {"subject", filter.Subject}} {
		if c.value != "" {
			args = append(args, c.value)
			query += fmt.Sprintf(` AND %s = $%d`, c.column, len(args))
		}
	}
	args = append(args, n)
	rows, err := f.DB.QueryContext(ctx, query+fmt.Sprintf(` ORDER BY position LIMIT $%d`, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// Get gives one event of the client, and what became of its deliveries.
func (f Feed) Get(ctx context.Context, client, id string) (e Told, deliveries []Delivery, err error) {
	e, err = scanEvent(f.DB.QueryRowContext(ctx, selectEvent+`WHERE client_id = $1 AND id = $2`, client, id))
	if err != nil {
		return Told{}, nil, err
	}
	rows, err := f.DB.QueryContext(ctx, `
		SELECT d.endpoint_id, d.state, d.attempts, d.due_at, d.last_status, d.last_error, COALESCE(d.finished_at, 0)
		FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
		WHERE d.event_id = $1 AND e.client_id = $2 ORDER BY d.endpoint_id`, id, client)
	if err != nil {
		return Told{}, nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var d Delivery
		var due, finished int64
		if err := rows.Scan(&d.Endpoint, &d.State, &d.Attempts, &due, &d.LastStatus, &d.LastError, &finished); err != nil {
			return Told{}, nil, fmt.Errorf("outbox: %w", err)
		}
		d.Due = time.UnixMicro(due).UTC()
		if finished != 0 {
			d.FinishedAt = time.UnixMicro(finished).UTC()
		}
		deliveries = append(deliveries, d)
	}
	return e, deliveries, rows.Err()
}

// Redeliver sends an event again under its own id, with all tries: to one
// endpoint, or to all that are on when endpoint is empty. The caller wakes the
// Dispatcher.
func (f Feed) Redeliver(ctx context.Context, client, id, endpoint string) error {
	err := f.DB.InTx(ctx, func(tx *sql.Tx) error {
		if err := f.DB.Dialect.Share(ctx, tx, endpointsOf(client)); err != nil {
			return err
		}
		if _, err := scanEvent(tx.QueryRowContext(ctx, selectEvent+`WHERE client_id = $1 AND id = $2`, client, id)); err != nil {
			return err
		}
		targets, err := f.targets(ctx, tx, client, endpoint)
		if err != nil {
			return err
		}
		for _, target := range targets {
			if err := f.again(ctx, tx, id, target); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("redelivering: %w", err)
	}
	return nil
}

func (f Feed) targets(ctx context.Context, tx *sql.Tx, client, endpoint string) ([]string, error) {
	if endpoint == "" {
		all, err := enabledEndpoints(ctx, tx, client)
		if err == nil && len(all) == 0 {
			err = ErrNoEndpoint
		}
		return all, err
	}
	r, err := endpointOf(ctx, tx, client, endpoint)
	if err == nil && !r.Enabled() {
		err = ErrDisabled
	}
	return []string{endpoint}, err
}

// again puts an event on its way to an endpoint, whether it has been there or not.
func (f Feed) again(ctx context.Context, tx *sql.Tx, event, endpoint string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO webhook_deliveries (id, event_id, endpoint_id, due_at, created_at) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (event_id, endpoint_id) DO UPDATE
		SET state = 'pending', attempts = 0, due_at = excluded.due_at, finished_at = NULL`,
		id.String(), event, endpoint, f.Now().UnixMicro())
	return err
}

// place gives events that have committed their places in the feed, and tells
// whether there may be more. One place is given at a time, whatever the number of
// instances, so that no place turns up before one that is already taken.
func place(ctx context.Context, db *database.DB) (more bool, err error) {
	var waiting bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM events WHERE position IS NULL)`).Scan(&waiting)
	if err != nil || !waiting {
		return false, err
	}
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		// The update that changes nothing locks the row.
		var last int64
		if err := tx.QueryRowContext(ctx, `UPDATE event_position SET last = last RETURNING last`).Scan(&last); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			UPDATE events SET position = $1 + placed.place
			FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM events WHERE position IS NULL ORDER BY id LIMIT $2) AS placed
			WHERE events.id = placed.id`, last, placeBatch)
		if err != nil {
			return err
		}
		placed, err := result.RowsAffected()
		if err != nil {
			return err
		}
		more = placed == placeBatch
		_, err = tx.ExecContext(ctx, `UPDATE event_position SET last = last + $1`, placed)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("outbox: placing events: %w", err)
	}
	return more, nil
}
