package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
)

// managers is the store as the library sees it.
type managers struct {
	*store.Store
	vault *vault.Vault
}

var _ goidc.DCRManager = managers{}

// GrantByRefreshToken finds nothing at introspection: the library would call a
// refresh token an active bearer token there.
func (m managers) GrantByRefreshToken(ctx context.Context, token string) (*goidc.Grant, error) {
	if callOf(ctx).path == introspectPath {
		return nil, goidc.ErrNotFound
	}
	return m.Store.GrantByRefreshToken(ctx, token)
}

// SaveGrant keeps a code that the store alone has failed: the library revokes its
// grant on any error, and the client, which was told to try again, would find it
// spent. A code that was consumed is revoked in any case.
func (m managers) SaveGrant(ctx context.Context, g *goidc.Grant) error {
	c := callOf(ctx)
	if g.RevokedAt != 0 && g.AuthCode != "" && c.storeFailed() {
		return m.RevokeConsumed(ctx, g)
	}
	return c.noteStore(ctx, m.Store.SaveGrant(ctx, g))
}

// Client gives a registered client. All that depends on the kind is decided
// here, from the registration, and nothing of it can be asked for in a request.
func (m managers) Client(ctx context.Context, id string) (*goidc.Client, error) {
	c, err := m.Store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	client := &goidc.Client{ID: c.ID, ClientMeta: goidc.ClientMeta{
		Name:          c.Name,
		RedirectURIs:  c.RedirectURIs,
		ScopeIDs:      strings.Join(c.Scopes, " "),
		IDTokenSigAlg: goidc.ES256,
		PARIsRequired: true,
		// Not nil, which would allow every type.
		AuthDetailTypes: []goidc.AuthDetailType{},
	}}
	for _, grant := range c.GrantTypes {
		client.GrantTypes = append(client.GrantTypes, goidc.GrantType(grant))
	}
	if slices.Contains(c.GrantTypes, string(goidc.GrantAuthorizationCode)) {
		client.ResponseTypes = []goidc.ResponseType{goidc.ResponseTypeCode}
	}
	if slices.Contains(c.Scopes, scopeConfirm) {
		client.AuthDetailTypes = append(client.AuthDetailTypes, paymentType)
	}
	switch c.Kind {
	case store.Standard:
		client.TokenAuthnMethod = goidc.AuthnMethodSecretBasic
		client.Secret = base64.RawURLEncoding.EncodeToString(c.SecretHash)
	case store.FAPI2:
		client.TokenAuthnMethod = goidc.AuthnMethodPrivateKeyJWT
		client.DPoPTokenBindingIsRequired = true
		client.JWKS = &goidc.JSONWebKeySet{}
		if err := json.Unmarshal([]byte(c.JWKS), client.JWKS); err != nil {
			return nil, fmt.Errorf("the keys of client %s: %w", c.ID, err)
		}
	default:
		return nil, fmt.Errorf("client %s is of an unknown kind", c.ID)
	}
	return client, nil
}

// verifySecret compares the hash of what is presented with the registered one.
func (m managers) verifySecret(_ context.Context, stored, presented string) error {
	hash := base64.RawURLEncoding.EncodeToString(m.vault.Hash(vault.ClientSecret, presented))
	if stored == "" || subtle.ConstantTimeCompare([]byte(stored), []byte(hash)) != 1 {
		return errors.New("wrong client secret")
	}
	return nil
}

// consumeJTI keeps assertions and proofs, and the clients, apart.
func (m managers) consumeJTI(ctx context.Context, jti string) error {
	c := callOf(ctx)
	return c.noteStore(ctx, m.ConsumeJTI(ctx, c.nextJTI(), c.clientID, jti, jtiKept))
}

var errNoRegistration = errors.New("clients are registered by the operator's command only")

// SaveClient is for dynamic registration, which the library brings along with
// clients in a database. It is not routed, and it is closed.
func (managers) SaveClient(context.Context, *goidc.Client) error { return errNoRegistration }

// DeleteClient is closed like SaveClient.
func (managers) DeleteClient(context.Context, string) error { return errNoRegistration }

func refuseRegistration(context.Context, string) error { return errNoRegistration }
