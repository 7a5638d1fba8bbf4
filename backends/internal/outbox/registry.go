package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/webhook"
)

const (
	// MaxEndpoints bounds the endpoints of one client.
	MaxEndpoints = 10
	// maxSecrets bounds the secrets that sign for one endpoint at a time.
	maxSecrets = 5
)

// Why clients are refused.
var (
	ErrNotFound       = errors.New("outbox: not found")
	ErrTooMany        = errors.New("outbox: the client has as many endpoints as one can have")
	ErrTooManySecrets = errors.New("outbox: too many secrets of this endpoint are valid")
	ErrChanged        = errors.New("outbox: the endpoint has changed since")
	ErrDisabled       = errors.New("outbox: the endpoint is turned off")
	ErrNoEndpoint     = errors.New("outbox: the client has no endpoint that is turned on")
)

// Registration is an endpoint as it stands.
type Registration struct {
	ID             string
	URL            string
	DisabledReason string // why it is off; empty while it is on
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// The reasons that an endpoint is off: it answered 410, another one took its
// place, or its client said so.
const (
	disabledGone     = "gone"
	disabledReplaced = "replaced"
	disabledByClient = "by_client"
)

// Enabled tells whether events are sent to it.
func (r Registration) Enabled() bool { return r.DisabledReason == "" }

// Registry is the endpoints, as their clients manage them.
type Registry struct {
	DB    *database.DB
	Vault *vault.Vault
	Now   func() time.Time
}

const selectEndpoint = `SELECT id, url, CASE WHEN disabled_at IS NULL THEN '' ELSE disabled_reason END,
	version, created_at, updated_at FROM webhook_endpoints `

func scanEndpoint(row interface{ Scan(...any) error }) (Registration, error) {
	var r Registration
	var created, updated int64
	err := row.Scan(&r.ID, &r.URL, &r.DisabledReason, &r.Version, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return Registration{}, ErrNotFound
	}
	r.CreatedAt, r.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return r, err
}

// Add adds an endpoint and gives its secret, in the form that receivers take.
func (g *Registry) Add(ctx context.Context, client, url string) (r Registration, secret string, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Registration{}, "", err
	}
	key := webhook.NewSecret()
	err = g.change(ctx, client, func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM webhook_endpoints WHERE client_id = $1`, client).Scan(&have); err != nil {
			return err
		}
		if have >= MaxEndpoints {
			return ErrTooMany
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO webhook_endpoints (id, client_id, url, secret, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`,
			id.String(), client, url, g.Vault.Seal(id.String(), key), g.Now().UnixMicro())
		if database.IsUnique(err) {
			return ErrExists
		}
		if err != nil {
			return err
		}
		r, err = endpointOf(ctx, tx, client, id.String())
		return err
	})
	return r, webhook.FormatSecret(key), err
}

