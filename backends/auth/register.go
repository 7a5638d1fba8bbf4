package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/internal/cardnumber"
	"github.com/open-tollgate/tollgate/internal/jose"
)

// Registration is what an operator says about a client.
type Registration struct {
	ID           string
	Name         string
	Kind         string // "standard" or "fapi2"
	RedirectURIs []string
	Scopes       []string
	GrantTypes   []string
	JWKS         []byte // fapi2: its public keys; or
	GenerateKey  bool   // fapi2: a key pair is made here
	Replace      bool   // a client of the same id and kind makes way
	ChangeKind   bool   // and one of the other kind as well
}

// Registered is what the operator hands to the client's developer. The secret or
// private key is shown this once: only a hash or the public part is kept.
type Registered struct {
	ClientID     string          `json:"client_id"`
	Name         string          `json:"client_name"`
	Kind         string          `json:"kind"`
	AuthMethod   string          `json:"auth_method"`
	ClientSecret string          `json:"client_secret,omitempty"`
	JWK          json.RawMessage `json:"jwk,omitempty"` // private
	Scopes       []string        `json:"scopes"`
	GrantTypes   []string        `json:"grant_types"`
	RedirectURIs []string        `json:"redirect_uris"`
}

// clientID is what goes through HTTP Basic, URLs and logs unchanged.
var clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const maxClientName = 60

// check refuses what the protocol must not meet later.
func (r Registration) check() error {
	if !clientID.MatchString(r.ID) {
		return errors.New("id: up to 64 letters, digits, dots, dashes and underscores")
	}
	// A client's own token has its id as sub: it must not look like a user's, or
	// like one of the platform's services (RFC 9068 section 5).
	if _, err := uuid.Parse(r.ID); err == nil || strings.HasPrefix(strings.ToLower(r.ID), "tollgate") {
		return errors.New("id: must not be a UUID, as users' ids are, and not begin with tollgate")
	}
	if name := []rune(r.Name); len(name) == 0 || len(name) > maxClientName || strings.TrimSpace(r.Name) != r.Name ||
		slices.ContainsFunc(name, func(c rune) bool { return !unicode.IsGraphic(c) }) {
		return fmt.Errorf("name: 1 to %d characters that can be shown", maxClientName)
	}
	if cardnumber.In(r.Name) {
		return errors.New("name: must not hold a card number")
	}
	if err := r.checkGrants(); err != nil {
		return err
	}
	if err := r.checkScopes(); err != nil {
		return err
	}
	for _, uri := range r.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return fmt.Errorf("redirect-uri %q: %w", uri, err)
		}
	}
	if r.ChangeKind && !r.Replace {
		return errors.New("change-kind: goes with replace")
	}
	return r.checkKeys()
}

func (r Registration) replacement() store.Replacement {
	switch {
	case r.Replace && r.ChangeKind:
		return store.ReplaceAnyKind
	case r.Replace:
		return store.ReplaceSameKind
	}
	return store.ReplaceNothing
}

func (r Registration) has(grant goidc.GrantType) bool {
	return slices.Contains(r.GrantTypes, string(grant))
}

func (r Registration) checkGrants() error {
	known := []goidc.GrantType{goidc.GrantAuthorizationCode, goidc.GrantRefreshToken, goidc.GrantClientCredentials}
	for _, grant := range r.GrantTypes {
		if !slices.Contains(known, goidc.GrantType(grant)) {
			return fmt.Errorf("grant %q: must be authorization_code, refresh_token or client_credentials", grant)
		}
	}
	switch code := r.has(goidc.GrantAuthorizationCode); {
	case len(r.GrantTypes) == 0:
		return errors.New("grant: at least one is needed")
	case r.has(goidc.GrantRefreshToken) && !code:
		return errors.New("grant refresh_token: needs authorization_code")
	case code && len(r.RedirectURIs) == 0:
		return errors.New("grant authorization_code: needs a redirect-uri")
	case !code && len(r.RedirectURIs) > 0:
		return errors.New("redirect-uri: is for the grant authorization_code")
	}
	return nil
}

func (r Registration) checkScopes() error {
	if len(r.Scopes) == 0 {
		return errors.New("scope: at least one is needed")
	}
	for _, name := range r.Scopes {
		s, known := findScope(name)
		if !known {
			return fmt.Errorf("scope %q: not a scope that clients can have", name)
		}
		if s.internal != forServices(r.Scopes) {
			return fmt.Errorf("scope %s: a service of the platform has its scopes alone, and nobody else has them", name)
		}
		if s.internal && (len(r.GrantTypes) != 1 || r.Kind != string(store.Standard)) {
			return fmt.Errorf("scope %s: is for the kind standard and the grant client_credentials alone", name)
		}
		usable := s.user && r.has(goidc.GrantAuthorizationCode) || s.client && r.has(goidc.GrantClientCredentials)
		if !usable {
			return fmt.Errorf("scope %s: cannot be had by the client's grants", name)
		}
	}
	return nil
}

