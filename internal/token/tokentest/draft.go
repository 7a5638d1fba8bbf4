package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

// draft is a JWS before it is signed.
type draft struct {
	key    *Key
	header map[string]any
	claims map[string]any
}

// Option alters what is about to be signed.
type Option func(*draft)

// Claim sets a claim.
func Claim(name string, value any) Option {
	return func(d *draft) { d.claims[name] = value }
}

// Without removes a claim.
func Without(name string) Option {
	return func(d *draft) { delete(d.claims, name) }
}

// Header sets a header parameter.
func Header(name string, value any) Option {
	return func(d *draft) { d.header[name] = value }
}

// WithoutHeader removes a header parameter.
func WithoutHeader(name string) Option {
	return func(d *draft) { delete(d.header, name) }
}

// SignedBy signs with another key; the header goes on naming the first one.
func SignedBy(k *Key) Option {
	return func(d *draft) { d.key = k }
}

// BoundTo binds an access token to the DPoP key.
func BoundTo(k *Key) Option {
	return Claim("cnf", map[string]any{"jkt": k.JKT()})
}

func (d draft) finish(t testing.TB, options []Option) string {
	t.Helper()
	for _, option := range options {
		option(&d)
	}
	return d.key.SignRaw(string(encode(t, d.header)), string(encode(t, d.claims)))
}

// SignRaw signs exactly these texts as header and payload, whatever they are.
func (k *Key) SignRaw(header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(k.sign([]byte(input)))
}

func (k *Key) sign(input []byte) []byte {
	digest := sha256.Sum256(input)
	signature, err := []byte(nil), error(nil)
	switch k.Algorithm {
	case "ES256":
		r, s, failure := ecdsa.Sign(rand.Reader, k.Private.(*ecdsa.PrivateKey), digest[:])
		if failure != nil {
			k.t.Fatalf("sign: %v", failure)
		}
		signature = make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	case "EdDSA":
		signature, err = k.Private.Sign(rand.Reader, input, crypto.Hash(0))
	case "PS256":
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		signature, err = k.Private.Sign(rand.Reader, digest[:], options)
	case "RS256":
		signature, err = k.Private.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	if err != nil {
		k.t.Fatalf("sign: %v", err)
	}
	return signature
}