// Get gives one endpoint of the client.
func (g *Registry) Get(ctx context.Context, client, id string) (Registration, error) {
	return endpointOf(ctx, g.DB, client, id)
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func endpointOf(ctx context.Context, q rowQuerier, client, id string) (Registration, error) {
	return scanEndpoint(q.QueryRowContext(ctx, selectEndpoint+`WHERE client_id = $1 AND id = $2`, client, id))
}

// List gives up to n endpoints of the client, oldest first, behind the id after.
func (g *Registry) List(ctx context.Context, client, after string, n int) (list []Registration, err error) {
	rows, err := g.DB.QueryContext(ctx, selectEndpoint+`WHERE client_id = $1 AND id > $2 ORDER BY id LIMIT $3`, client, after, n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scanEndpoint(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Change is what a client changes of an endpoint; nil leaves it as it is.
type Change struct {
	URL     *string
	Enabled *bool
}

// Update changes an endpoint. seen refuses, with an error of its own, a change of
// a version that the caller has not seen. What waits for the endpoint goes to the
// new URL, and rests while the endpoint is off.
func (g *Registry) Update(ctx context.Context, client, id string, c Change, seen func(Registration) error) (r Registration, err error) {
	err = g.change(ctx, client, func(tx *sql.Tx) error {
		before, err := endpointOf(ctx, tx, client, id)
		if err != nil {
			return err
		}
		if err := seen(before); err != nil {
			return err
		}
		url, reason := before.URL, before.DisabledReason
		if c.URL != nil {
			url = *c.URL
		}
		switch {
		case c.Enabled == nil:
		case *c.Enabled:
			reason = ""
		case before.Enabled():
			reason = disabledByClient
		}
		now := g.Now().UnixMicro()
		result, err := tx.ExecContext(ctx, `
			UPDATE webhook_endpoints SET url = $1, disabled_reason = $2, paused_until = 0, version = version + 1, updated_at = $3,
				disabled_at = CASE WHEN $2 = '' THEN NULL ELSE COALESCE(disabled_at, $3) END
			WHERE id = $4 AND version = $5`, url, reason, now, id, before.Version)
		if database.IsUnique(err) {
			return ErrExists
		}
		if err := changedOne(result, err); err != nil {
			return err
		}
		r, err = endpointOf(ctx, tx, client, id)
		return err
	})
	return r, err
}

// changedOne refuses a change that another one came before: a worker that was
// answered 410 turns endpoints off without holding them.
func changedOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	rows, err := result.RowsAffected()
	if err == nil && rows != 1 {
		return ErrChanged
	}
	return err
}

// removed is the client of endpoints that were removed, which no real one can be.
const removed = ""

// Remove forgets an endpoint, with what waits for it. The events stay in the feed.
//
// There may be a month of deliveries, which no one transaction should delete. So the
// endpoint becomes nobody's: it is off, without its URL and secrets, and neither it nor its
// deliveries are shown to anybody. Purge deletes them.
func (g *Registry) Remove(ctx context.Context, client, id string) error {
	return g.change(ctx, client, func(tx *sql.Tx) error {
		if _, err := endpointOf(ctx, tx, client, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM webhook_old_secrets WHERE endpoint_id = $1`, id); err != nil {
			return err
		}
		now := g.Now().UnixMicro()
		_, err := tx.ExecContext(ctx, `
			UPDATE webhook_endpoints SET client_id = $1, url = id, secret = $2, disabled_at = $3, disabled_reason = 'removed',
				version = version + 1, updated_at = $3 WHERE id = $4`, removed, []byte{}, now, id)
		return err
	})
}

// Rotate gives the endpoint a new secret. Those before it go on signing beside it
// for the time of the overlap, and no longer: a rotation whose answer was lost can
// be repeated, and the receiver's secret still counts.
func (g *Registry) Rotate(ctx context.Context, client, id string, overlap time.Duration) (r Registration, secret string, err error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return Registration{}, "", err
	}
	key := webhook.NewSecret()
	err = g.change(ctx, client, func(tx *sql.Tx) error {
		if _, err := endpointOf(ctx, tx, client, id); err != nil {
			return err
		}
		if err := g.retire(ctx, tx, fresh.String(), id, g.Now().Add(overlap)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx,
			`UPDATE webhook_endpoints SET secret = $1, version = version + 1, updated_at = $2 WHERE id = $3`,
			g.Vault.Seal(id, key), g.Now().UnixMicro(), id)
		if err != nil {
			return err
		}
		r, err = endpointOf(ctx, tx, client, id)
		return err
	})
	return r, webhook.FormatSecret(key), err
}

// retire moves the endpoint's secret to the old ones, all of which end by then.
func (g *Registry) retire(ctx context.Context, tx *sql.Tx, rowID, endpoint string, end time.Time) error {
	now := g.Now()
	_, err := tx.ExecContext(ctx,
		`UPDATE webhook_old_secrets SET expires_at = $1 WHERE endpoint_id = $2 AND expires_at > $1`, end.UnixMicro(), endpoint)
	if err != nil {
		return err
	}
	var valid int
	err = tx.QueryRowContext(ctx,
		`SELECT count(*) FROM webhook_old_secrets WHERE endpoint_id = $1 AND expires_at > $2`, endpoint, now.UnixMicro()).Scan(&valid)
	if err != nil {
		return err
	}
	// The one that is there and the new one come on top.
	if end.After(now) && valid+2 > maxSecrets {
		return ErrTooManySecrets
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO webhook_old_secrets (id, endpoint_id, secret, expires_at)
		SELECT $1, id, secret, $2 FROM webhook_endpoints WHERE id = $3`, rowID, end.UnixMicro(), endpoint)
	return err
}

// change runs fn in a transaction that keeps the client's endpoints apart from
// what is published meanwhile.
func (g *Registry) change(ctx context.Context, client string, fn func(*sql.Tx) error) error {
	err := g.DB.InTx(ctx, func(tx *sql.Tx) error {
		if err := g.DB.Dialect.Hold(ctx, tx, endpointsOf(client)); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		return fmt.Errorf("webhook endpoint: %w", err)
	}
	return nil
}
