package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// Registry is the server's state as the operator's commands use it.
type Registry struct {
	db    *database.DB
	store *store.Store
	vault *vault.Vault
	now   func() time.Time
}

// OpenRegistry opens the database, brings it up to date, and loads the master
// key. A new database gets a new one, if its file is missing, and a signing key.
func OpenRegistry(ctx context.Context, dsn, secretFile string) (*Registry, error) {
	return openRegistry(ctx, Config{
		Database: dsn, SecretFile: secretFile, Now: time.Now, AccessTokenLifetime: DefaultAccessTokenLifetime,
	})
}

func openRegistry(ctx context.Context, cfg Config) (*Registry, error) {
	db, err := database.Open(ctx, cfg.Database, "auth")
	if err != nil {
		return nil, err
	}
	r, err := newRegistry(ctx, db, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return r, nil
}

func newRegistry(ctx context.Context, db *database.DB, cfg Config) (*Registry, error) {
	if err := store.Migrate(ctx, db); err != nil {
		return nil, err
	}
	v, err := loadVault(ctx, db, cfg.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret-file: %w", err)
	}
	r := &Registry{db: db, store: store.New(db, v, storeLifetimes(cfg.AccessTokenLifetime), cfg.Now), vault: v, now: cfg.Now}
	// Opens the signing keys, or makes the first. From then on the database takes
	// this master key only: with another one, a client that is registered here
	// could never authenticate.
	if err := ensureKey(ctx, r.store, r.now()); err != nil {
		return nil, err
	}
	return r, nil
}

// loadVault makes a master key for a new database only: for one with signing keys
// it would be the wrong one, and hide that the right one is missing.
func loadVault(ctx context.Context, db *database.DB, path string) (*vault.Vault, error) {
	used, err := store.HasSigningKeys(ctx, db)
	if err != nil {
		return nil, err
	}
	if used {
		return vault.Load(path)
	}
	return vault.LoadOrMake(path)
}

// Close closes the database.
func (r *Registry) Close() error { return r.db.Close() }

// AddClient registers a client and gives what its developer needs, once.
func (r *Registry) AddClient(ctx context.Context, reg Registration) (Registered, error) {
	if err := reg.check(); err != nil {
		return Registered{}, err
	}
	hash := func(secret string) []byte { return r.vault.Hash(vault.ClientSecret, secret) }
	client, shown, err := reg.client(hash, r.now())
	if err != nil {
		return Registered{}, err
	}
	err = r.store.SaveClient(ctx, client, reg.replacement())
	if errors.Is(err, store.ErrOtherKind) {
		return Registered{}, fmt.Errorf("%s: %w: to make it %s, say --change-kind as well", reg.ID, err, reg.Kind)
	}
	if err != nil {
		return Registered{}, fmt.Errorf("%s: %w", reg.ID, err)
	}
	return shown, nil
}

// Clients lists the registered clients, without what is secret.
func (r *Registry) Clients(ctx context.Context) ([]Registered, error) {
	clients, err := r.store.Clients(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Registered, len(clients))
	for i, c := range clients {
		list[i] = registeredOf(c)
	}
	return list, nil
}

// Revoked is a grant that has ended for good.
type Revoked struct {
	GrantID string `json:"grant_id"`
	Revoked bool   `json:"revoked"`
}

// RevokeGrant ends a grant and all that could come of it. A server that runs tells the edges.
func (r *Registry) RevokeGrant(ctx context.Context, id string) (Revoked, error) {
	if id == "" {
		return Revoked{}, errors.New("id: missing: it is the grant_id of the grant's tokens")
	}
	err := r.store.RevokeGrant(ctx, id)
	if errors.Is(err, goidc.ErrNotFound) {
		return Revoked{}, fmt.Errorf("id: there is no grant %q", id)
	}
	return Revoked{GrantID: id, Revoked: err == nil}, err
}

// Rotation is a new signing key.
type Rotation struct {
	KeyID      string    `json:"kid"`
	ActiveFrom time.Time `json:"active_from"`
}

// RotateKeys publishes a new signing key at once, which begins to sign after the
// delay; the key before it stays published until what it signed has expired.
func (r *Registry) RotateKeys(ctx context.Context, delay time.Duration) (Rotation, error) {
	if delay < 0 {
		return Rotation{}, errors.New("activate-in: must not be negative")
	}
	key, err := addKey(ctx, r.store, r.now().Add(delay))
	return Rotation{KeyID: key.ID, ActiveFrom: key.ActiveFrom.UTC()}, err
}
