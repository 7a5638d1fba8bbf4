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
}

// issuer is an Issuer that has been checked.
type issuer struct {
	Issuer
	algorithms []jose.Algorithm
	// rsa is the one algorithm of RSA keys that do not name theirs.
	rsa jose.Algorithm
}

func newIssuer(i Issuer) (*issuer, error) {
	if i.URL == "" || i.Keys == nil || len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return nil, errors.New("an issuer needs a URL, keys and audiences")
	}
	if i.Leeway < 0 || i.Leeway > maxLeeway {
		return nil, fmt.Errorf("issuer %s: leeway is not within 0 and %v", i.URL, maxLeeway)
	}
	checked := &issuer{Issuer: i, algorithms: []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA}}
	if len(i.Algorithms) > 0 {
		checked.algorithms = nil
	}
	for _, name := range i.Algorithms {
		a := jose.Algorithm(name)
		if !a.Supported() {
			return nil, fmt.Errorf("issuer %s: algorithm %q is not supported", i.URL, name)
		}
		checked.algorithms = append(checked.algorithms, a)
	}
	checked.rsa = jose.RS256
	if slices.Contains(checked.algorithms, jose.PS256) {
		checked.rsa = jose.PS256
	}
	return checked, nil
}

// algorithm gives the one algorithm that the key is used with (RFC 8725 section 3.1).
func (i *issuer) algorithm(key *jose.Key) jose.Algorithm {
	if key.Algorithm != "" {
		return key.Algorithm
	}
	return i.rsa
}
