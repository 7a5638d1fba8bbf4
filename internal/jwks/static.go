package jwks

import (
	"context"
	"errors"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Fixed is a key set that never changes.
type Fixed struct{ keys map[string]*jose.Key }

// Static reads a key set from a document, for those who want no network. Unlike a
// fetched set, every key in it has to be usable: whoever wrote it can put it right.
func Static(document []byte) (*Fixed, error) {
	s, err := parse(document)
	if err != nil {
		return nil, err
	}
	if len(s.left) > 0 {
		return nil, errors.Join(s.left...)
	}
	if len(s.keys) == 0 {
		return nil, errors.New("no key")
	}
	return &Fixed{keys: s.keys}, nil
}

// Key gives the key of this id.
func (f *Fixed) Key(_ context.Context, id string) (*jose.Key, error) {
	if key, ok := f.keys[id]; ok {
		return key, nil
	}
	return nil, token.ErrUnknownKey
}

// Holds says whether the key is in the set.
func (f *Fixed) Holds(key *jose.Key) bool {
	held, ok := f.keys[key.ID]
	return ok && held.Same(key)
}
