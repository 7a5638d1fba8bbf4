package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
)

// RSA bounds. The upper one is for whoever lets strangers bring keys: the cost of
// a verification grows with the square of the size.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// Key is a public key that signatures can be verified with.
type Key struct {
	// ID is the "kid", empty when the key has none.
	ID string
	// Algorithm is the one algorithm of this key; empty for an RSA key that does
	// not say whether it is for PS256 or RS256.
	Algorithm Algorithm
	// Public is an *ecdsa.PublicKey on P-256, an *rsa.PublicKey or an ed25519.PublicKey.
	Public crypto.PublicKey
	// Thumbprint is the SHA-256 thumbprint (RFC 7638) in base64url.
	Thumbprint string
}

// fits says whether a signature of this algorithm can be the key's.
func (k *Key) fits(a Algorithm) bool {
	if k.Algorithm != "" {
		return k.Algorithm == a
	}
	return a.rsa()
}

// Same says whether two keys are one and used alike.
func (k *Key) Same(other *Key) bool {
	return k == other || k.Thumbprint == other.Thumbprint && k.ID == other.ID && k.Algorithm == other.Algorithm
}

// secret are the members of private and symmetric keys (RFC 7518 section 6).
var secret = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParseKey reads a public signature key from a parsed JSON Web Key (RFC 7517).
// Every error wraps ErrKey.
func ParseKey(members map[string]any) (*Key, error) {
	for _, name := range secret {
		if _, present := members[name]; present {
			return nil, fmt.Errorf("%w: secret material", ErrKey)
		}
	}
	if err := checkUse(members); err != nil {
		return nil, err
	}
	key, err := parsePublic(members)
	if err != nil {
		return nil, err
	}
	key.ID, err = optionalString(members, "kid")
	if err != nil || len(key.ID) > maxKeyID {
		return nil, fmt.Errorf("%w: kid", ErrKey)
	}
	if err := key.setAlgorithm(members); err != nil {
		return nil, err
	}
	return key, nil
}

// checkUse refuses a key that its owner did not publish for signatures.
func checkUse(members map[string]any) error {
	if use, present := members["use"]; present && use != "sig" {
		return fmt.Errorf("%w: use is not sig", ErrKey)
	}
	ops, present := members["key_ops"]
	if !present {
		return nil
	}
	if list, ok := ops.([]any); !ok || !slices.Contains(list, any("verify")) {
		return fmt.Errorf("%w: key_ops without verify", ErrKey)
	}
	return nil
}

// setAlgorithm narrows the key to the algorithm that it names.
func (k *Key) setAlgorithm(members map[string]any) error {
	named, present := members["alg"]
	if !present {
		return nil
	}
	name, _ := named.(string)
	if a := AlgorithmOf(name); a.Supported() && k.fits(a) {
		k.Algorithm = a
		return nil
	}
	return fmt.Errorf("%w: alg does not fit", ErrKey)
}

func parsePublic(members map[string]any) (*Key, error) {
	switch members["kty"] {
	case "EC":
		return parseEC(members)
	case "RSA":
		return parseRSA(members)
	case "OKP":
		return parseOKP(members)
	}
	return nil, fmt.Errorf("%w: kty", ErrKey)
}

func parseEC(members map[string]any) (*Key, error) {
	if members["crv"] != "P-256" {
		return nil, fmt.Errorf("%w: crv", ErrKey)
	}
	x, xText, err := octets(members, "x")
	if err != nil {
		return nil, err
	}
	y, yText, err := octets(members, "y")
	if err != nil {
		return nil, err
	}
	if len(x) != 32 || len(y) != 32 {
		return nil, fmt.Errorf("%w: coordinate size", ErrKey)
	}
	point := slices.Concat([]byte{4}, x, y)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: not on the curve", ErrKey)
	}
	print := thumbprint(`{"crv":"P-256","kty":"EC","x":"` + xText + `","y":"` + yText + `"}`)
	return &Key{Algorithm: ES256, Public: public, Thumbprint: print}, nil
}

func parseRSA(members map[string]any) (*Key, error) {
	n, nText, err := octets(members, "n")
	if err != nil {
		return nil, err
	}
	e, eText, err := octets(members, "e")
	if err != nil {
		return nil, err
	}
	// A leading zero would be a second spelling, and a second thumbprint, of the same key.
	if n[0] == 0 || e[0] == 0 {
		return nil, fmt.Errorf("%w: leading zero", ErrKey)
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < minRSABits || bits > maxRSABits || modulus.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: RSA modulus", ErrKey)
	}
	// FIPS 186-5 section 5.4: odd and above 2^16; Go wants less than 2^31.
	if bits := exponent.BitLen(); bits < 17 || bits > 31 || exponent.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: RSA exponent", ErrKey)
	}
	public := &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}
	return &Key{Public: public, Thumbprint: thumbprint(`{"e":"` + eText + `","kty":"RSA","n":"` + nText + `"}`)}, nil
}

func parseOKP(members map[string]any) (*Key, error) {
	if members["crv"] != "Ed25519" {
		return nil, fmt.Errorf("%w: crv", ErrKey)
	}
	x, text, err := octets(members, "x")
	if err != nil {
		return nil, err
	}
	if len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: key size", ErrKey)
	}
	print := thumbprint(`{"crv":"Ed25519","kty":"OKP","x":"` + text + `"}`)
	return &Key{Algorithm: EdDSA, Public: ed25519.PublicKey(x), Thumbprint: print}, nil
}

// octets gives a member's bytes and its text, of which there is only one per value.
func octets(members map[string]any, name string) ([]byte, string, error) {
	text, _ := members[name].(string)
	b, err := DecodeSegment(text)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s", ErrKey, name)
	}
	return b, text, nil
}

// thumbprint hashes the required members in lexicographic order (RFC 7638 section 3).
func thumbprint(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
