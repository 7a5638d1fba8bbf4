package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func unb64(s string) []byte {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return b
}

// token68 is what credentials are made of (RFC 9110 section 11.2). All else is malformed.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// tokenAttacks are those that internal/token refuses, sent as bearer and as DPoP.
func (x *target) tokenAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	var attacks []attack
	for _, forged := range tokentest.Attacks(t, x.issuer, x.other, x.caught) {
		want := badToken
		scope, _ := claimsOf(forged.Raw)["scope"].(string)
		switch {
		case forged.Reason == "" && !strings.Contains(scope, "accounts:read"):
			want = scopeMissing
		case forged.Reason == "":
			want = passes
		case !token68.MatchString(forged.Raw):
			want = malformed
		}
		a := attack{name: forged.Name, want: want, do: x.get(client, withBearer(forged.Raw))}
		if want == passes {
			a.allowed = 1
		}
		attacks = append(attacks, a)
	}
	return attacks
}

// placeAttacks bring a good token where none belongs.
func (x *target) placeAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	good := x.everything()
	query := func(query string, options ...option) func(*testing.T) answer {
		return func(t *testing.T) answer {
			return x.ask(t, client, http.MethodGet, x.origin+"/api/accounts?"+query, options...)
		}
	}
	form := func(kind, body string, options ...option) func(*testing.T) answer {
		return func(t *testing.T) answer {
			return x.ask(t, client, http.MethodPost, x.origin+"/api/payments", append(options, withHeader("Content-Type", kind), withBody(body))...)
		}
	}
	const urlencoded = "application/x-www-form-urlencoded"
	authorization := func(value string) func(*testing.T) answer {
		return x.get(client, withHeader("Authorization", value))
	}
	return []attack{
		{name: "none at all", do: x.get(client), want: nobody},
		{name: "in the query", do: query("access_token=" + good), want: malformed},
		{name: "in the query, encoded", do: query("a=b&%61ccess%5Ftoken=" + good), want: malformed},
		{name: "in the query, after a semicolon", do: query("a=b;access_token=" + good), want: malformed},
		{name: "in the query and in the header", do: query("access_token="+good, withBearer(good)), want: malformed},
		{name: "in a form", do: form(urlencoded, "access_token="+good), want: malformed},
		{name: "in a form and in the header", do: form(urlencoded, "amount=1&access_token="+good, withBearer(good)), want: malformed},
		{name: "in a form with a charset", do: form("Application/X-WWW-Form-URLEncoded; charset=utf-8", "access_token="+good), want: malformed},
		{name: "in a JSON body", do: form("application/json", `{"access_token":"`+good+`"}`), want: nobody},
		{name: "in a cookie", do: x.get(client, withHeader("Cookie", "access_token="+good)), want: nobody},
		{name: "in a cookie named Authorization", do: x.get(client, withHeader("Cookie", "Authorization=Bearer "+good)), want: nobody},
		{name: "in Proxy-Authorization", do: x.get(client, withHeader("Proxy-Authorization", "Bearer "+good)), want: nobody},
		{name: "in X-Authorization", do: x.get(client, withHeader("X-Authorization", "Bearer "+good)), want: nobody},
		{name: "in X-Access-Token", do: x.get(client, withHeader("X-Access-Token", good)), want: nobody},
		{name: "as user of the URL", do: authorization("Basic " + base64.StdEncoding.EncodeToString([]byte(good+":"))), want: nobody},
		{name: "two Authorization", do: x.get(client, withBearer(good), withBearer(good)), want: malformed},
		{name: "two schemes", do: x.get(client, withBearer(good), withHeader("Authorization", "Basic dTpw")), want: malformed},
		{name: "two in one field", do: authorization("Bearer " + good + ", Bearer " + good), want: malformed},
		{name: "after another scheme in one field", do: authorization("Basic dTpw, Bearer " + good), want: nobody},
		{name: "scheme alone", do: authorization("Bearer"), want: malformed},
		{name: "no scheme", do: authorization(good), want: nobody},
		{name: "in quotes", do: authorization(`Bearer "` + good + `"`), want: malformed},
		{name: "with a parameter", do: authorization("Bearer token=" + good), want: malformed},
		{name: "after a tab", do: authorization("Bearer\t" + good), want: malformed},
		{name: "with a word behind", do: authorization("Bearer " + good + " admin"), want: malformed},
		{name: "with a comma behind", do: authorization("Bearer " + good + ","), want: malformed},
		{name: "scheme in any case", do: authorization("bEARER " + good), want: passes, allowed: 1},
		{name: "unbound token as DPoP, no proof", do: authorization("DPoP " + good), want: badDPoPProof},
	}
}

func withBody(body string) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
	}
}

// revokedAttacks revoke by the command, and come back with what is still well signed.
func (x *target) revokedAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	issued := tokentest.Claim("iat", time.Now().Add(-time.Minute).Unix())
	known, unknown := x.issuer.Token(issued), x.issuer.Token(issued)
	granted := x.issuer.Token(issued, tokentest.Claim("grant_id", "stolen"))
	subject := x.issuer.Token(issued, tokentest.Claim("sub", "victim"))
	for _, raw := range []string{known, granted, subject} {
		if got := x.get(client, withBearer(raw))(t); got.status != http.StatusOK {
			t.Fatalf("before it is revoked: %d %s", got.status, got.body)
		}
	}
	for _, raw := range []string{known, unknown} {
		x.revoke(t, x.redis, "--jti", claimsOf(raw)["jti"].(string))
	}
	x.revoke(t, x.redis, "--grant", "stolen")
	x.revoke(t, x.redis, "--subject", "victim")
	waitFor(t, "the revocations", func() bool {
		return x.get(client, withBearer(subject))(t).status == http.StatusUnauthorized
	})
	use := func(raw string) func(*testing.T) answer { return x.get(client, withBearer(raw)) }
	return []attack{
		{name: "token that was in use", do: use(known), want: badToken},
		{name: "token that was not", do: use(unknown), want: badToken},
		{name: "signature encoded anew", do: use(tokentest.Negate(t, known)), want: badToken},
		{name: "signature encoded anew, not in use before", do: use(tokentest.Negate(t, unknown)), want: badToken},
		{name: "token of a revoked grant", do: use(granted), want: badToken},
		{name: "its signature encoded anew", do: use(tokentest.Negate(t, granted)), want: badToken},
		{name: "token of a revoked subject", do: use(subject), want: badToken},
		{name: "token issued to that subject later", allowed: 1, want: passes,
			do: use(x.issuer.Token(tokentest.Claim("sub", "victim"), tokentest.Claim("iat", time.Now().Add(2*time.Second).Unix())))},
	}
}

