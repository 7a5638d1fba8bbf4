package token_test

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
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// attacker has tokens of a real issuer at hand, and keys of his own.
type attacker struct {
	t      *testing.T
	issuer *tokentest.Issuer
	own    *tokentest.Key
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

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

func TestAttacks(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	other := tokentest.NewIssuer(t, "https://other.example.com")
	a := &attacker{t: t, issuer: issuer, own: tokentest.NewKey(t, "ES256", "key-1")}

	// Whoever follows a URL of a header is caught here.
	var followed atomic.Int32
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(listener.Close)
	ownJWK, err := json.Marshal(a.own.JWK())
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name   string
		raw    string
		reason token.Reason
	}{
		{"HS256 with the public key as PEM", a.hmac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: a.der()})), token.WrongAlgorithm},
		{"HS256 with the public key as DER", a.hmac(a.der()), token.WrongAlgorithm},
		{"HS256 with the public key as JWK", a.hmac(a.jwk()), token.WrongAlgorithm},
		{"none", b64([]byte(a.header("none"))) + "." + b64([]byte(a.claims())) + ".", token.Malformed},
		{"none with a signature", b64([]byte(a.header("none"))) + "." + b64([]byte(a.claims())) + ".AA", token.WrongAlgorithm},
		{"NONE", b64([]byte(a.header("NONE"))) + "." + b64([]byte(a.claims())) + ".AA", token.WrongAlgorithm},
		{"nOnE", b64([]byte(a.header("nOnE"))) + "." + b64([]byte(a.claims())) + ".AA", token.WrongAlgorithm},
		{"ES384 header on an ES256 key", a.es384(), token.WrongAlgorithm},
		{"es256 in lower case", a.signed(a.header("es256"), a.claims()), token.WrongAlgorithm},
		{"PS256 header on an ES256 key", a.signed(a.header("PS256"), a.claims()), token.WrongAlgorithm},
		{"EdDSA header on an ES256 key", a.signed(a.header("EdDSA"), a.claims()), token.WrongAlgorithm},
		{"signature in DER", a.derSignature(), token.BadSignature},
		{"signature of zeroes", a.withSignature(make([]byte, 64)), token.BadSignature},
		{"signature cut short", a.withSignature(make([]byte, 63)), token.BadSignature},
		{"signature of another token", a.swapped(), token.BadSignature},
		{"signed by somebody else", issuer.Token(tokentest.SignedBy(a.own)), token.BadSignature},
		{"payload altered", a.altered(), token.BadSignature},

		{"JSON serialization", a.jsonForm(false), token.Malformed},
		{"JSON serialization with unsigned claims", a.jsonForm(true), token.Malformed},
		{"JWE of five parts", issuer.Token() + ".e30.e30", token.Malformed},
		{"nested JWS", a.signed(a.header("ES256", `"cty":"JWT"`), issuer.Token()), token.Malformed},
		{"8 KiB and more", issuer.Token(tokentest.Claim("pad", strings.Repeat("a", 8<<10))), token.Malformed},

		{"kid is a path", issuer.Token(tokentest.Header("kid", "../../../../dev/null")), token.UnknownKey},
		{"kid is a quote", issuer.Token(tokentest.Header("kid", "' OR 1=1 --")), token.UnknownKey},
		{"kid of 8 KiB", issuer.Token(tokentest.Header("kid", strings.Repeat("k", 8<<10))), token.Malformed},
		{"kid of 1 KiB", issuer.Token(tokentest.Header("kid", strings.Repeat("k", 1<<10))), token.Malformed},
		{"kid is empty", issuer.Token(tokentest.Header("kid", "")), token.Malformed},
		{"kid is a number", issuer.Token(tokentest.Header("kid", 1)), token.Malformed},
		{"kid is missing", issuer.Token(tokentest.WithoutHeader("kid")), token.Malformed},
		{"kid in another case", issuer.Token(tokentest.Header("kid", "KEY-1")), token.UnknownKey},

		{"jku", issuer.Token(tokentest.Header("jku", listener.URL), tokentest.SignedBy(a.own)), token.Malformed},
		{"x5u", issuer.Token(tokentest.Header("x5u", listener.URL), tokentest.SignedBy(a.own)), token.Malformed},
		{"jwk", a.own.SignRaw(a.header("ES256", `"jwk":`+string(ownJWK)), a.claims()), token.Malformed},
		{"jwk of the issuer", a.signed(a.header("ES256", `"jwk":`+string(a.jwk())), a.claims()), token.Malformed},
		{"x5c", issuer.Token(tokentest.Header("x5c", []string{b64(a.der())})), token.Malformed},
		{"unknown crit", issuer.Token(tokentest.Header("crit", []string{"bork"}), tokentest.Header("bork", 1)), token.Malformed},
		{"empty crit", issuer.Token(tokentest.Header("crit", []string{})), token.Malformed},
		{"b64 is false", issuer.Token(tokentest.Header("b64", false), tokentest.Header("crit", []string{"b64"})), token.Malformed},
		{"duplicate alg", a.signed(a.header("ES256", `"alg":"none"`), a.claims()), token.Malformed},

		{"duplicate claim", a.signed(a.header("ES256"), a.claims()[:len(a.claims())-1]+`,"sub":"admin"}`), token.Malformed},
		{"trailing object", a.signed(a.header("ES256"), a.claims()+`{"sub":"admin"}`), token.Malformed},
		{"3,000 deep", a.claim("deep", strings.Repeat("[", 3000)+strings.Repeat("]", 3000)), token.Malformed},
		{"exp is a string", a.claim("exp", `"9999999999"`), token.InvalidClaim},
		{"exp is 0", a.claim("exp", `0`), token.Expired},
		{"exp is 1e300", a.claim("exp", `1e300`), token.InvalidClaim},
		{"exp is 1e999", a.claim("exp", `1e999`), token.InvalidClaim},
		{"exp is negative", a.claim("exp", `-1`), token.InvalidClaim},
		{"exp is null", a.claim("exp", `null`), token.InvalidClaim},
		{"exp is missing", a.claim("exp", ``), token.MissingClaim},
		{"Exp instead of exp", a.signed(a.header("ES256"), strings.Replace(a.claims(), `"exp"`, `"Exp"`, 1)), token.MissingClaim},
		{"iat is missing", a.claim("iat", ``), token.MissingClaim},
		{"iat is a string", a.claim("iat", `"1"`), token.InvalidClaim},
		{"nbf is a string", a.claim("nbf", `"1"`), token.InvalidClaim},
		{"sub is missing", a.claim("sub", ``), token.MissingClaim},
		{"sub is empty", a.claim("sub", `""`), token.InvalidClaim},
		{"sub is a number", a.claim("sub", `1`), token.InvalidClaim},
		{"sub is null", a.claim("sub", `null`), token.InvalidClaim},
		{"sub with NUL", a.claim("sub", `"user\u0000admin"`), token.InvalidClaim},
		{"sub with a line break", a.claim("sub", `"user\r\nX-Admin: 1"`), token.InvalidClaim},
		{"sub with a C1 control", a.claim("sub", `"user\u0085"`), token.InvalidClaim},
		{"sub of 1 KiB", a.claim("sub", `"`+strings.Repeat("s", 1<<10)+`"`), token.InvalidClaim},
		{"client_id is missing", a.claim("client_id", ``), token.MissingClaim},
		{"client_id with NUL", a.claim("client_id", `"\u0000"`), token.InvalidClaim},
		{"jti is missing", a.claim("jti", ``), token.MissingClaim},
		{"jti is a number", a.claim("jti", `7`), token.InvalidClaim},
		{"aud is missing", a.claim("aud", ``), token.MissingClaim},
		{"aud is somebody else", a.claim("aud", `"https://else.example.com"`), token.WrongAudience},
		{"aud begins like ours", a.claim("aud", `"`+issuer.Audience+`/"`), token.WrongAudience},
		{"aud is the issuer, as in an ID token", a.claim("aud", `"client-1"`), token.WrongAudience},
		{"aud with a number", a.claim("aud", `["`+issuer.Audience+`",1]`), token.InvalidClaim},
		{"aud is an object", a.claim("aud", `{"`+issuer.Audience+`":1}`), token.InvalidClaim},
		{"aud is empty", a.claim("aud", `[]`), token.InvalidClaim},
		{"aud is an empty string", a.claim("aud", `""`), token.InvalidClaim},
		{"aud is null", a.claim("aud", `null`), token.InvalidClaim},
		{"scope is a list", a.claim("scope", `["a"]`), token.InvalidClaim},
		{"scope with a line break", a.claim("scope", `"a\nb"`), token.InvalidClaim},
		{"scope with a quote", a.claim("scope", `"a\"b"`), token.InvalidClaim},
		{"cnf of an unknown kind", a.claim("cnf", `{"jwk":{}}`), token.UnknownConfirmation},
		{"cnf of a known and an unknown kind", a.claim("cnf", `{"jkt":"a","kid":"b"}`), token.UnknownConfirmation},
		{"cnf is empty", a.claim("cnf", `{}`), token.UnknownConfirmation},
		{"cnf is null", a.claim("cnf", `null`), token.InvalidClaim},
		{"cnf is a string", a.claim("cnf", `"jkt"`), token.InvalidClaim},
		{"jkt is empty", a.claim("cnf", `{"jkt":"","x5t#S256":"a"}`), token.InvalidClaim},
		{"details are an object", a.claim("authorization_details", `{"type":"a"}`), token.InvalidClaim},
		{"details without a type", a.claim("authorization_details", `[{"amount":1}]`), token.InvalidClaim},
		{"details with a string", a.claim("authorization_details", `["payment_initiation"]`), token.InvalidClaim},
		{"17 details", a.claim("authorization_details", `[`+strings.Repeat(`{"type":"a"},`, 16)+`{"type":"a"}]`), token.InvalidClaim},

		{"issuer B's key under issuer A's name", other.Token(tokentest.Claim("iss", issuerURL)), token.BadSignature},
		{"issuer A's key under issuer B's name", issuer.Token(tokentest.Claim("iss", other.URL)), token.BadSignature},
		{"issuer B's token for our audience at A", other.Token(tokentest.Claim("aud", issuer.Audience)), token.WrongAudience},
		{"trailing slash", issuer.Token(tokentest.Claim("iss", issuerURL+"/")), token.UnknownIssuer},
		{"issuer in capitals", issuer.Token(tokentest.Claim("iss", "https://AUTH.example.com")), token.UnknownIssuer},
		{"issuer is a list", issuer.Token(tokentest.Claim("iss", []string{issuerURL})), token.UnknownIssuer},
		{"issuer is missing", issuer.Token(tokentest.Without("iss")), token.UnknownIssuer},
		{"unknown issuer", issuer.Token(tokentest.Claim("iss", listener.URL)), token.UnknownIssuer},

		{"ID token", issuer.Token(tokentest.Header("typ", "JWT")), token.WrongType},
		{"no typ", issuer.Token(tokentest.WithoutHeader("typ")), token.WrongType},
		{"client assertion", issuer.Token(tokentest.Header("typ", "client-authentication+jwt")), token.WrongType},
		{"logout token", issuer.Token(tokentest.Header("typ", "logout+jwt")), token.WrongType},
		{"DPoP proof", a.own.Proof(time.Now(), "GET", "https://api.example.com/", "x"), token.WrongType},
		{"typ with more in front", issuer.Token(tokentest.Header("typ", "x/at+jwt")), token.WrongType},
		{"opaque", "2YotnFZFEjr1zCsicMWpAA", token.Malformed},
		{"empty", "", token.Malformed},

		{"good", issuer.Token(), ""},
		{"good, of the other issuer with the same kid", other.Token(), ""},
		{"good, by its full media type", issuer.Token(tokentest.Header("typ", "application/at+jwt")), ""},
		{"good, with a certificate's name", issuer.Token(tokentest.Header("x5t#S256", "AA")), ""},
		{"good, without scope", issuer.Token(tokentest.Without("scope")), ""},
		{"good, with an empty scope", issuer.Token(tokentest.Claim("scope", "")), ""},
		{"good, aud is a string", issuer.Token(tokentest.Claim("aud", issuer.Audience)), ""},
		{"good, signature of the other half", a.negated(), ""},
	}
	v := newVerifier(t, issuer.Issuer(), other.Issuer())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second time meets what the first one left in memory
				if got := reasonOf(t, v, test.raw); got != test.reason {
					t.Errorf("reason %q, want %q", got, test.reason)
				}
			}
		})
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d connections to a URL of a header", n)
	}
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

