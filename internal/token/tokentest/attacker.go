package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// attacker has tokens of a real issuer at hand, and keys of his own.
type attacker struct {
	t      testing.TB
	issuer *Issuer
	own    *Key
}

// claims are valid ones, as the text of a payload.
func (a *attacker) claims() string {
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(a.issuer.Token(), ".")[1])
	if err != nil {
		a.t.Fatal(err)
	}
	return string(payload)
}

// header is a valid one for the algorithm, with more members.
func (a *attacker) header(alg string, members ...string) string {
	h := fmt.Sprintf(`{"typ":"at+jwt","alg":"%s","kid":"key-1"`, alg)
	for _, m := range members {
		h += "," + m
	}
	return h + "}"
}

// hmac signs with a public key as the secret.
func (a *attacker) hmac(secret []byte) string {
	input := b64([]byte(a.header("HS256"))) + "." + b64([]byte(a.claims()))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// signed is the issuer's own signature under texts of the attacker's choice: what a
// bug in the issuer, or a generous one, would let him have.
func (a *attacker) signed(header, payload string) string {
	return a.issuer.Key().SignRaw(header, payload)
}

// payload is a valid one in which one member has been replaced; no value removes it.
func (a *attacker) payload(name, value string) string {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.claims()), &claims); err != nil {
		a.t.Fatal(err)
	}
	delete(claims, name)
	members := []string{}
	if value != "" {
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	for n, v := range claims {
		members = append(members, fmt.Sprintf("%q:%s", n, v))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// claim is a token with one claim replaced.
func (a *attacker) claim(name, value string) string {
	return a.signed(a.header("ES256"), a.payload(name, value))
}

func (a *attacker) publicKey() *ecdsa.PublicKey {
	return a.issuer.Key().Private.Public().(*ecdsa.PublicKey)
}

func (a *attacker) der() []byte {
	der, err := x509.MarshalPKIXPublicKey(a.publicKey())
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *attacker) jwk() []byte {
	jwk, err := json.Marshal(a.issuer.Key().JWK())
	if err != nil {
		a.t.Fatal(err)
	}
	return jwk
}

// parts gives a good token in its three parts.
func (a *attacker) parts() (header, payload, signature string) {
	p := strings.Split(a.issuer.Token(), ".")
	return p[0], p[1], p[2]
}

func (a *attacker) withSignature(s []byte) string {
	header, payload, _ := a.parts()
	return header + "." + payload + "." + b64(s)
}

func (a *attacker) swapped() string {
	header, payload, _ := a.parts()
	_, _, signature := a.parts()
	return header + "." + payload + "." + signature
}

func (a *attacker) altered() string {
	header, _, signature := a.parts()
	return header + "." + b64([]byte(a.payload("sub", `"admin"`))) + "." + signature
}

// es384 signs by P-384, under the kid of the P-256 key.
func (a *attacker) es384() string {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	input := b64([]byte(a.header("ES384"))) + "." + b64([]byte(a.claims()))
	digest := sha512.Sum384([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...))
}

// derSignature is a valid signature in the encoding of X.509 instead of JWS.
func (a *attacker) derSignature() string {
	input := b64([]byte(a.header("ES256"))) + "." + b64([]byte(a.claims()))
	digest := sha256.Sum256([]byte(input))
	der, err := a.issuer.Key().Private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		a.t.Fatal(err)
	}
	var check struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &check); err != nil {
		a.t.Fatal(err)
	}
	return input + "." + b64(der)
}

// Negate encodes an ES256 signature anew: (r, n-s) is as good as (r, s). It passes,
// which is why nothing may ever be refused by its bytes.
func Negate(t testing.TB, raw string) string {
	t.Helper()
	end := strings.LastIndexByte(raw, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(raw[end:])
	if err != nil || len(signature) != 64 {
		t.Fatalf("not an ES256 signature: %v", err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	return raw[:end] + b64(append(signature[:32], s.FillBytes(make([]byte, 32))...))
}

// jsonForm is a good token as JSON (RFC 7515 section 7.2), maybe with claims beside it.
func (a *attacker) jsonForm(unsigned bool) string {
	header, payload, signature := a.parts()
	beside := ""
	if unsigned {
		beside = `"sub":"admin","header":{"alg":"none"},`
	}
	return fmt.Sprintf(`{%s"payload":%q,"protected":%q,"signature":%q}`, beside, payload, header, signature)
}

// generalForm is a good token in the general JSON serialization, with a second signature.
func (a *attacker) generalForm() string {
	header, payload, signature := a.parts()
	return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"header":{"alg":"none"},"signature":""}]}`, payload, header, signature)
}

// trailingBits is a good token whose last character says the same to a lenient decoder:
// of its six bits, four are left over.
func (a *attacker) trailingBits() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	raw := a.issuer.Token()
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + string(alphabet[last^1])
}
