package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

const (
	// keyRetention is how long a key stays published after its successor began to
	// sign: longer than anything that it signed is valid. It goes by the longest
	// lifetime that there can be, because the key may have signed while another one
	// was set, or in another instance. The rest is for clocks that disagree.
	keyRetention = maxAccessTokenLifetime + 5*time.Minute
	// keysRemembered is how long a key set is used before it is read again, so that
	// a rotation by the command shows soon and reading is off the request path.
	keysRemembered = 5 * time.Second
	// RotationDelay is how long a new key is published before it signs: longer
	// than verifiers keep the key set (jwksMaxAge).
	RotationDelay = 15 * time.Minute
	jwksMaxAge    = 5 * time.Minute
)

// keyring is the issuer's signing keys.
type keyring struct {
	store *store.Store
	now   func() time.Time

	mu     sync.Mutex
	keys   []store.SigningKey
	readAt time.Time
}

// published gives the keys in the library's order: the first one signs, all are published.
func (k *keyring) published(ctx context.Context) ([]store.SigningKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.keys != nil && now.Sub(k.readAt) < keysRemembered && now.Sub(k.readAt) >= 0 {
		return k.keys, nil
	}
	all, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := inOrder(all, now)
	if len(keys) == 0 {
		return nil, errors.New("there is no active signing key")
	}
	k.keys, k.readAt = keys, now
	return keys, nil
}

// inOrder takes all keys, the newest first, and gives the one that signs, then
// those that will, then those that have not retired yet.
func inOrder(all []store.SigningKey, now time.Time) []store.SigningKey {
	var coming, active []store.SigningKey
	for _, key := range all {
		if key.ActiveFrom.After(now) {
			coming = append(coming, key)
			continue
		}
		if n := len(active); n > 0 && retired(active[n-1], now) {
			break
		}
		active = append(active, key)
	}
	if len(active) == 0 {
		return nil
	}
	return slices.Concat(active[:1], coming, active[1:])
}

// retired tells whether the key before this one has been followed for long enough.
func retired(successor store.SigningKey, now time.Time) bool {
	return now.Sub(successor.ActiveFrom) >= keyRetention
}

// jwks is the library's view of the keys. Introspection wants "use".
func (k *keyring) jwks(ctx context.Context) (goidc.JSONWebKeySet, error) {
	keys, err := k.published(ctx)
	if err != nil {
		return goidc.JSONWebKeySet{}, err
	}
	set := goidc.JSONWebKeySet{Keys: make([]goidc.JSONWebKey, len(keys))}
	for i, key := range keys {
		set.Keys[i] = goidc.JSONWebKey{Key: key.Private, KeyID: key.ID, Algorithm: string(goidc.ES256), Use: string(goidc.KeyUsageSignature)}
	}
	return set, nil
}

// ensureKey makes the first key. Two instances that start together may make one
// each: both are published, and both instances sign with the same of the two.
func ensureKey(ctx context.Context, s *store.Store, now time.Time) error {
	keys, err := s.SigningKeys(ctx)
	if err != nil || len(keys) > 0 {
		return err
	}
	_, err = addKey(ctx, s, now)
	return err
}

func addKey(ctx context.Context, s *store.Store, activeFrom time.Time) (store.SigningKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return store.SigningKey{}, err
	}
	key := store.SigningKey{ID: uuid.NewString(), Private: private, ActiveFrom: activeFrom}
	return key, s.AddSigningKey(ctx, key)
}

// deleteRetired removes the keys that are no longer published.
func (k *keyring) deleteRetired(ctx context.Context) error {
	all, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	kept := inOrder(all, k.now())
	if len(kept) == 0 {
		return nil
	}
	for _, key := range all[len(kept):] { // the newest come first, and it is the oldest that retire
		if err := k.store.DeleteSigningKey(ctx, key.ID); err != nil {
			return err
		}
	}
	return nil
}