// checkRedirectURI takes what is compared exactly later: an absolute https URL
// in its canonical spelling; http on loopback alone (RFC 9700 section 2.1, RFC 8252 section 7.3).
func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("not an absolute URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("must be https (http on loopback only)")
	case u.Fragment != "" || strings.Contains(uri, "#"):
		return errors.New("must not have a fragment")
	case u.User != nil:
		return errors.New("must not have user information")
	// The origin goes into a Content-Security-Policy, which has no IPv6 addresses
	// and where the others would end the directive.
	case u.String() != uri || strings.ContainsAny(uri, " ;,'*\\[]"):
		return errors.New("not in its canonical spelling")
	}
	return nil
}

func (r Registration) checkKeys() error {
	switch store.Kind(r.Kind) {
	case store.Standard:
		if len(r.JWKS) > 0 || r.GenerateKey {
			return errors.New("kind standard: has a secret, no keys")
		}
		return nil
	case store.FAPI2:
		if (len(r.JWKS) > 0) == r.GenerateKey {
			return errors.New("kind fapi2: needs either jwks or generate-key")
		}
		if r.GenerateKey {
			return nil
		}
		return checkJWKS(r.JWKS)
	}
	return errors.New("kind: must be standard or fapi2")
}

const maxClientKeys = 10

// checkJWKS takes public signature keys, each with an id of its own. The library
// would skip in silence what it cannot read.
func checkJWKS(raw []byte) error {
	set, err := jose.ParseObject(raw)
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	keys, _ := set["keys"].([]any)
	if len(keys) == 0 || len(keys) > maxClientKeys {
		return fmt.Errorf("jwks: must have 1 to %d keys", maxClientKeys)
	}
	seen := make(map[string]bool)
	for _, k := range keys {
		members, _ := k.(map[string]any)
		key, err := jose.ParseKey(members)
		if err != nil {
			return fmt.Errorf("jwks: %w", err)
		}
		if key.ID == "" || seen[key.ID] {
			return errors.New("jwks: each key needs a kid of its own")
		}
		seen[key.ID] = true
	}
	return nil
}

// newKeyPair makes an ES256 key: the private JWK, and the set with its public part.
func newKeyPair() (private json.RawMessage, set []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	jwk := goidc.JSONWebKey{Key: key, KeyID: uuid.NewString(), Algorithm: string(goidc.ES256), Use: string(goidc.KeyUsageSignature)}
	if private, err = json.Marshal(jwk); err != nil {
		return nil, nil, err
	}
	set, err = json.Marshal(goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{jwk.Public()}})
	return private, set, err
}

func registeredOf(c store.Client) Registered {
	r := Registered{
		ClientID: c.ID, Name: c.Name, Kind: string(c.Kind), AuthMethod: string(goidc.AuthnMethodSecretBasic),
		Scopes: notNil(c.Scopes), GrantTypes: notNil(c.GrantTypes), RedirectURIs: notNil(c.RedirectURIs),
	}
	if c.Kind == store.FAPI2 {
		r.AuthMethod = string(goidc.AuthnMethodPrivateKeyJWT)
	}
	return r
}

func notNil(list []string) []string { return append([]string{}, list...) }

// client makes the row, and what is shown once.
func (r Registration) client(hash func(secret string) []byte, now time.Time) (store.Client, Registered, error) {
	c := store.Client{
		ID: r.ID, Name: r.Name, Kind: store.Kind(r.Kind), RedirectURIs: r.RedirectURIs,
		Scopes: r.Scopes, GrantTypes: r.GrantTypes, JWKS: string(r.JWKS), CreatedAt: now,
	}
	shown := registeredOf(c)
	switch {
	case c.Kind == store.Standard:
		shown.ClientSecret = newSecret()
		c.SecretHash = hash(shown.ClientSecret)
	case r.GenerateKey:
		private, set, err := newKeyPair()
		if err != nil {
			return c, shown, err
		}
		shown.JWK, c.JWKS = private, string(set)
	}
	return c, shown, nil
}

// newSecret has 260 bits in letters and digits, which no encoding of HTTP Basic changes.
func newSecret() string { return rand.Text() + rand.Text() }
