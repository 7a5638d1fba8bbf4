package jose

import "fmt"

// maxKeyID bounds a "kid". Issuers use thumbprints and UUIDs.
const maxKeyID = 256

// Header is the part of a JOSE header that Tollgate acts on.
type Header struct {
	Algorithm Algorithm
	Type      string
	// KeyID is an opaque name of a key, empty when there is none.
	KeyID string
	// Key is the embedded "jwk", nil when there is none. Only a DPoP proof may have one.
	Key map[string]any
}

// forbidden are header parameters that change how the message is to be read
// (crit, b64), or that let the sender name the key that he is judged by.
var forbidden = []string{"crit", "b64", "jku", "x5u", "x5c"}

func parseHeader(data []byte) (Header, error) {
	members, err := ParseObject(data)
	if err != nil {
		return Header{}, err
	}
	for _, name := range forbidden {
		if _, present := members[name]; present {
			return Header{}, fmt.Errorf("%w: header parameter %s", ErrMalformed, name)
		}
	}
	algorithm, ok := members["alg"].(string)
	if !ok || algorithm == "" {
		return Header{}, fmt.Errorf("%w: header parameter alg", ErrMalformed)
	}
	typ, err := optionalString(members, "typ")
	if err != nil {
		return Header{}, err
	}
	keyID, err := optionalString(members, "kid")
	if err != nil || len(keyID) > maxKeyID {
		return Header{}, fmt.Errorf("%w: header parameter kid", ErrMalformed)
	}
	key, err := optionalObject(members, "jwk")
	if err != nil {
		return Header{}, err
	}
	return Header{Algorithm: AlgorithmOf(algorithm), Type: typ, KeyID: keyID, Key: key}, nil
}

func optionalString(members map[string]any, name string) (string, error) {
	value, present := members[name]
	if !present {
		return "", nil
	}
	s, ok := value.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("%w: %s is no string", ErrMalformed, name)
	}
	return s, nil
}

func optionalObject(members map[string]any, name string) (map[string]any, error) {
	value, present := members[name]
	if !present {
		return nil, nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no object", ErrMalformed, name)
	}
	return object, nil
}
