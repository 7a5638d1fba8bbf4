package tollgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/outbound"
)

// Assertion is what the edge signs for services about callers whose tokens they cannot
// check themselves.
type Assertion struct {
	// Issuer is the name that the edge signs with: a URL that no authorization server has.
	Issuer string `json:"issuer"`
	// KeyFiles hold a private key each, in PEM or as a JSON Web Key. The first one signs,
	// all are published. None: a key is made, and lasts as long as the process.
	KeyFiles []string `json:"key_files,omitempty"`

	at caddyfile.Token // where a Caddyfile begins to speak of it
}

// parseAssertion reads a block of issuer and key_file.
func (a *App) parseAssertion(d *caddyfile.Dispenser) error {
	if a.Assertion != nil {
		return d.Err("assertion is there twice")
	}
	a.Assertion = &Assertion{at: d.Token()}
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.Assertion.parseOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Assertion) parseOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "issuer":
		if s.Issuer != "" {
			return d.Err("assertion: issuer is there twice")
		}
		if !d.AllArgs(&s.Issuer) {
			return d.ArgErr()
		}
		return nil
	case "key_file":
		files := d.RemainingArgs()
		if len(files) == 0 {
			return d.ArgErr()
		}
		if _, err := loadKeys(files); err != nil {
			return d.Errf("assertion: key_file %w", err)
		}
		s.KeyFiles = append(s.KeyFiles, files...)
		return nil
	default:
		return d.Errf("assertion: unknown option %q", option)
	}
}

// loadKeys reads the private keys. An error names the file and nothing that is in it.
func loadKeys(files []string) ([]*assertion.Key, error) {
	keys := make([]*assertion.Key, 0, len(files))
	for _, file := range files {
		key, err := assertion.LoadKey(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// judgeAssertion checks the block once everything that it must not contradict is read.
func (a *App) judgeAssertion() error {
	if a.Assertion == nil {
		return nil
	}
	if err := a.checkAssertion(); err != nil {
		return ErrorAt(a.Assertion.at, "%w", err)
	}
	return nil
}

// checkAssertion keeps the edge from taking its own word for a caller's token.
func (a *App) checkAssertion() error {
	issuer := a.Assertion.Issuer
	if issuer == "" {
		return errors.New("assertion: no issuer")
	}
	if err := outbound.CheckURL(issuer); err != nil {
		return fmt.Errorf("assertion: issuer %w", err)
	}
	if a.issuer(issuer) != nil {
		return fmt.Errorf("assertion: issuer %s signs tokens that are accepted here: the edge needs a name of its own", issuer)
	}
	return nil
}

// signers keeps assertions, and a key that is in no file, over a reload.
var signers = caddy.NewUsagePool()

// signerID is what a signer is known by: its name, and the ids of its keys if they are in files.
type signerID struct{ issuer, keys string }

type signer struct{ *assertion.Signer }

// Destruct has nothing to close.
func (signer) Destruct() error { return nil }

// provisionAssertion takes the signer from the pool, or makes it. The files are read at
// each reload: a rotation needs no more than that.
func (a *App) provisionAssertion() error {
	if a.Assertion == nil {
		return nil
	}
	if err := a.checkAssertion(); err != nil {
		return err
	}
	files := a.Assertion.KeyFiles
	if a.world != nil {
		files = nil
	}
	keys, err := loadKeys(files)
	if err != nil {
		return fmt.Errorf("assertion: key_file %w", err)
	}
	id := signerID{issuer: a.Assertion.Issuer}
	for _, key := range keys {
		id.keys += key.ID() + " "
	}
	key := a.own(id)
	pooled, _, err := signers.LoadOrNew(key, func() (caddy.Destructor, error) { return newSigner(id.issuer, keys, a.clock()) })
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	a.releases = append(a.releases, func() { a.release(signers, key) })
	a.assertions = pooled.(signer).Signer
	return nil
}

func newSigner(issuer string, keys []*assertion.Key, now func() time.Time) (caddy.Destructor, error) {
	if len(keys) == 0 {
		key, err := assertion.Generate()
		if err != nil {
			return nil, err
		}
		keys = []*assertion.Key{key}
	}
	s, err := assertion.New(assertion.Config{Issuer: issuer, Keys: keys, Now: now})
	return signer{s}, err
}

var errNoAssertion = errors.New("no assertion is configured in the tollgate global option")

// CheckAudience says why no assertion can be for a service of this name. The edge's own
// names are none: what is for a service must be of no use at the front door.
func (a *App) CheckAudience(audience string) error {
	if a.Assertion == nil {
		return errNoAssertion
	}
	if audience == "" || strings.ContainsAny(audience, " \t\n{}") {
		return fmt.Errorf("%q is no name of a service", audience)
	}
	for _, issuer := range a.Issuers {
		if slices.Contains(issuer.Audiences, audience) {
			return fmt.Errorf("%q is an audience of issuer %s: a service needs a name of its own", audience, issuer.URL)
		}
	}
	return nil
}

// Assertions gives what signs for a service of this name.
func (a *App) Assertions(audience string) (*assertion.Audience, error) {
	if err := a.CheckAudience(audience); err != nil {
		return nil, err
	}
	return a.assertions.Audience(audience), nil
}

// AssertionKeys gives the public keys of the assertions as a JWK Set.
func (a *App) AssertionKeys() ([]byte, error) {
	if a.assertions == nil {
		return nil, errNoAssertion
	}
	return a.assertions.JWKS(), nil
}
