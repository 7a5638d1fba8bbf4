// Package dpop checks DPoP proofs (RFC 9449 section 4.3) at a resource server:
// that whoever sends an access token holds the key that it is bound to, for this
// very request, and for the first time.
package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// Tolerances of "iat" when the configuration does not say. FAPI 2.0 section
// 5.3.2.1 has ten seconds ahead pass.
const (
	defaultPast   = time.Minute
	defaultFuture = 10 * time.Second
	maxTolerance  = 5 * time.Minute
	// maxID bounds a "jti".
	maxID = 256
)

// Config is what a Verifier is made of.
type Config struct {
	// Origins are the external origins at which callers reach us, such as
	// "https://api.example.com". Host and X-Forwarded-* are the caller's words and
	// have no say in it.
	Origins []string
	// Algorithms that proofs may use; ES256, PS256 and EdDSA when empty.
	Algorithms []string
	// Replay remembers proofs. Nil is for a service whose edge consumes them.
	Replay ReplayStore
	// Nonces that proofs have to bear one of. Nil: none is needed. As with Replay, a
	// service behind the edge leaves that to the edge.
	Nonces *Nonces
	// Past and Future are how old a proof may be, and how far ahead its clock;
	// a minute and ten seconds when zero.
	Past, Future time.Duration
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Verifier checks proofs. It is safe for concurrent use.
type Verifier struct {
	origins    []string
	algorithms []jose.Algorithm
	replay     ReplayStore
	nonces     *Nonces
	past       time.Duration
	future     time.Duration
	now        func() time.Time
}

// New checks the configuration and makes a Verifier of it.
func New(c Config) (*Verifier, error) {
	v := &Verifier{
		algorithms: []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA},
		replay:     c.Replay,
		nonces:     c.Nonces,
		past:       c.Past,
		future:     c.Future,
		now:        c.Now,
	}
	if v.past == 0 {
		v.past = defaultPast
	}
	if v.future == 0 {
		v.future = defaultFuture
	}
	if v.past < 0 || v.future < 0 || v.past > maxTolerance || v.future > maxTolerance {
		return nil, fmt.Errorf("dpop: a tolerance is not within 0 and %v", maxTolerance)
	}
	if v.now == nil {
		v.now = time.Now
	}
	if err := v.setAlgorithms(c.Algorithms); err != nil {
		return nil, err
	}
	return v, v.setOrigins(c.Origins)
}

func (v *Verifier) setAlgorithms(names []string) error {
	if len(names) > 0 {
		v.algorithms = nil
	}
	for _, name := range names {
		a := jose.AlgorithmOf(name)
		if !a.Supported() {
			return fmt.Errorf("dpop: algorithm %q is not supported", name)
		}
		if !slices.Contains(v.algorithms, a) { // EdDSA has two names
			v.algorithms = append(v.algorithms, a)
		}
	}
	return nil
}

func (v *Verifier) setOrigins(origins []string) error {
	if len(origins) == 0 {
		return errors.New("dpop: no origin")
	}
	for _, raw := range origins {
		origin, path, err := splitURI(raw)
		if err != nil || path != "/" {
			return fmt.Errorf("dpop: %q is not an origin", raw)
		}
		v.origins = append(v.origins, origin)
	}
	return nil
}

// Algorithms gives the accepted algorithms as a challenge names them.
func (v *Verifier) Algorithms() string {
	names := make([]string, len(v.algorithms))
	for i, a := range v.algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, " ")
}

// Nonce is what the next proof has to bear, for a DPoP-Nonce field; empty when no
// nonce is needed.
func (v *Verifier) Nonce() string {
	if v.nonces == nil {
		return ""
	}
	return v.nonces.Current()
}

// Verify checks that the request carries one good, fresh proof for accessToken by
// the key whose thumbprint is jkt. Any other outcome is an *Error.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, accessToken, jkt string) error {
	_, err := v.Check(ctx, r, accessToken, jkt)
	return err
}

// Check does what Verify does, and gives the nonce to hand out with the answer; empty
// while that of the proof is good for a whole period more.
func (v *Verifier) Check(ctx context.Context, r *http.Request, accessToken, jkt string) (renewal string, err error) {
	fields := r.Header.Values("DPoP")
	if len(fields) == 0 {
		return "", refuse(Missing, nil)
	}
	if len(fields) > 1 {
		return "", refuse(Malformed, errors.New("more than one DPoP field"))
	}
	key, p, err := v.read(fields[0])
	if err != nil {
		return "", err
	}
	target, err := v.match(p, r, accessToken)
	if err != nil {
		return "", err
	}
	if jkt == "" || key.Thumbprint != jkt {
		return "", refuse(WrongKey, nil)
	}
	if v.nonces != nil {
		if renewal, err = v.nonces.check(p.nonce); err != nil {
			return "", err
		}
	}
	return renewal, v.consume(ctx, jkt, target, p.id)
}

// read parses the proof and verifies that its own key signed it.
func (v *Verifier) read(raw string) (*jose.Key, proof, error) {
	m, err := jose.ParseCompact(raw)
	if err != nil {
		return nil, proof{}, refuse(Malformed, err)
	}
	if m.Header.Type != "dpop+jwt" {
		return nil, proof{}, refuse(WrongType, nil)
	}
	if !slices.Contains(v.algorithms, m.Header.Algorithm) {
		return nil, proof{}, refuse(WrongAlgorithm, nil)
	}
	if m.Header.Key == nil {
		return nil, proof{}, refuse(BadKey, errors.New("no jwk"))
	}
	key, err := jose.ParseKey(m.Header.Key)
	if err != nil {
		return nil, proof{}, refuse(BadKey, err)
	}
	if err := m.Verify(key, m.Header.Algorithm); err != nil {
		return nil, proof{}, refuse(BadSignature, nil)
	}
	p, err := parseProof(m.Payload)
	if err != nil {
		return nil, proof{}, refuse(Malformed, err)
	}
	return key, p, nil
}

// match judges an authentic proof: is it for this request, now? It gives the
// request's URI as the proof should name it.
func (v *Verifier) match(p proof, r *http.Request, accessToken string) (target string, err error) {
	if p.method != r.Method {
		return "", refuse(WrongMethod, nil)
	}
	origin, path, err := splitURI(p.uri)
	if err != nil || path != pathOf(r.URL) || !slices.Contains(v.origins, origin) {
		return "", refuse(WrongURI, err)
	}
	now := v.now()
	if p.at.Before(now.Add(-v.past)) || p.at.After(now.Add(v.future)) {
		return "", refuse(WrongTime, nil)
	}
	sum := sha256.Sum256([]byte(accessToken))
	if p.tokenHash != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return "", refuse(WrongToken, nil)
	}
	return origin + path, nil
}

// consume makes the proof one that has been seen. It comes last: only a proof that
// is good in every other way takes room in the store.
func (v *Verifier) consume(ctx context.Context, jkt, target, id string) error {
	if v.replay == nil {
		return nil
	}
	// The second is for the instant at which a proof ends, and for a store with a clock of its own.
	window := v.past + v.future + time.Second
	fresh, err := v.replay.Use(ctx, newReplayKey(jkt, target, id), window)
	if err != nil {
		return refuse(whyUnused(err), err)
	}
	if !fresh {
		return refuse(Replayed, nil)
	}
	return nil
}
