package tollgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/revocation"
)

// Profile is a set of rules that somebody else has written and that an issuer's tokens,
// or all tokens of an API, are held to. Empty: none.
type Profile string

// FAPI2 is the FAPI 2.0 Security Profile, Final, as far as it speaks of resource
// servers (section 5.3.3) and of cryptography (section 5.4): every token is bound to its
// sender, by DPoP or a certificate; tokens are signed by PS256, ES256 or EdDSA; whether
// one is revoked is known; callers' URLs are https. The rest of it holds without a profile.
const FAPI2 Profile = "fapi2"

// ParseProfile reads: profile <name>.
func ParseProfile(d *caddyfile.Dispenser, profile *Profile) error {
	if *profile != "" {
		return d.Err("profile is there twice")
	}
	var name string
	if !d.AllArgs(&name) {
		return d.ArgErr()
	}
	if err := Profile(name).Check(); err != nil {
		return d.WrapErr(err)
	}
	*profile = Profile(name)
	return nil
}

// Check refuses a profile that is not known.
func (p Profile) Check() error {
	if p != "" && p != FAPI2 {
		return fmt.Errorf("profile %q is none that is known; there is %s", string(p), FAPI2)
	}
	return nil
}

// hold gives the issuers as an API of the profile sees them.
func (p Profile) hold(issuers []*Issuer) []*Issuer {
	if p == "" {
		return issuers
	}
	held := make([]*Issuer, len(issuers))
	for n, issuer := range issuers {
		copied := *issuer
		copied.Profile = p
		held[n] = &copied
	}
	return held
}

// checkProfile says what in the configuration contradicts the profile of one of the
// issuers.
func (a *App) checkProfile(issuers []*Issuer) error {
	for _, issuer := range issuers {
		if issuer.Profile != FAPI2 {
			continue
		}
		if err := a.contradictsFAPI2(issuer); err != nil {
			return fmt.Errorf("profile %s: %w", issuer.Profile, err)
		}
	}
	return nil
}

func (a *App) contradictsFAPI2(issuer *Issuer) error {
	weak := slices.IndexFunc(issuer.Algorithms, func(name string) bool { return jose.Algorithm(name) == jose.RS256 })
	clear := slices.IndexFunc(a.Origins, func(origin string) bool { return !strings.HasPrefix(origin, "https://") })
	switch {
	case weak >= 0:
		return fmt.Errorf("issuer %s has algorithms %s, and PS256, ES256 and EdDSA are all that is allowed", issuer.URL, issuer.Algorithms[weak])
	case len(a.Origins) == 0:
		return errors.New("no origin in the tollgate global option, and without one there is no DPoP")
	case clear >= 0:
		return fmt.Errorf("origin %s is not https", a.Origins[clear])
	case a.Revocations != nil && a.Revocations.Stale == revocation.Open:
		return errors.New("revocations stale open lets tokens pass of which nobody knows whether they are revoked")
	case issuer.signs() && !a.HasRedis():
		return fmt.Errorf("redis is off, and without it nobody knows which JWTs of issuer %s are revoked", issuer.URL)
	default:
		return nil
	}
}

// CheckProfile gives an error at the api's profile if the issuers that its access_token
// lets in contradict it.
func (b *Block) CheckProfile(a *App, issuers []*Issuer) error {
	if b.Profile == "" {
		return nil // those of issuers are checked where they are
	}
	if err := a.checkProfile(b.Profile.hold(issuers)); err != nil {
		return ErrorAt(b.ProfileAt, "api %s: %w", b.Name, err)
	}
	return nil
}
