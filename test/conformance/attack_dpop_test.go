package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// accountsPath is what proofs are made for below.
const accountsPath = "/api/accounts"

// holder has a key and a token that is bound to it.
type holder struct {
	key   *tokentest.Key
	token string
	url   string
}

func (x *target) newHolder(t *testing.T, algorithm string) holder {
	t.Helper()
	key := tokentest.NewKey(t, algorithm, "")
	return holder{key, x.issuer.Token(tokentest.BoundTo(key)), x.origin + accountsPath}
}

func (h holder) proof(options ...tokentest.Option) string {
	return h.key.Proof(time.Now(), http.MethodGet, h.url, h.token, options...)
}

// proofAttacks are the negative list of the FAPI 2.0 Final profile for resource servers,
// and what else can be done to a proof. Each has a good token, and the key of it.
func (x *target) proofAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	h, other := x.newHolder(t, "ES256"), x.newHolder(t, "ES256")
	asDPoP := withHeader("Authorization", "DPoP "+h.token)
	claim, header, without := tokentest.Claim, tokentest.Header, tokentest.Without
	ago := func(d time.Duration) tokentest.Option { return claim("iat", time.Now().Add(-d).Unix()) }

	var attacks []attack
	add := func(name string, want verdict, options ...option) {
		attacks = append(attacks, attack{name: name, want: want, do: x.get(client, options...)})
	}
	wrong := func(name, proof string, options ...option) {
		add(name, badDPoPProof, append(options, asDPoP, withHeader("Dpop", proof))...)
	}
	add("none", badDPoPProof, asDPoP)
	add("two headers", badDPoPProof, asDPoP, withHeader("Dpop", h.proof()), withHeader("Dpop", h.proof()))
	add("two headers, the same", badDPoPProof, asDPoP, func(r *http.Request) { p := h.proof(); r.Header["Dpop"] = []string{p, p} })
	wrong("two in one header", h.proof()+", "+h.proof())
	wrong("empty", "")
	for _, member := range []string{"jti", "htm", "htu", "iat", "ath"} {
		wrong("no "+member, h.proof(without(member)))
		wrong(member+" is null", h.proof(claim(member, nil)))
		wrong(member+" is a list", h.proof(claim(member, []any{"a"})))
	}
	for _, member := range []string{"typ", "alg", "jwk"} {
		wrong("no "+member, h.proof(tokentest.WithoutHeader(member)))
	}
	wrong("typ of an access token", h.proof(header("typ", "at+jwt")))
	wrong("typ JWT", h.proof(header("typ", "JWT")))
	wrong("access token as proof", h.token)

	wrong("alg none", h.proof(header("alg", "none")))
	wrong("alg none, no signature", unsigned(h.proof(header("alg", "none"))))
	wrong("HS256 with the public key", h.proof(header("alg", "HS256"), header("jwk", map[string]any{"kty": "oct", "k": "c2VjcmV0"})))
	wrong("RS256", tokentest.NewKey(t, "RS256", "").Proof(time.Now(), http.MethodGet, h.url, h.token))
	wrong("ES256 key that says PS256", h.proof(header("alg", "PS256")))
	wrong("bad signature", altered(h.proof()))
	wrong("signature of another proof", swapped(h.proof(), h.proof()))
	wrong("signed by another key", h.proof(tokentest.SignedBy(other.key)))
	wrong("private jwk", h.proof(header("jwk", withMember(h.key, "d", "AAAA"))))
	wrong("symmetric jwk", h.proof(header("jwk", map[string]any{"kty": "oct", "k": "c2VjcmV0"})))
	wrong("jwk on another curve", h.proof(header("jwk", withMember(h.key, "crv", "P-384"))))
	wrong("jku beside jwk", h.proof(header("jku", x.caught)))
	wrong("x5u beside jwk", h.proof(header("x5u", x.caught)))
	wrong("x5c beside jwk", h.proof(header("x5c", []string{"AA"})))
	wrong("empty crit", h.proof(header("crit", []string{})))
	wrong("b64 is false", h.proof(header("b64", false), header("crit", []string{"b64"})))
	wrong("JSON form", jsonForm(h.proof(), ""))
	wrong("JSON form with unsigned claims", jsonForm(h.proof(), `,"htm":"POST","header":{"alg":"none"}`))
	wrong("9 KiB", h.proof(claim("pad", strings.Repeat("a", 9<<10))))

	wrong("wrong htm", h.proof(claim("htm", "POST")))
	wrong("htm in lower case", h.proof(claim("htm", "get")))
	wrong("htu of another path", h.proof(claim("htu", x.origin+"/api/payments")))
	wrong("htu with a slash more", h.proof(claim("htu", h.url+"/")))
	wrong("htu in capitals", h.proof(claim("htu", x.origin+"/API/accounts")))
	wrong("htu in clear", h.proof(claim("htu", strings.Replace(h.url, "https", "http", 1))))
	wrong("htu of another port", h.proof(claim("htu", "https://localhost:1"+accountsPath)))
	wrong("htu with a user", h.proof(claim("htu", strings.Replace(h.url, "//", "//a@", 1))))
	wrong("htu is a path", h.proof(claim("htu", accountsPath)))
	const evil = "https://evil.test" + accountsPath
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host", "Forwarded"} {
		value := "evil.test"
		if name == "Forwarded" {
			value = "host=evil.test;proto=https"
		}
		wrong("htu of a forged "+name, h.proof(claim("htu", evil)), withHeader(name, value))
	}
	wrong("htu of a forged X-Forwarded-Proto", h.proof(claim("htu", strings.Replace(h.url, "https", "http", 1))), withHeader("X-Forwarded-Proto", "http"))
	wrong("htu of a forged X-Forwarded-Port", h.proof(claim("htu", "https://localhost:1"+accountsPath)), withHeader("X-Forwarded-Port", "1"))
	wrong("htu of a forged X-Original-URL", h.proof(claim("htu", x.origin+"/api/payments")), withHeader("X-Original-Url", "/api/payments"))
	add("htu of a forged Host", notFound, asDPoP, withHost("evil.test"), withHeader("Dpop", h.proof(claim("htu", evil))))

	wrong("wrong ath", h.key.Proof(time.Now(), http.MethodGet, h.url, other.token))
	wrong("ath is the token", h.proof(claim("ath", h.token)))
	wrong("ath with padding", h.proof(claim("ath", padded(h.proof()))))
	wrong("an hour old", h.proof(ago(time.Hour)))
	wrong("an hour ahead", h.proof(ago(-time.Hour)))
	wrong("a minute ahead", h.proof(ago(-time.Minute)))
	wrong("iat is a string", h.proof(claim("iat", fmt.Sprint(time.Now().Unix()))))
	wrong("iat is 1e300", h.proof(claim("iat", 1e300)))

	add("wrong key", badDPoPToken, asDPoP, withHeader("Dpop", other.key.Proof(time.Now(), http.MethodGet, h.url, h.token)))
	unbound := x.everything()
	add("proof beside an unbound token", badDPoPToken, withDPoP(unbound, h.key.Proof(time.Now(), http.MethodGet, h.url, unbound))...)
	add("downgrade to Bearer", badToken, withBearer(h.token))
	add("downgrade to Bearer, with a good proof", badToken, withBearer(h.token), withHeader("Dpop", h.proof()))
	add("proof without a token", nobody, withHeader("Dpop", h.proof()))
	return append(attacks, x.replays(client, h)...)
}

