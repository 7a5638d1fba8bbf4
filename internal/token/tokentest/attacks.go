package tokentest

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token"
)

// Attack is a token that somebody tries, and why it is refused; "" where it is good,
// so that who refuses everything is found out as well.
type Attack struct {
	Name   string
	Raw    string
	Reason token.Reason
}

// Attacks are tokens of the issuer, altered; for whoever verifies them, the other one
// is an issuer too, which has another audience and a key of the same id. Both sign by
// ES256. caught is a URL at which nobody must ever ask for anything.
func Attacks(t testing.TB, issuer, other *Issuer, caught string) []Attack {
	t.Helper()
	a := &attacker{t: t, issuer: issuer, own: NewKey(t, "ES256", "key-1")}
	ownJWK := string(encode(t, a.own.JWK()))
	return []Attack{
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
		{"signed by somebody else", issuer.Token(SignedBy(a.own)), token.BadSignature},
		{"payload altered", a.altered(), token.BadSignature},

		{"JSON serialization", a.jsonForm(false), token.Malformed},
		{"JSON serialization with unsigned claims", a.jsonForm(true), token.Malformed},
		{"JSON serialization, general", a.generalForm(), token.Malformed},
		{"signature with padding", issuer.Token() + "==", token.Malformed},
		{"signature with altered trailing bits", a.trailingBits(), token.Malformed},
		{"JWE of five parts", issuer.Token() + ".e30.e30", token.Malformed},
		{"nested JWS", a.signed(a.header("ES256", `"cty":"JWT"`), issuer.Token()), token.Malformed},
		{"8 KiB and more", issuer.Token(Claim("pad", strings.Repeat("a", 8<<10))), token.Malformed},

		{"kid is a path", issuer.Token(Header("kid", "../../../../dev/null")), token.UnknownKey},
		{"kid is a quote", issuer.Token(Header("kid", "' OR 1=1 --")), token.UnknownKey},
		{"kid of 8 KiB", issuer.Token(Header("kid", strings.Repeat("k", 8<<10))), token.Malformed},
		{"kid of 1 KiB", issuer.Token(Header("kid", strings.Repeat("k", 1<<10))), token.Malformed},
		{"kid is empty", issuer.Token(Header("kid", "")), token.Malformed},
		{"kid is a number", issuer.Token(Header("kid", 1)), token.Malformed},
		{"kid is missing", issuer.Token(WithoutHeader("kid")), token.Malformed},
		{"kid in another case", issuer.Token(Header("kid", "KEY-1")), token.UnknownKey},

		{"jku", issuer.Token(Header("jku", caught), SignedBy(a.own)), token.Malformed},
		{"x5u", issuer.Token(Header("x5u", caught), SignedBy(a.own)), token.Malformed},
		{"jwk", a.own.SignRaw(a.header("ES256", `"jwk":`+ownJWK), a.claims()), token.Malformed},
		{"jwk of the issuer", a.signed(a.header("ES256", `"jwk":`+string(a.jwk())), a.claims()), token.Malformed},
		{"x5c", issuer.Token(Header("x5c", []string{b64(a.der())})), token.Malformed},
		{"unknown crit", issuer.Token(Header("crit", []string{"bork"}), Header("bork", 1)), token.Malformed},
		{"empty crit", issuer.Token(Header("crit", []string{})), token.Malformed},
		{"b64 is false", issuer.Token(Header("b64", false), Header("crit", []string{"b64"})), token.Malformed},
		{"duplicate alg", a.signed(a.header("ES256", `"alg":"none"`), a.claims()), token.Malformed},

		{"duplicate claim", a.signed(a.header("ES256"), a.claims()[:len(a.claims())-1]+`,"sub":"admin"}`), token.Malformed},
		{"trailing object", a.signed(a.header("ES256"), a.claims()+`{"sub":"admin"}`), token.Malformed},
		{"nested 3,000 deep", a.claim("deep", strings.Repeat("[", 3000)+strings.Repeat("]", 3000)), token.Malformed},
		{"nested 10,000 deep", a.claim("deep", strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)), token.Malformed},
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

		{"issuer B's key under issuer A's name", other.Token(Claim("iss", issuer.URL)), token.BadSignature},
		{"issuer A's key under issuer B's name", issuer.Token(Claim("iss", other.URL)), token.BadSignature},
		{"issuer B's token for our audience at A", other.Token(Claim("aud", issuer.Audience)), token.WrongAudience},
		{"trailing slash", issuer.Token(Claim("iss", issuer.URL+"/")), token.UnknownIssuer},
		{"issuer in capitals", issuer.Token(Claim("iss", strings.ToUpper(issuer.URL))), token.UnknownIssuer},
		{"issuer is a list", issuer.Token(Claim("iss", []string{issuer.URL})), token.UnknownIssuer},
		{"issuer is missing", issuer.Token(Without("iss")), token.UnknownIssuer},
		{"unknown issuer", issuer.Token(Claim("iss", caught)), token.UnknownIssuer},

		{"ID token", issuer.Token(Header("typ", "JWT")), token.WrongType},
		{"no typ", issuer.Token(WithoutHeader("typ")), token.WrongType},
		{"client assertion", issuer.Token(Header("typ", "client-authentication+jwt")), token.WrongType},
		{"logout token", issuer.Token(Header("typ", "logout+jwt")), token.WrongType},
		{"DPoP proof", a.own.Proof(time.Now(), "GET", "https://api.example.com/", "x"), token.WrongType},
		{"typ with more in front", issuer.Token(Header("typ", "x/at+jwt")), token.WrongType},
		{"opaque", "2YotnFZFEjr1zCsicMWpAA", token.Malformed},
		{"empty", "", token.Malformed},

		{"good", issuer.Token(), ""},
		{"good, of the other issuer with the same kid", other.Token(), ""},
		{"good, by its full media type", issuer.Token(Header("typ", "application/at+jwt")), ""},
		{"good, with a certificate's name", issuer.Token(Header("x5t#S256", "AA")), ""},
		{"good, without scope", issuer.Token(Without("scope")), ""},
		{"good, with an empty scope", issuer.Token(Claim("scope", "")), ""},
		{"good, aud is a string", issuer.Token(Claim("aud", issuer.Audience)), ""},
		{"good, signature of the other half", Negate(t, issuer.Token()), ""},
	}
}
