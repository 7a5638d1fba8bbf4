package dpop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const (
	origin      = "https://api.example.com"
	accessToken = "the.access.token"
)

var now = time.Unix(1800000000, 0)

func newVerifier(t testing.TB, replay dpop.ReplayStore) *dpop.Verifier {
	t.Helper()
	v, err := dpop.New(dpop.Config{
		Origins: []string{"https://www.example.com/", origin}, Replay: replay,
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func reasonOf(t testing.TB, err error) dpop.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *dpop.Error
	if !errors.As(err, &refused) || !slices.Contains(dpop.Reasons(), refused.Reason) {
		t.Fatalf("error outside the vocabulary: %v", err)
	}
	return refused.Reason
}

// request is the one that proofs are made for.
func request(proofs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/api/payments/a%2Fb?page=2", nil)
	r.Host = "evil.example.com"
	r.Header.Set("X-Forwarded-Host", "evil.example.com")
	r.Header.Set("X-Forwarded-Proto", "http")
	r.Header["Dpop"] = proofs
	return r
}

func TestProofs(t *testing.T) {
	t.Parallel()
	key, other := tokentest.NewKey(t, "ES256", ""), tokentest.NewKey(t, "ES256", "")
	rs256 := tokentest.NewKey(t, "RS256", "")
	const uri = origin + "/api/payments/a%2Fb"
	proof := func(options ...tokentest.Option) string {
		return key.Proof(now, http.MethodPost, uri, accessToken, options...)
	}
	htu := func(u string) string { return proof(tokentest.Claim("htu", u)) }
	private := func() map[string]any {
		jwk := key.JWK()
		jwk["d"] = strings.Repeat("A", 43)
		return jwk
	}
	jsonForm := func() string {
		p := strings.Split(proof(), ".")
		return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `","htm":"POST"}`
	}
	unsigned := func() string {
		p := strings.Split(proof(tokentest.Header("alg", "none")), ".")
		return p[0] + "." + p[1] + "."
	}
	oct := map[string]any{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString([]byte("secret"))}

	tests := []struct {
		name   string
		proof  string
		reason dpop.Reason
	}{
		{"good", proof(), ""},
		{"htu with query and fragment", htu(uri + "?page=2#top"), ""},
		{"htu with another query", htu(uri + "?page=3"), ""},
		{"htu with upper-case scheme and host", htu("HTTPS://API.Example.COM/api/payments/a%2Fb"), ""},
		{"htu with :443", htu("https://api.example.com:443/api/payments/a%2Fb"), ""},
		{"htu of another configured origin", htu("https://www.example.com/api/payments/a%2Fb"), ""},
		{"extra claims", proof(tokentest.Claim("nonce", "x"), tokentest.Claim("extra", map[string]any{"a": 1})), ""},
		{"extra header parameter", proof(tokentest.Header("kid", "x")), ""},
		{"iat 60 s ago", proof(tokentest.Claim("iat", now.Add(-time.Minute).Unix())), ""},
		{"iat 10 s ahead", proof(tokentest.Claim("iat", now.Add(10*time.Second).Unix())), ""},
		{"iat with a fraction", proof(tokentest.Claim("iat", 1799999999.5)), ""},

		{"typ JWT", proof(tokentest.Header("typ", "JWT")), dpop.WrongType},
		{"typ at+jwt", proof(tokentest.Header("typ", "at+jwt")), dpop.WrongType},
		{"no typ", proof(tokentest.WithoutHeader("typ")), dpop.WrongType},
		{"no alg", proof(tokentest.WithoutHeader("alg")), dpop.Malformed},
		{"none", proof(tokentest.Header("alg", "none")), dpop.WrongAlgorithm},
		{"none without a signature", unsigned(), dpop.Malformed},
		{"HS256", proof(tokentest.Header("alg", "HS256"), tokentest.Header("jwk", oct)), dpop.WrongAlgorithm},
		{"RS256", rs256.Proof(now, http.MethodPost, uri, accessToken), dpop.WrongAlgorithm},
		{"PS256 on an ES256 key", proof(tokentest.Header("alg", "PS256")), dpop.BadSignature},
		{"no jwk", proof(tokentest.WithoutHeader("jwk")), dpop.BadKey},
		{"jwk is null", proof(tokentest.Header("jwk", nil)), dpop.Malformed},
		{"private jwk", proof(tokentest.Header("jwk", private())), dpop.BadKey},
		{"symmetric jwk", proof(tokentest.Header("jwk", oct)), dpop.BadKey},
		{"jwk of somebody else", proof(tokentest.SignedBy(other)), dpop.BadSignature},
		{"crit", proof(tokentest.Header("crit", []string{})), dpop.Malformed},
		{"x5c beside jwk", proof(tokentest.Header("x5c", []string{"AA"})), dpop.Malformed},
		{"JSON serialization", jsonForm(), dpop.Malformed},
		{"two proofs in one field", proof() + ", " + proof(), dpop.Malformed},
		{"empty", "", dpop.Malformed},
		{"trailing space", proof() + " ", dpop.Malformed},
		{"no jti", proof(tokentest.Without("jti")), dpop.Malformed},
		{"empty jti", proof(tokentest.Claim("jti", "")), dpop.Malformed},
		{"long jti", proof(tokentest.Claim("jti", strings.Repeat("j", 257))), dpop.Malformed},
		{"jti is a number", proof(tokentest.Claim("jti", 1)), dpop.Malformed},
		{"no htm", proof(tokentest.Without("htm")), dpop.Malformed},
		{"no htu", proof(tokentest.Without("htu")), dpop.Malformed},
		{"no iat", proof(tokentest.Without("iat")), dpop.Malformed},
		{"iat is a string", proof(tokentest.Claim("iat", "1800000000")), dpop.Malformed},
		{"no ath", proof(tokentest.Without("ath")), dpop.Malformed},
		{"htm of another method", proof(tokentest.Claim("htm", "GET")), dpop.WrongMethod},
		{"htm in lower case", proof(tokentest.Claim("htm", "post")), dpop.WrongMethod},
		{"htu of another path", htu(origin + "/api/payments"), dpop.WrongURI},
		{"htu of a path decoded", htu(origin + "/api/payments/a/b"), dpop.WrongURI},
		{"htu of a path in lower case", htu(origin + "/api/payments/a%2fb"), dpop.WrongURI},
		{"htu with a trailing slash", htu(uri + "/"), dpop.WrongURI},
		{"htu with dot segments", htu(origin + "/api/x/../payments/a%2Fb"), dpop.WrongURI},
		{"htu as the Host field has it", htu("https://evil.example.com/api/payments/a%2Fb"), dpop.WrongURI},
		{"htu as X-Forwarded-* has it", htu("http://evil.example.com/api/payments/a%2Fb"), dpop.WrongURI},
		{"htu in the clear", htu("http://api.example.com/api/payments/a%2Fb"), dpop.WrongURI},
		{"htu with another port", htu("https://api.example.com:80/api/payments/a%2Fb"), dpop.WrongURI},
		{"htu with a user", htu("https://a@api.example.com/api/payments/a%2Fb"), dpop.WrongURI},
		{"htu is a path", htu("/api/payments/a%2Fb"), dpop.WrongURI},
		{"htu is no URI", htu("https://api.example.com/%zz"), dpop.WrongURI},
		{"iat 61 s ago", proof(tokentest.Claim("iat", now.Add(-61*time.Second).Unix())), dpop.WrongTime},
		{"iat 11 s ahead", proof(tokentest.Claim("iat", now.Add(11*time.Second).Unix())), dpop.WrongTime},
		{"iat 60 s ahead", proof(tokentest.Claim("iat", now.Add(time.Minute).Unix())), dpop.WrongTime},
		{"iat an hour ago", proof(tokentest.Claim("iat", now.Add(-time.Hour).Unix())), dpop.WrongTime},
		{"iat an hour ahead", proof(tokentest.Claim("iat", now.Add(time.Hour).Unix())), dpop.WrongTime},
		{"ath of another token", key.Proof(now, http.MethodPost, uri, "another.access.token"), dpop.WrongToken},
		{"key of somebody else", other.Proof(now, http.MethodPost, uri, accessToken), dpop.WrongKey},
	}
	v := newVerifier(t, dpop.NewMemory(0, func() time.Time { return now }))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := v.Verify(t.Context(), request(test.proof), accessToken, key.JKT())
			if got := reasonOf(t, err); got != test.reason {
				t.Errorf("reason %q, want %q (%v)", got, test.reason, err)
			}
			if test.reason == "" {
				again := v.Verify(t.Context(), request(test.proof), accessToken, key.JKT())
				if got := reasonOf(t, again); got != dpop.Replayed {
					t.Errorf("the second time: %q", got)
				}
			}
		})
	}
}