// replays use a good proof again. The first use is what the policy lets in.
func (x *target) replays(client *http.Client, h holder) []attack {
	again := func(name string, second func(t *testing.T, proof string) answer) attack {
		return attack{name: name, want: badDPoPProof, allowed: 1, do: func(t *testing.T) answer {
			proof := h.proof()
			if first := x.get(client, withDPoP(h.token, proof)...)(t); first.status != http.StatusOK {
				t.Fatalf("the first time: %d %s", first.status, first.body)
			}
			return second(t, proof)
		}}
	}
	ask := func(t *testing.T, method, path, proof string) answer {
		return x.ask(t, client, method, x.origin+path, withDPoP(h.token, proof)...)
	}
	return []attack{
		again("replay", func(t *testing.T, proof string) answer { return ask(t, http.MethodGet, accountsPath, proof) }),
		again("replay with another query", func(t *testing.T, proof string) answer { return ask(t, http.MethodGet, accountsPath+"?page=2", proof) }),
		again("replay with the signature encoded anew", func(t *testing.T, proof string) answer {
			return ask(t, http.MethodGet, accountsPath, tokentest.Negate(t, proof))
		}),
		again("replay with another method", func(t *testing.T, proof string) answer { return ask(t, http.MethodPost, accountsPath, proof) }),
		again("replay after a reload", func(t *testing.T, proof string) answer {
			x.reload()
			return ask(t, http.MethodGet, accountsPath, proof)
		}),
	}
}

