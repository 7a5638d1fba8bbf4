package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// maxLeeway bounds how far an issuer's clock may be trusted over our own.
const maxLeeway = time.Minute

// futureSkew is how far "iat" and "nbf" may lie ahead whatever the leeway:
// FAPI 2.0 section 5.3.2.1 has resource servers accept ten seconds.
const futureSkew = 10 * time.Second

// KeySource holds the current keys of one issuer.
type KeySource interface {
	// Key gives the key of this id. It may wait, with a bound, on a fetch that is
	// under way. Its errors are ErrUnknownKey and ErrKeysUnavailable, maybe wrapped.
	Key(ctx context.Context, id string) (*jose.Key, error)
	// Holds says whether the key is still the issuer's. It neither waits nor allocates.
	Holds(key *jose.Key) bool
}

// Issuer is one who may sign tokens, and what is expected of them.
type Issuer struct {
	// URL is compared with "iss" byte by byte.
	URL string
	// Audiences are our names: a token has to be for one of them.
	Audiences []string
	// Algorithms that this issuer may use; ES256, PS256 and EdDSA when empty.
	Algorithms []string
	Keys       KeySource
	// Leeway is granted to "exp" for clocks that disagree; a minute at most.
	Leeway time.Duration
	// SenderConstrained refuses tokens that whoever has them can use, as FAPI 2.0 section
	// 5.3.3 wants it.
	SenderConstrained bool
}

// issuer is an Issuer that has been checked.
type issuer struct {
	Issuer
	signatures *Signatures
}

func newIssuer(i Issuer) (*issuer, error) {
	if i.Keys == nil {
		return nil, errors.New("an issuer needs keys")
	}
	if err := i.Check(); err != nil {
		return nil, err
	}
	signatures, err := NewSignatures(i.Keys, i.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("issuer %s: %w", i.URL, err)
	}
	return &issuer{Issuer: i, signatures: signatures}, nil
}

// Check says what is wrong with the settings, keys and algorithms aside.
func (i *Issuer) Check() error {
	if i.URL == "" || len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return errors.New("an issuer needs a URL and audiences")
	}
	if i.Leeway < 0 || i.Leeway > maxLeeway {
		return fmt.Errorf("issuer %s: leeway is not within 0 and %v", i.URL, maxLeeway)
	}
	return nil
}

// accept judges an authentic token: is it for us, and for now?
func (i *Issuer) accept(t *Token, now time.Time) error {
	if !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(i.Audiences, a) }) {
		return refuse(WrongAudience, nil)
	}
	if !now.Before(t.ExpiresAt.Add(i.Leeway)) {
		return refuse(Expired, nil)
	}
	if latest := now.Add(max(i.Leeway, futureSkew)); t.IssuedAt.After(latest) || t.notBefore.After(latest) {
		return refuse(NotYetValid, nil)
	}
	if i.SenderConstrained && !t.Confirmation.Bound() {
		return refuse(NotSenderConstrained, nil)
	}
	return nil
}