func TestProofFields(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "EdDSA", "")
	proof := key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken)
	v := newVerifier(t, nil)
	for name, test := range map[string]struct {
		fields []string
		jkt    string
		reason dpop.Reason
	}{
		"none":                    {nil, key.JKT(), dpop.Missing},
		"two":                     {[]string{proof, proof}, key.JKT(), dpop.Malformed},
		"one":                     {[]string{proof}, key.JKT(), ""},
		"a token that is unbound": {[]string{proof}, "", dpop.WrongKey},
	} {
		err := v.Verify(t.Context(), request(test.fields...), accessToken, test.jkt)
		if got := reasonOf(t, err); got != test.reason {
			t.Errorf("%s: reason %q, want %q", name, got, test.reason)
		}
	}
}

// TestEd25519Proofs: a client that writes EdDSA as Ed25519 (RFC 9864) is understood where
// EdDSA is taken, and nowhere else.
func TestEd25519Proofs(t *testing.T) {
	t.Parallel()
	key, other := tokentest.NewKey(t, "EdDSA", ""), tokentest.NewKey(t, "ES256", "")
	proof := func(k *tokentest.Key) *http.Request {
		return request(k.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken, tokentest.Header("alg", "Ed25519")))
	}
	for _, test := range []struct {
		allowed []string
		algs    string
		key     *tokentest.Key
		want    dpop.Reason
	}{
		{nil, "ES256 PS256 EdDSA", key, ""},
		{[]string{"Ed25519", "EdDSA"}, "EdDSA", key, ""},
		{[]string{"ES256"}, "ES256", key, dpop.WrongAlgorithm},
		{nil, "ES256 PS256 EdDSA", other, dpop.BadSignature},
	} {
		v, err := dpop.New(dpop.Config{Origins: []string{origin}, Algorithms: test.allowed, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		if got := reasonOf(t, v.Verify(t.Context(), proof(test.key), accessToken, test.key.JKT())); got != test.want || v.Algorithms() != test.algs {
			t.Errorf("%v: reason %q, want %q; algs %q", test.allowed, got, test.want, v.Algorithms())
		}
	}
}

// The root of a site has two spellings, of which one is empty.
func TestRootPath(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "")
	for _, uri := range []string{origin, origin + "/", origin + "?a=b"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("DPoP", key.Proof(now, http.MethodGet, uri, accessToken))
		if err := newVerifier(t, nil).Verify(t.Context(), r, accessToken, key.JKT()); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// The example of RFC 9449 section 7.1.
func TestExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	const (
		proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19" +
			".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9" +
			".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
		token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
		jkt   = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	)
	v, err := dpop.New(dpop.Config{
		Origins: []string{"https://resource.example.org"},
		Now:     func() time.Time { return time.Unix(1562262618, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/protectedresource", nil)
	r.Header.Set("dpop", proof)
	if err := v.Verify(t.Context(), r, token, jkt); err != nil {
		t.Error(err)
	}
}

// failing is a store that cannot tell.
type failing struct{}

func (failing) Use(context.Context, dpop.ReplayKey, time.Duration) (bool, error) {
	return true, errors.New("out of reach")
}

func TestReplayStoreOutOfReach(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "")
	r := request(key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken))
	err := newVerifier(t, failing{}).Verify(t.Context(), r, accessToken, key.JKT())
	if got := reasonOf(t, err); got != dpop.ReplayUnavailable {
		t.Errorf("reason %q", got)
	}
}

// A proof that is refused takes no room, and does not use up the good one's jti.
func TestRefusedProofsAreNotRemembered(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "")
	store := dpop.NewMemory(1, func() time.Time { return now })
	v := newVerifier(t, store)
	for range 3 {
		bad := key.Proof(now, http.MethodGet, origin+"/api/payments/a%2Fb", accessToken, tokentest.Claim("jti", "1"))
		if got := reasonOf(t, v.Verify(t.Context(), request(bad), accessToken, key.JKT())); got != dpop.WrongMethod {
			t.Errorf("reason %q", got)
		}
	}
	good := key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken, tokentest.Claim("jti", "1"))
	if err := v.Verify(t.Context(), request(good), accessToken, key.JKT()); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]dpop.Config{
		"no origin":            {},
		"origin with a path":   {Origins: []string{origin + "/api"}},
		"origin without host":  {Origins: []string{"https://"}},
		"origin of a file":     {Origins: []string{"file:///etc"}},
		"HS256":                {Origins: []string{origin}, Algorithms: []string{"HS256"}},
		"negative past":        {Origins: []string{origin}, Past: -1},
		"an hour ahead passes": {Origins: []string{origin}, Future: time.Hour},
	} {
		if _, err := dpop.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	v, err := dpop.New(dpop.Config{Origins: []string{origin}, Algorithms: []string{"PS256", "ES256"}})
	if err != nil || v.Algorithms() != "PS256 ES256" {
		t.Errorf("algorithms %q, %v", v.Algorithms(), err)
	}
}

func TestErrorsDoNotQuoteTheProof(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	key := tokentest.NewKey(t, "ES256", "")
	for _, option := range []tokentest.Option{
		tokentest.Claim("htu", "https://"+canary+"/%zz"), tokentest.Claim("htm", canary), tokentest.Claim("iat", canary),
		tokentest.Header("jwk", map[string]any{"kty": canary}), tokentest.Header("typ", canary), tokentest.Header("alg", canary),
	} {
		r := request(key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken, option))
		err := newVerifier(t, nil).Verify(t.Context(), r, accessToken, key.JKT())
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("got %v", err)
		}
	}
}

