package tollgate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Issuer is an authorization server whose tokens are accepted.
type Issuer struct {
	// URL is the issuer's identifier, compared byte by byte with the token's iss.
	URL string `json:"url"`
	// Audiences are names of these APIs; a token has to be meant for one of them.
	Audiences []string `json:"audiences"`
	// Algorithms the issuer may sign with; empty: ES256, PS256 and EdDSA.
	Algorithms []string `json:"algorithms,omitempty"`
	// JWKSURI is where the keys are; empty: the issuer's metadata says.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// Leeway is granted on exp for clocks that disagree.
	Leeway caddy.Duration `json:"leeway,omitempty"`

	keys *jwks.Set
}

// keySets keeps each issuer's keys over a reload, by where they come from.
var keySets = caddy.NewUsagePool()

type keySource struct{ issuer, uri string }

// keySet is a pooled key set. It is fetched from its first Start to its Destruct.
type keySet struct{ *jwks.Set }

// Destruct stops the fetching.
func (s keySet) Destruct() error {
	s.Close()
	return nil
}

func (i *Issuer) source() keySource { return keySource{i.URL, i.JWKSURI} }

// newKeys makes the key set. It does not dial.
func (i *Issuer) newKeys() (*jwks.Set, error) {
	return jwks.New(jwks.Config{Issuer: i.URL, JWKSURL: i.JWKSURI, Logger: sharedLogger("tollgate.keys")})
}

// check says what is wrong with the settings.
func (i *Issuer) check() error {
	if len(i.Audiences) == 0 {
		return errors.New("no audience: a token for any other service would be accepted")
	}
	keys, err := i.newKeys()
	if err != nil {
		return err
	}
	_, err = token.NewVerifier(token.Config{Issuers: []token.Issuer{i.settings(keys)}})
	return err
}

func (i *Issuer) settings(keys token.KeySource) token.Issuer {
	return token.Issuer{
		URL: i.URL, Audiences: i.Audiences, Algorithms: i.Algorithms, Leeway: time.Duration(i.Leeway), Keys: keys,
	}
}

// provisionIssuers takes the key sets from the pool.
func (a *App) provisionIssuers() error {
	for n, issuer := range a.Issuers {
		if err := issuer.check(); err != nil {
			return fmt.Errorf("issuer %s: %w", issuer.URL, err)
		}
		if a.issuer(issuer.URL) != a.Issuers[n] {
			return fmt.Errorf("issuer %s is there twice", issuer.URL)
		}
		pooled, _, err := keySets.LoadOrNew(issuer.source(), func() (caddy.Destructor, error) {
			keys, err := issuer.newKeys()
			return keySet{keys}, err
		})
		if err != nil {
			return err
		}
		a.releases = append(a.releases, func() { a.release(keySets, issuer.source()) })
		issuer.keys = pooled.(keySet).Set
	}
	return nil
}

// issuer gives the issuer of this URL, or nil.
func (a *App) issuer(url string) *Issuer {
	for _, issuer := range a.Issuers {
		if issuer.URL == url {
			return issuer
		}
	}
	return nil
}

// verifiers keeps the memory of verified tokens over a reload. The key is everything
// that decides whether a token is accepted, so a configuration that allows less
// starts with an empty memory and refuses from its first request on.
var verifiers = caddy.NewUsagePool()

type verifier struct{ *token.Verifier }

// Destruct has nothing to close.
func (verifier) Destruct() error { return nil }

// loadVerifier gives a verifier of these issuers' tokens.
func (a *App) loadVerifier(issuers []*Issuer) (*token.Verifier, error) {
	rules, err := json.Marshal(issuers)
	if err != nil {
		return nil, err
	}
	revoked, source := a.revoked()
	key := string(rules) + source
	pooled, _, err := verifiers.LoadOrNew(key, func() (caddy.Destructor, error) {
		config := token.Config{Revocations: revoked}
		for _, issuer := range issuers {
			config.Issuers = append(config.Issuers, issuer.settings(issuer.keys))
		}
		v, err := token.NewVerifier(config)
		return verifier{v}, err
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, func() { a.release(verifiers, key) })
	return pooled.(verifier).Verifier, nil
}
