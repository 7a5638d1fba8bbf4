package token

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// Signatures judges what one issuer has signed, by that issuer's keys alone.
type Signatures struct {
	keys       KeySource
	algorithms []jose.Algorithm
	// rsa is the one algorithm of RSA keys that do not name theirs.
	rsa jose.Algorithm
}

// NewSignatures makes a judge of an issuer's keys and of the algorithms that it may
// use; ES256, PS256 and EdDSA when there are none.
func NewSignatures(keys KeySource, algorithms []string) (*Signatures, error) {
	s := &Signatures{keys: keys, algorithms: []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA}, rsa: jose.RS256}
	if len(algorithms) > 0 {
		s.algorithms = nil
	}
	for _, name := range algorithms {
		a := jose.AlgorithmOf(name)
		if !a.Supported() {
			return nil, fmt.Errorf("algorithm %q is not supported", name)
		}
		s.algorithms = append(s.algorithms, a)
	}
	if slices.Contains(s.algorithms, jose.PS256) {
		s.rsa = jose.PS256
	}
	return s, nil
}

// Verify checks the signature and gives the key that made it. Any other outcome is an *Error.
func (s *Signatures) Verify(ctx context.Context, m *jose.Message) (*jose.Key, error) {
	if !slices.Contains(s.algorithms, m.Header.Algorithm) {
		return nil, refuse(WrongAlgorithm, nil)
	}
	key, err := s.keys.Key(ctx, m.Header.KeyID)
	if errors.Is(err, ErrUnknownKey) {
		return nil, refuse(UnknownKey, nil)
	}
	if err != nil {
		return nil, refuse(KeysUnavailable, err)
	}
	if s.algorithm(key) != m.Header.Algorithm {
		return nil, refuse(WrongAlgorithm, nil)
	}
	if err := m.Verify(key, m.Header.Algorithm); err != nil {
		return nil, refuse(BadSignature, nil)
	}
	return key, nil
}

// algorithm gives the one algorithm that the key is used with (RFC 8725 section 3.1).
func (s *Signatures) algorithm(key *jose.Key) jose.Algorithm {
	if key.Algorithm != "" {
		return key.Algorithm
	}
	return s.rsa
}