// FuzzVerify: only proofs that the key signed pass, and refusals are in the vocabulary.
func FuzzVerify(f *testing.F) {
	key := tokentest.NewKey(f, "ES256", "")
	v, jkt := newVerifier(f, nil), key.JKT()
	good := key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken)
	header, err := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": key.JWK()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + " ")
	f.Add(base64.RawURLEncoding.EncodeToString(header) + ".e30.AA")
	f.Fuzz(func(t *testing.T, proof string) {
		err := v.Verify(t.Context(), request(proof), accessToken, jkt)
		if reasonOf(t, err) == "" && proof != good {
			t.Fatalf("accepted %q", proof)
		}
	})
}

// FuzzPayload signs whatever payload comes: what passes is for this request.
func FuzzPayload(f *testing.F) {
	key := tokentest.NewKey(f, "EdDSA", "")
	v, jkt := newVerifier(f, nil), key.JKT()
	jwk, err := json.Marshal(key.JWK())
	if err != nil {
		f.Fatal(err)
	}
	good := strings.Split(key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken), ".")[1]
	payload, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(payload))
	f.Add(`{"htm":"POST","htu":"https://API.example.com:443/api/payments/a%2Fb?x","iat":1800000000,"jti":"1","ath":""}`)
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" || len(payload) > 4<<10 {
			return
		}
		proof := key.SignRaw(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":`+string(jwk)+`}`, payload)
		if reasonOf(t, v.Verify(t.Context(), request(proof), accessToken, jkt)) != "" {
			return
		}
		var claims map[string]any
		if err := json.Unmarshal([]byte(payload), &claims); err != nil || claims["htm"] != "POST" {
			t.Fatalf("accepted %q", payload)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	key := tokentest.NewKey(b, "ES256", "")
	v := newVerifier(b, nil)
	jkt := key.JKT()
	r := request(key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verify(b.Context(), r, accessToken, jkt); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAgainstBareES256 checks a proof beside the cryptography that it needs in any
// case: the signature, and the hashes of what is signed, of the token and of the key. Of
// the budget of 1.3 times that and 10 microseconds it takes x-of-budget.
func BenchmarkAgainstBareES256(b *testing.B) {
	key := tokentest.NewKey(b, "ES256", "")
	v, jkt := newVerifier(b, nil), key.JKT()
	raw := key.Proof(now, http.MethodPost, origin+"/api/payments/a%2Fb", accessToken)
	r := request(raw)
	input, thumbprint := []byte(raw[:strings.LastIndexByte(raw, '.')]), make([]byte, 130)
	private := key.Private.(*ecdsa.PrivateKey)
	digest := sha256.Sum256(input)
	signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	var whole, bare []time.Duration
	for b.Loop() {
		start := time.Now()
		digest := sha256.Sum256(input)
		_, _ = sha256.Sum256([]byte(accessToken)), sha256.Sum256(thumbprint)
		if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
			b.Fatal("does not verify")
		}
		between := time.Now()
		if err := v.Verify(b.Context(), r, accessToken, jkt); err != nil {
			b.Fatal(err)
		}
		bare, whole = append(bare, between.Sub(start)), append(whole, time.Since(between))
	}
	each, floor := median(whole), median(bare)
	b.ReportMetric(0, "ns/op") // of both together, which is nothing to go by
	b.ReportMetric(each, "check-ns")
	b.ReportMetric(floor, "bare-ns")
	b.ReportMetric(each/floor, "x-bare")
	b.ReportMetric(each/(1.3*floor+10000), "x-of-budget")
}

// median is what another process that takes the core in between does not change.
func median(samples []time.Duration) float64 {
	slices.Sort(samples)
	return float64(samples[len(samples)/2])
}