// negated re-encodes a signature: (r, n-s) is as good as (r, s). It passes, which
// is why nothing may ever be refused by its bytes.
func (a *attacker) negated() string {
	header, payload, signature := a.parts()
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		a.t.Fatal(err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(raw[32:]))
	return header + "." + payload + "." + b64(append(raw[:32], s.FillBytes(make([]byte, 32))...))
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

// What a refusal says may be logged: nothing of the token is in it.
func TestErrorsDoNotQuoteTheToken(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	issuer := tokentest.NewIssuer(t, issuerURL)
	v := newVerifier(t, issuer.Issuer())
	for _, option := range []tokentest.Option{
		tokentest.Header("kid", canary), tokentest.Header("typ", canary), tokentest.Header("alg", canary),
		tokentest.Header("crit", canary),
		tokentest.Claim("iss", canary), tokentest.Claim("sub", canary+"\x00"), tokentest.Claim("aud", canary),
		tokentest.Claim("exp", canary), tokentest.Claim("cnf", map[string]any{canary: canary}),
		tokentest.SignedBy(tokentest.NewKey(t, "ES256", canary)),
	} {
		raw := issuer.Token(option)
		_, err := v.Verify(t.Context(), raw)
		if err == nil {
			t.Fatal("accepted")
		}
		for part := range strings.SplitSeq(raw, ".") {
			if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), part) {
				t.Errorf("quoted: %v", err)
			}
		}
	}
}