func withDPoP(token, proof string) []option {
	return []option{withHeader("Authorization", "DPoP "+token), withHeader("Dpop", proof)}
}

// goodProofs are what a resource server has to take.
func (x *target) goodProofs(t *testing.T, address string) []attack {
	client := x.from(t, address)
	var attacks []attack
	add := func(name string, h holder, proof tokentest.Option, options ...option) {
		attacks = append(attacks, attack{name: name, want: passes, allowed: 1, do: func(t *testing.T) answer {
			return x.get(client, append(options, withDPoP(h.token, h.proof(proof))...)...)(t)
		}})
	}
	h := x.newHolder(t, "ES256")
	claim := tokentest.Claim
	htu := func(uri string) tokentest.Option { return claim("htu", uri) }
	for _, algorithm := range []string{"ES256", "PS256", "EdDSA"} {
		add(algorithm, x.newHolder(t, algorithm), htu(h.url))
	}
	add("htu with query", h, htu(h.url+"?page=2"))
	add("htu with query and fragment", h, htu(h.url+"?page=2#top"))
	add("htu with upper-case host", h, htu(strings.Replace(h.url, "localhost", "LOCALHOST", 1)))
	add("htu with upper-case scheme", h, htu(strings.Replace(h.url, "https", "HTTPS", 1)))
	add("htu with explicit :443", h, htu(defaultOrigin+":443"+accountsPath))
	add("htu without :443", h, htu(defaultOrigin+accountsPath))
	add("extra claims", h, claim("extra", map[string]any{"a": []any{1, nil}}))
	add("extra header parameter", h, tokentest.Header("kid", "mine"))
	add("iat ten seconds ahead", h, claim("iat", time.Now().Add(8*time.Second).Unix()))
	add("iat with a fraction", h, claim("iat", float64(time.Now().UnixMilli())/1000))
	add("forged X-Forwarded-Host, honest htu", h, htu(h.url), withHeader("X-Forwarded-Host", "evil.test"))
	for _, name := range []string{"dpop", "DPOP", "DpOp"} {
		attacks = append(attacks, attack{name: "header named " + name, want: passes, allowed: 1, do: func(t *testing.T) answer {
			return x.one(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nauthorization: dpop %s\r\n%s: %s\r\nConnection: close\r\n\r\n",
				accountsPath, h.token, name, h.proof()))
		}})
	}
	return attacks
}

func unsigned(raw string) string { return raw[:strings.LastIndexByte(raw, '.')+1] }

// altered has another character in the middle of its signature.
func altered(raw string) string {
	at := strings.LastIndexByte(raw, '.') + 10
	other := byte('A')
	if raw[at] == other {
		other = 'B'
	}
	return raw[:at] + string(other) + raw[at+1:]
}

func swapped(raw, other string) string {
	return unsigned(raw) + other[strings.LastIndexByte(other, '.')+1:]
}

func jsonForm(raw, more string) string {
	p := strings.Split(raw, ".")
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q%s}`, p[0], p[1], p[2], more)
}

func withMember(k *tokentest.Key, name, value string) map[string]any {
	jwk := k.JWK()
	jwk[name] = value
	return jwk
}

// padded gives the ath of a proof as base64 with padding.
func padded(proof string) string {
	var claims struct{ Ath string }
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[1])
	_ = json.Unmarshal(payload, &claims)
	return claims.Ath + "="
}
