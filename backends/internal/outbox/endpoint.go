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

// ErrExists says that the client has this endpoint already.
var ErrExists = errors.New("outbox: the client has this endpoint already")

// Endpoint is where a client wants to be told.
type Endpoint struct {
	ID     string
	Client string
	URL    string
	// Secret is what messages are signed with, in the form that receivers take.
	// It is known only now: the database holds it sealed.
	Secret string
}

// AddEndpoint adds an endpoint with a new secret. With replace it becomes the
// client's only one: others are disabled, and what was on its way to them goes to
// this one from now on. An endpoint that has this URL keeps its id, gets a new
// secret, and is turned on again if it was off.
func AddEndpoint(ctx context.Context, db *database.DB, v *vault.Vault, client, url string, replace bool, now time.Time) (Endpoint, error) {
	if err := webhook.CheckURL(url); err != nil {
		return Endpoint{}, fmt.Errorf("the endpoint's URL is refused: %w", err)
	}
	secret := webhook.NewSecret()
	endpoint := Endpoint{Client: client, URL: url, Secret: webhook.FormatSecret(secret)}
	err := db.InTx(ctx, func(tx *sql.Tx) error {
		if err := db.Dialect.Hold(ctx, tx, endpointsOf(client)); err != nil {
			return err
		}
		id, found, err := endpointID(ctx, tx, client, url)
		if err != nil {
			return err
		}
		if found && !replace {
			return ErrExists
		}
		endpoint.ID = id
		if replace {
			if err := disableOthers(ctx, tx, client, url, now); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO webhook_endpoints (id, client_id, url, secret, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (client_id, url) DO UPDATE
			SET secret = excluded.secret, disabled_at = NULL, disabled_reason = '', paused_until = 0,
				version = webhook_endpoints.version + 1, updated_at = excluded.updated_at`,
			id, client, url, v.Seal(id, secret), now.UnixMicro())
		if err != nil || !replace {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM webhook_old_secrets WHERE endpoint_id = $1`, id); err != nil {
			return err
		}
		return redirect(ctx, tx, client, id, now)
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("adding an endpoint: %w", err)
	}
	return endpoint, nil
}

// endpointsOf names what publishing for a client and changing its endpoints wait for each
// other by: who publishes shares it, who changes holds it. Without, an event could commit
// for an endpoint that has just been replaced, behind the back of what redirects its
// deliveries.
func endpointsOf(client string) string { return "webhook endpoints of " + client }

// endpointID gives the id of the client's endpoint with this URL, or a new one.
func endpointID(ctx context.Context, tx *sql.Tx, client, url string) (id string, found bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id FROM webhook_endpoints WHERE client_id = $1 AND url = $2`, client, url).Scan(&id)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return id, err == nil, err
	}
	fresh, err := uuid.NewV7()
	return fresh.String(), false, err
}

func disableOthers(ctx context.Context, tx *sql.Tx, client, url string, now time.Time) error {
	_, err := tx.ExecContext(ctx,
		`UPDATE webhook_endpoints SET disabled_at = $1, disabled_reason = $4, version = version + 1, updated_at = $1
		WHERE client_id = $2 AND url <> $3 AND disabled_at IS NULL`, now.UnixMicro(), client, url, disabledReplaced)
	return err
}

// redirect brings what still waits for the client's other endpoints, all of which
// are off, to this one, with all its tries. An event that is on its way here
// already, or has been here, does not come again: of one that waited for several
// others, the first delivery moves.
func redirect(ctx context.Context, tx *sql.Tx, client, endpoint string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE webhook_deliveries SET endpoint_id = $1, due_at = $2, attempts = 0
		WHERE id IN (
			SELECT MIN(d.id) FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
			WHERE e.client_id = $3 AND e.id <> $1 AND d.state = 'pending' AND NOT EXISTS (
				SELECT 1 FROM webhook_deliveries h WHERE h.event_id = d.event_id AND h.endpoint_id = $1)
			GROUP BY d.event_id)`,
		endpoint, now.UnixMicro(), client)
	return err
}

// disable turns an endpoint off. What is on its way to it rests until somebody
// turns it on again.
func disable(ctx context.Context, tx *sql.Tx, endpoint, reason string, now time.Time) error {
	_, err := tx.ExecContext(ctx,
		`UPDATE webhook_endpoints SET disabled_at = $1, disabled_reason = $2, version = version + 1, updated_at = $1
		WHERE id = $3 AND disabled_at IS NULL`,
		now.UnixMicro(), reason, endpoint)
	return err
}
