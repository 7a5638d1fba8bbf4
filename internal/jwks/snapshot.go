package jwks

import (
	"errors"
	"fmt"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// snapshot is a key set as it was fetched. It never changes.
type snapshot struct {
	keys    map[string]*jose.Key
	fetched time.Time
	// left says why keys of the document were left out.
	left []error
}

// parse reads a JWK Set (RFC 7517 section 5). A key that cannot be used is left
// out and the others stay; two keys of one id are both left out, because nobody
// can say which one is meant.
func parse(document []byte) (*snapshot, error) {
	members, err := jose.ParseObject(document)
	if err != nil {
		return nil, err
	}
	list, ok := members["keys"].([]any)
	if !ok {
		return nil, errors.New("no array of keys")
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	s := &snapshot{keys: make(map[string]*jose.Key, len(list))}
	for i, element := range list {
		s.add(i, element)
	}
	for id, key := range s.keys {
		if key == nil {
			delete(s.keys, id)
		}
	}
	return s, nil
}

// add takes one key in, or notes why not. An id that comes twice is left as nil.
func (s *snapshot) add(i int, element any) {
	object, _ := element.(map[string]any)
	key, err := jose.ParseKey(object)
	if err == nil && key.ID == "" {
		err = fmt.Errorf("%w: no kid", jose.ErrKey)
	}
	if err != nil {
		s.left = append(s.left, fmt.Errorf("key %d: %w", i, err))
		return
	}
	if _, twice := s.keys[key.ID]; twice {
		s.left = append(s.left, fmt.Errorf("key %d: %w: kid is there twice", i, jose.ErrKey))
		s.keys[key.ID] = nil
		return
	}
	s.keys[key.ID] = key
}
