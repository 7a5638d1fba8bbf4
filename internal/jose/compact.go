package jose

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
)

// MaxSize bounds a compact JWS, judged before anything of it is decoded.
const MaxSize = 8 << 10

// Message is a parsed compact JWS whose signature has not been verified:
// nothing in it may be believed before Verify.
type Message struct {
	Header Header
	// Payload is the decoded second part.
	Payload []byte
	// input is what was signed: the first two parts as they were sent.
	input     string
	signature []byte
}

// ParseCompact reads a compact JWS: exactly three parts of unpadded base64url,
// of which the first is a header that Header's rules allow.
func ParseCompact(raw string) (*Message, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxSize)
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, tail, found := strings.Cut(rest, ".")
	if !found || strings.Contains(tail, ".") {
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	headJSON, err := DecodeSegment(head)
	if err != nil {
		return nil, err
	}
	payload, err := DecodeSegment(body)
	if err != nil {
		return nil, err
	}
	signature, err := DecodeSegment(tail)
	if err != nil {
		return nil, err
	}
	header, err := parseHeader(headJSON)
	if err != nil {
		return nil, err
	}
	input := raw[:len(head)+1+len(body)]
	return &Message{Header: header, Payload: payload, input: input, signature: signature}, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// DecodeSegment decodes one non-empty run of unpadded base64url. Each byte string
// has exactly one spelling that passes (RFC 4648 section 3.5).
func DecodeSegment(s string) ([]byte, error) {
	// The standard decoder skips line breaks, even in strict mode.
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: empty or broken base64url", ErrMalformed)
	}
	b, err := strictBase64.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// Verify checks the signature under key by the algorithm that the caller has
// decided on, which has to be the header's own as well. The library gets the octets
// that were signed and not the message: a second parser could read another one.
func (m *Message) Verify(key *Key, algorithm Algorithm) error {
	if m.Header.Algorithm != algorithm || !key.fits(algorithm) {
		return ErrSignature
	}
	if err := jwsbb.Verify(key.Public, string(algorithm), []byte(m.input), m.signature); err != nil {
		return ErrSignature
	}
	return nil
}
