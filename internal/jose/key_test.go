package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"maps"
	"math/big"
	"testing"
)

const (
	ecX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	ecY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	edX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
)

// modulus makes an odd number of so many bits: enough for what is checked here.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return base64.RawURLEncoding.EncodeToString(n.SetBit(n, 0, 1).Bytes())
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	ec := map[string]any{"kty": "EC", "crv": "P-256", "x": ecX, "y": ecY}
	ed := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": edX}
	rsaKey := map[string]any{"kty": "RSA", "n": modulus(2048), "e": "AQAB"}
	with := func(key map[string]any, name string, value any) map[string]any {
		key = maps.Clone(key)
		key[name] = value
		return key
	}
	zeroes := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	tests := []struct {
		name      string
		members   map[string]any
		algorithm Algorithm
		ok        bool
	}{
		{"EC", ec, ES256, true},
		{"EC with alg", with(ec, "alg", "ES256"), ES256, true},
		{"OKP", ed, EdDSA, true},
		{"RSA without alg", rsaKey, "", true},
		{"RSA for PS256", with(rsaKey, "alg", "PS256"), PS256, true},
		{"RSA for RS256", with(rsaKey, "alg", "RS256"), RS256, true},
		{"RSA of 4096 bits", with(rsaKey, "n", modulus(4096)), "", true},
		{"use sig", with(ec, "use", "sig"), ES256, true},
		{"key_ops verify", with(ec, "key_ops", []any{"verify"}), ES256, true},
		{"unknown member", with(ec, "hint", 1), ES256, true},

		{name: "no members"},
		{name: "unknown kty", members: with(ec, "kty", "LATTICE")},
		{name: "kty is a number", members: with(ec, "kty", 1)},
		{name: "oct", members: map[string]any{"kty": "oct", "k": "c2VjcmV0"}},
		{name: "oct without k", members: map[string]any{"kty": "oct"}},
		{name: "private EC", members: with(ec, "d", "AQ")},
		{name: "private null", members: with(ec, "d", nil)},
		{name: "private RSA", members: with(rsaKey, "p", "AQ")},
		{name: "use enc", members: with(ec, "use", "enc")},
		{name: "use is a list", members: with(ec, "use", []any{"sig"})},
		{name: "key_ops sign", members: with(ec, "key_ops", []any{"sign"})},
		{name: "key_ops is a string", members: with(ec, "key_ops", "verify")},
		{name: "EC for HS256", members: with(ec, "alg", "HS256")},
		{name: "EC for ES384", members: with(ec, "alg", "ES384")},
		{name: "EC for RS256", members: with(ec, "alg", "RS256")},
		{name: "EC, alg null", members: with(ec, "alg", nil)},
		{name: "RSA for ES256", members: with(rsaKey, "alg", "ES256")},
		{name: "RSA for encryption", members: with(rsaKey, "alg", "RSA-OAEP")},
		{name: "P-384", members: with(ec, "crv", "P-384")},
		{name: "not on the curve", members: with(ec, "y", ecX)},
		{name: "point zero", members: with(with(ec, "x", zeroes), "y", zeroes)},
		{name: "short coordinate", members: with(ec, "x", ecX[:42])},
		{name: "padded coordinate", members: with(ec, "x", ecX+"=")},
		{name: "coordinate with trailing bits", members: with(ec, "x", ecX[:42]+"V")},
		{name: "X25519", members: with(ed, "crv", "X25519")},
		{name: "short Ed25519", members: with(ed, "x", "AQ")},
		{name: "RSA of 2047 bits", members: with(rsaKey, "n", modulus(2047))},
		{name: "RSA of 1024 bits", members: with(rsaKey, "n", modulus(1024))},
		{name: "RSA of 8192 bits", members: with(rsaKey, "n", modulus(8192))},
		{name: "RSA, leading zero", members: with(rsaKey, "n", base64.RawURLEncoding.EncodeToString(append([]byte{0}, make([]byte, 256)...)))},
		{name: "RSA, exponent 1", members: with(rsaKey, "e", "AQ")},
		{name: "RSA, exponent 3", members: with(rsaKey, "e", "Aw")},
		{name: "RSA, even exponent", members: with(rsaKey, "e", "AQAC")},
		{name: "RSA, huge exponent", members: with(rsaKey, "e", modulus(64))},
		{name: "RSA without e", members: map[string]any{"kty": "RSA", "n": modulus(2048)}},
		{name: "kid is a number", members: with(ec, "kid", 1)},
		{name: "kid is empty", members: with(ec, "kid", "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParseKey(test.members)
			if !test.ok {
				if !errors.Is(err, ErrKey) {
					t.Errorf("got %v, %v", key, err)
				}
				return
			}
			if err != nil || key.Algorithm != test.algorithm {
				t.Errorf("got %v, %v", key, err)
			}
		})
	}
}

// A key goes with its own algorithm only, even where the mathematics would do.
func TestKeyHasOneAlgorithm(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k := &Key{Algorithm: PS256, Public: &private.PublicKey}
	for _, a := range []Algorithm{RS256, ES256, EdDSA, "HS256", "none", "PS384"} {
		m := &Message{Header: Header{Algorithm: a}, input: "e30.e30", signature: []byte("sig")}
		if m.Verify(k, a) == nil {
			t.Errorf("%s verifies", a)
		}
	}
	if !(&Key{}).fits(RS256) || (&Key{}).fits(ES256) || (&Key{}).fits("none") {
		t.Error("an RSA key that names no algorithm fits RSA algorithms, and those alone")
	}
}