// certificateAttacks use tokens that are bound to a certificate (RFC 8705 section 3).
func (x *target) certificateAttacks(t *testing.T, address string) []attack {
	right, wrong := newClientCertificate(t), newClientCertificate(t)
	der := right.Certificate[0]
	sum := sha256.Sum256(der)
	confirmation := map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
	bound := x.issuer.Token(tokentest.Claim("cnf", confirmation))
	get := func(client *http.Client, options ...option) func(*testing.T) answer {
		return func(t *testing.T) answer {
			return x.ask(t, client, http.MethodGet, x.certified+"/", append(options, withBearer(bound))...)
		}
	}
	without := x.from(t, address)
	attacks := []attack{
		{name: "right", do: get(x.from(t, address, right)), want: passes, allowed: 1},
		{name: "wrong", do: get(x.from(t, address, wrong)), want: badToken},
		{name: "missing", do: get(without), want: badToken},
		{name: "where none is asked for", do: x.get(x.from(t, address, right), withBearer(bound)), want: badToken},
		{name: "the token as DPoP", want: badDPoPToken, do: func(t *testing.T) answer {
			return x.ask(t, without, http.MethodGet, x.certified+"/", withHeader("Authorization", "DPoP "+bound))
		}},
	}
	for _, name := range []string{
		"Client-Cert", "client_cert", "X-Client-Cert", "X-SSL-Client-Cert", "SSL_CLIENT_CERT", "X-Forwarded-Client-Cert",
		"X-Amzn-Mtls-Clientcert", "X-ARR-ClientCert", "Cf-Client-Cert-Sha256",
	} {
		attacks = append(attacks,
			attack{name: "in " + name, do: get(without, withHeader(name, access.EncodeClientCert(der))), want: badToken},
			attack{name: "in " + name + ", beside a wrong one", do: get(x.from(t, address, wrong), withHeader(name, access.EncodeClientCert(der))), want: badToken})
	}
	return attacks
}

// kidAttacks invent key ids: what each costs is a look into the key set, and hardly ever
// a question to the issuer. test/conformance has no clock to wait for: how many there
// may be in ten seconds is in TestRandomKeyIDsCauseAHandfulOfFetches of internal/jwks.
func (x *target) kidAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	return []attack{{name: "150 invented ones, three fetches at the most", want: badToken, do: func(t *testing.T) answer {
		before := x.fetched.Load()
		var got answer
		for i := range 150 {
			got = x.get(client, withBearer(x.other.Token(tokentest.Header("kid", fmt.Sprintf("invented-%d", i)))))(t)
			if got.status != http.StatusUnauthorized {
				return got
			}
		}
		if fetches := x.fetched.Load() - before; fetches > 3 {
			t.Errorf("%d fetches", fetches)
		}
		return got
	}}}
}

// bucketAttacks write the victim's client_id into tokens that nobody verifies, to use
// its limit up.
func (x *target) bucketAttacks(t *testing.T, address string) []attack {
	attacker, victim := x.from(t, address), x.from(t, "127.1.1.1")
	name := tokentest.Claim("client_id", "victim")
	genuine := x.everything(name)
	forger := tokentest.NewIssuer(t, x.origin)
	left := func(t *testing.T) int {
		got := x.get(victim, withBearer(genuine))(t)
		if got.status != http.StatusOK {
			t.Fatalf("the victim: %d %s", got.status, got.body)
		}
		return remaining(t, got.header.Get("RateLimit"), "accounts_client")
	}
	attempt := func(kind string, options ...option) attack {
		return attack{name: kind, want: badToken, allowed: 2, do: func(t *testing.T) answer {
			before := left(t)
			var got answer
			for range 20 {
				got = x.get(attacker, options...)(t)
			}
			if after := left(t); before-after != 1 {
				t.Errorf("%d of the victim's requests are gone", before-after-1)
			}
			return got
		}}
	}
	header, payload := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)), strings.Split(genuine, ".")[1]
	nobodys := attempt("in a client_id header, without a token", withHeader("X-Client-Id", "victim"), withHeader("Client_id", "victim"))
	nobodys.want = nobody
	return []attack{
		attempt("in a forged token", withBearer(forger.Token(name))),
		attempt("in an unsigned token", withBearer(header+"."+payload+".")),
		attempt("in the victim's expired token", withBearer(x.issuer.Token(name, tokentest.Claim("exp", 1)))),
		nobodys,
	}
}

// remaining reads what RateLimit says of a zone.
func remaining(t *testing.T, limits, zone string) int {
	t.Helper()
	_, rest, found := strings.Cut(limits, `"`+zone+`";r=`)
	number, _, _ := strings.Cut(rest, ";")
	n, err := strconv.Atoi(number)
	if !found || err != nil {
		t.Fatalf("RateLimit %q has no %s", limits, zone)
	}
	return n
}
