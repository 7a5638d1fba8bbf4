package tollgate

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

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
	// JWKSURI is where the keys are; empty: the issuer's metadata says; "off": it has
	// none, and issues no JWTs.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// JWKSFile is a file with the keys, for those who want no network. It is read when the
	// configuration is loaded.
	JWKSFile string `json:"jwks_file,omitempty"`
	// Leeway is granted on exp for clocks that disagree.
	Leeway caddy.Duration `json:"leeway,omitempty"`
	// Introspection is how it is asked about tokens that are not JWTs; nil: they are refused.
	Introspection *Introspection `json:"introspection,omitempty"`
	// Profile that its tokens are held to, in every API.
	Profile Profile `json:"profile,omitempty"`

	keys    token.KeySource // nil: it has none
	fetched *jwks.Set       // the same, if they are fetched
	digest  string          // of the keys in JWKSFile: the name of a file does not say what is in it

	profileAt caddyfile.Token // where the profile is in the Caddyfile
	keysAt    caddyfile.Token // where jwks_file is
}

// jwksOff is what an operator writes for an issuer that signs no tokens.
const jwksOff = "off"

// signs says whether the issuer's tokens can be JWTs.
func (i *Issuer) signs() bool { return i.JWKSURI != jwksOff }

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
	if err := i.Profile.Check(); err != nil {
		return err
	}
	if i.Introspection != nil {
		if err := i.Introspection.check(i.URL); err != nil {
			return err
		}
	}
	if !i.signs() {
		return i.checkKeyless()
	}
	keys, err := i.checkKeys()
	if err != nil {
		return err
	}
	_, err = token.NewVerifier(token.Config{Issuers: []token.Issuer{i.settings(keys)}})
	return err
}

// checkFiles looks into the files that a Caddyfile names, so that what is wrong with one
// is said with its line there.
func (i *Issuer) checkFiles() error {
	if i.JWKSFile != "" {
		if err := i.readKeys(); err != nil {
			return ErrorAt(i.keysAt, "issuer %s: %w", i.URL, err)
		}
	}
	if i.Introspection != nil {
		if err := i.Introspection.checkFile(i.URL); err != nil {
			return ErrorAt(i.Introspection.credentialsAt, "issuer %s: %w", i.URL, err)
		}
	}
	return nil
}

// checkKeyless holds an issuer to having nothing that needs keys.
func (i *Issuer) checkKeyless() error {
	switch {
	case i.Introspection == nil:
		return errors.New("jwks_uri off, and no introspection: there is nobody to tell whether a token is good")
	case i.Introspection.Signed:
		return errors.New("jwks_uri off, and introspection signed: there are no keys to verify an answer with")
	case i.JWKSFile != "" || len(i.Algorithms) > 0:
		return errors.New("jwks_uri off, and jwks_file or algorithms all the same")
	default:
		settings := i.settings(nil)
		return settings.Check()
	}
}

// checkKeys gives a source that stands for the keys. Nothing is read or fetched.
func (i *Issuer) checkKeys() (token.KeySource, error) {
	if i.JWKSFile == "" {
		return i.newKeys()
	}
	if i.JWKSURI != "" {
		return nil, errors.New("jwks_uri and jwks_file both")
	}
	return new(jwks.Fixed), nil
}

func (i *Issuer) settings(keys token.KeySource) token.Issuer {
	return token.Issuer{
		URL: i.URL, Audiences: i.Audiences, Algorithms: i.Algorithms, Leeway: time.Duration(i.Leeway), Keys: keys,
		SenderConstrained: i.Profile == FAPI2,
	}
}

// provisionIssuers gets the keys, from the pool if they are fetched.
func (a *App) provisionIssuers() error {
	for n, issuer := range a.Issuers {
		if err := issuer.check(); err != nil {
			return fmt.Errorf("issuer %s: %w", issuer.URL, err)
		}
		if a.issuer(issuer.URL) != a.Issuers[n] {
			return fmt.Errorf("issuer %s is there twice", issuer.URL)
		}
		if err := a.loadKeys(issuer); err != nil {
			return fmt.Errorf("issuer %s: %w", issuer.URL, err)
		}
	}
	return a.checkProfile(a.Issuers)
}

func (a *App) loadKeys(i *Issuer) error {
	if a.world != nil && i.signs() {
		i.keys = a.world.Keys(i.URL)
		return nil
	}
	if i.JWKSFile != "" {
		return i.readKeys()
	}
	if !i.signs() {
		return nil
	}
	pooled, _, err := keySets.LoadOrNew(i.source(), func() (caddy.Destructor, error) {
		keys, err := i.newKeys()
		return keySet{keys}, err
	})
	if err != nil {
		return err
	}
	a.releases = append(a.releases, func() { a.release(keySets, i.source()) })
	i.fetched = pooled.(keySet).Set
	i.keys = i.fetched
	return nil
}

// readKeys reads the keys from the file.
func (i *Issuer) readKeys() error {
	document, err := os.ReadFile(i.JWKSFile)
	if err != nil {
		return fmt.Errorf("jwks_file: %w", err)
	}
	keys, err := jwks.Static(document)
	if err != nil {
		return fmt.Errorf("jwks_file %s: %w", i.JWKSFile, err)
	}
	i.keys, i.digest = keys, fmt.Sprintf("%x", sha256.Sum256(document))
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
	sum := string(rules) + source
	for _, issuer := range issuers {
		sum += " " + issuer.digest
	}
	key := a.own(sum)
	pooled, _, err := verifiers.LoadOrNew(key, func() (caddy.Destructor, error) {
		config := token.Config{Revocations: revoked, Now: a.clock()}
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
