package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// target is an endpoint with something due.
type target struct {
	id, url string
	secrets [][]byte // sealed; the newest first
}

// job is one delivery that this process holds the lease of.
type job struct {
	id, event string
	attempt   int64 // counts this one; also says whose lease it is
	payload   []byte
}

// queue is the deliveries in the database.
type queue struct {
	db  *database.DB
	now func() time.Time
}

// due lists the endpoints with something to send. Each costs one look at an
// index, however long its backlog is.
func (q *queue) due(ctx context.Context) ([]target, error) {
	rows, err := q.db.QueryContext(ctx, `
		SELECT id, url, secret FROM webhook_endpoints e
		WHERE disabled_at IS NULL AND paused_until <= $1 AND EXISTS (
			SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.due_at <= $1)`,
		q.now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var targets []target
	for rows.Next() {
		t := target{secrets: make([][]byte, 1)}
		if err := rows.Scan(&t.id, &t.url, &t.secrets[0]); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		targets = append(targets, t)
	}
	if err := rows.Err(); err != nil || len(targets) == 0 {
		return nil, err
	}
	old, err := q.oldSecrets(ctx)
	for i, t := range targets {
		targets[i].secrets = append(t.secrets, old[t.id]...)
	}
	return targets, err
}

// oldSecrets gives the secrets that were rotated out and still sign, by endpoint,
// the newest first. There are few: rotations are rare and their overlaps end.
func (q *queue) oldSecrets(ctx context.Context) (map[string][][]byte, error) {
	rows, err := q.db.QueryContext(ctx,
		`SELECT endpoint_id, secret FROM webhook_old_secrets WHERE expires_at > $1 ORDER BY id DESC`, q.now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	old := make(map[string][][]byte)
	for rows.Next() {
		var endpoint string
		var secret []byte
		if err := rows.Scan(&endpoint, &secret); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		old[endpoint] = append(old[endpoint], secret)
	}
	return old, rows.Err()
}

// claim takes up to n due deliveries of an endpoint for the length of a lease.
// Other instances pass over them until then.
func (q *queue) claim(ctx context.Context, endpoint string, n int) (jobs []job, err error) {
	skipLocked := ""
	if q.db.Dialect == database.Postgres {
		skipLocked = "FOR UPDATE SKIP LOCKED"
	}
	now := q.now()
	err = q.db.InTx(ctx, func(tx *sql.Tx) error {
		jobs = nil
		rows, err := tx.QueryContext(ctx, `
			UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = $1
			WHERE id IN (SELECT id FROM webhook_deliveries
				WHERE endpoint_id = $2 AND state = 'pending' AND due_at <= $3
				ORDER BY due_at LIMIT $4 `+skipLocked+`)
			RETURNING id, event_id, attempts, (SELECT payload FROM events WHERE events.id = event_id)`,
			now.Add(lease).UnixMicro(), endpoint, now.UnixMicro(), n)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var j job
			if err := rows.Scan(&j.id, &j.event, &j.attempt, &j.payload); err != nil {
				return err
			}
			jobs = append(jobs, j)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: claiming: %w", err)
	}
	return jobs, nil
}

// result is what is noted of a try.
type result struct {
	state      string // pending (again at due), delivered or failed
	due        time.Time
	status     int
	err        string
	pauseUntil time.Time // of the endpoint; zero for no pause
	gone       bool      // the endpoint is to be disabled
}

// note writes down what became of a try, unless the lease ran out and somebody
// else has made another one since, or the delivery now goes to another endpoint.
func (q *queue) note(ctx context.Context, endpoint string, j job, r result) error {
	now := q.now()
	var finished sql.NullInt64
	if r.state != "pending" {
		finished = sql.NullInt64{Int64: now.UnixMicro(), Valid: true}
	}
	err := q.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE webhook_deliveries SET state = $1, due_at = $2, last_status = $3, last_error = $4, finished_at = $5
			WHERE id = $6 AND attempts = $7 AND endpoint_id = $8 AND state = 'pending'`,
			r.state, r.due.UnixMicro(), r.status, r.err, finished, j.id, j.attempt, endpoint)
		if err != nil {
			return err
		}
		if r.gone {
			return disable(ctx, tx, endpoint, disabledGone, now)
		}
		if r.pauseUntil.IsZero() {
			return nil
		}
		_, err = tx.ExecContext(ctx,
			`UPDATE webhook_endpoints SET paused_until = $1 WHERE id = $2 AND paused_until < $1`, r.pauseUntil.UnixMicro(), endpoint)
		return err
	})
	if err != nil {
		return fmt.Errorf("outbox: noting a try: %w", err)
	}
	return nil
}

// Backlog is what waits for endpoints that are on.
type Backlog struct {
	Waiting int64
	// Oldest is how long the delivery has been waiting that has waited longest.
	Oldest time.Duration
}

// ReadBacklog counts what is waiting.
func ReadBacklog(ctx context.Context, db *database.DB, now time.Time) (b Backlog, err error) {
	var since sql.NullInt64
	err = db.QueryRowContext(ctx, `
		SELECT count(*), MIN(d.created_at) FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
		WHERE d.state = 'pending' AND e.disabled_at IS NULL`).Scan(&b.Waiting, &since)
	if since.Valid {
		b.Oldest = max(0, now.Sub(time.UnixMicro(since.Int64)))
	}
	return b, err
}
