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
// client's only one: others are disabled, and the one with this URL keeps what is
// on its way to it and gets a new secret.
func AddEndpoint(ctx context.Context, db *database.DB, v *vault.Vault, client, url string, replace bool, now time.Time) (Endpoint, error) {
	if err := webhook.CheckURL(url); err != nil {
		return Endpoint{}, fmt.Errorf("the endpoint's URL is refused: %w", err)
	}
	secret := webhook.NewSecret()
	endpoint := Endpoint{Client: client, URL: url, Secret: webhook.FormatSecret(secret)}
	err := db.InTx(ctx, func(tx *sql.Tx) error {
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
			INSERT INTO webhook_endpoints (id, client_id, url, secret, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (client_id, url) DO UPDATE
			SET secret = excluded.secret, disabled_at = NULL, disabled_reason = '', paused_until = 0`,
			id, client, url, v.Seal(id, secret), now.UnixMicro())
		return err
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("adding an endpoint: %w", err)
	}
	return endpoint, nil
}

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
		`UPDATE webhook_endpoints SET disabled_at = $1, disabled_reason = 'replaced'
		WHERE client_id = $2 AND url <> $3 AND disabled_at IS NULL`, now.UnixMicro(), client, url)
	return err
}

// disable turns an endpoint off. What is on its way to it rests until somebody
// turns it on again.
func disable(ctx context.Context, tx *sql.Tx, endpoint, reason string, now time.Time) error {
	_, err := tx.ExecContext(ctx,
		`UPDATE webhook_endpoints SET disabled_at = $1, disabled_reason = $2 WHERE id = $3`,
		now.UnixMicro(), reason, endpoint)
	return err
}
