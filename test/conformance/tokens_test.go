package conformance

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const (
	plainBearer = `Bearer`
	plainDPoP   = `DPoP algs="ES256 PS256 EdDSA"`
	badProof    = `DPoP error="invalid_dpop_proof", algs="ES256 PS256 EdDSA"`
)

// TestRefusals holds the edge to the answers that the RFCs ask for, to the letter.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	key := tokentest.NewKey(t, "ES256", "")
	other := tokentest.NewIssuer(t, p.origin) // signs with a key of its own under the same name and key id
	url := p.origin + "/api/accounts"
	bound := p.issuer.Token(tokentest.BoundTo(key))
	proof := func(options ...tokentest.Option) option {
		return withHeader("DPoP", key.Proof(time.Now(), http.MethodGet, url, bound, options...))
	}
	asDPoP := withHeader("Authorization", "DPoP "+bound)
	bearerError := func(description string) string {
		return `Bearer error="invalid_token", error_description="` + description + `"`
	}
	tests := []struct {
		name       string
		options    []option
		status     int
		code       string
		challenges []string
	}{
		{"no token", nil, 401, "missing_credentials", []string{plainBearer, plainDPoP}},
		{"another scheme", []option{withHeader("Authorization", "Basic dXNlcjpwdw==")}, 401, "missing_credentials", []string{plainBearer, plainDPoP}},
		{"malformed", []option{withHeader("Authorization", "Bearer a b")}, 400, "invalid_request", []string{`Bearer error="invalid_request"`}},
		{"twice", []option{withBearer(p.issuer.Token()), withBearer(p.issuer.Token())}, 400, "invalid_request", []string{`Bearer error="invalid_request"`}},
		{"garbage", []option{withBearer("abc")}, 401, "invalid_token", []string{bearerError("The token is not valid."), plainDPoP}},
		{"wrong audience", []option{withBearer(p.issuer.Token(tokentest.Claim("aud", "urn:tollgate:internal")))}, 401, "invalid_token", []string{bearerError("The token is not valid."), plainDPoP}},
		{"wrong type", []option{withBearer(p.issuer.Token(tokentest.Header("typ", "JWT")))}, 401, "invalid_token", []string{bearerError("The token is not valid."), plainDPoP}},
		{"wrong key", []option{withBearer(other.Token())}, 401, "invalid_token", []string{bearerError("The token is not valid."), plainDPoP}},
		{"unknown issuer", []option{withBearer(p.issuer.Token(tokentest.Claim("iss", p.origin+"/")))}, 401, "invalid_token", []string{bearerError("The token is not valid."), plainDPoP}},
		{"expired", []option{withBearer(p.issuer.Token(tokentest.Claim("exp", time.Now().Add(-time.Second).Unix())))}, 401, "invalid_token", []string{bearerError("The token has expired."), plainDPoP}},
		{"missing scope", []option{withBearer(p.issuer.Token(tokentest.Claim("scope", "profile:read")))}, 403, "insufficient_scope", []string{`Bearer error="insufficient_scope", scope="accounts:read"`}},
		{"bound token as bearer", []option{withBearer(bound)}, 401, "invalid_token", []string{bearerError("The token is bound to a DPoP key."), plainDPoP}},
		{"no proof", []option{asDPoP}, 401, "invalid_dpop_proof", []string{badProof, plainBearer}},
		{"two proofs", []option{asDPoP, proof(), proof()}, 401, "invalid_dpop_proof", []string{badProof, plainBearer}},
		{"proof for another method", []option{asDPoP, proof(tokentest.Claim("htm", "POST"))}, 401, "invalid_dpop_proof", []string{badProof, plainBearer}},
		{"proof for another path", []option{asDPoP, proof(tokentest.Claim("htu", p.origin+"/api/payments"))}, 401, "invalid_dpop_proof", []string{badProof, plainBearer}},
		{"proof for a forged host", []option{asDPoP, proof(tokentest.Claim("htu", "https://evil.test/api/accounts")), withHeader("X-Forwarded-Host", "evil.test")}, 401, "invalid_dpop_proof", []string{badProof, plainBearer}},
		{"proof an hour old", []option{asDPoP, proof(tokentest.Claim("iat", time.Now().Add(-time.Hour).Unix()))}, 401, "invalid_dpop_proof", []string{badProof, plainBearer}},
		{"proof by another key", []option{asDPoP, withHeader("DPoP", tokentest.NewKey(t, "ES256", "").Proof(time.Now(), http.MethodGet, url, bound))}, 401, "invalid_token", []string{`DPoP error="invalid_token", error_description="Invalid DPoP key binding", algs="ES256 PS256 EdDSA"`, plainBearer}},
	}
	p.expectNothingBehind(t, func() {
		for _, test := range tests {
			got := p.do(t, http.MethodGet, "/api/accounts", test.options...)
			members := got.problem(t)
			if got.status != test.status || members["code"] != test.code || members["request_id"] != got.header.Get("X-Request-Id") {
				t.Errorf("%s: %d %s", test.name, got.status, got.body)
			}
			challenges, want := got.header["Www-Authenticate"], p.withMetadata("/api/accounts", test.challenges...)
			if !slices.Equal(challenges, want) {
				t.Errorf("%s: challenges\n%s\nwant\n%s", test.name, strings.Join(challenges, "\n"), strings.Join(want, "\n"))
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q", test.name, got.header.Get("Cache-Control"))
			}
			checkIDs(t, got)
		}
		got := p.do(t, http.MethodGet, "/api/accounts?access_token="+p.issuer.Token())
		if got.status != http.StatusBadRequest {
			t.Errorf("token in the query: %d", got.status)
		}
	})
}

// TestProofIsGoodOnce sends one proof many times at once.
func TestProofIsGoodOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	key := tokentest.NewKey(t, "ES256", "")
	token := p.issuer.Token(tokentest.BoundTo(key))
	proof := key.Proof(time.Now(), http.MethodGet, p.origin+"/api/accounts", token)
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			got := p.do(t, http.MethodGet, "/api/accounts?page=2", withHeader("Authorization", "DPoP "+token), withHeader("DPoP", proof))
			switch got.status {
			case http.StatusOK:
				passed.Add(1)
			case http.StatusUnauthorized:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 || refused.Load() != 49 || p.service.count.Load() != 1 {
		t.Fatalf("%d passed, %d were refused, %d arrived", passed.Load(), refused.Load(), p.service.count.Load())
	}
}

// TestServiceOutOfReach covers what the edge answers for a service.
func TestServiceOutOfReach(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TOLLGATE_USERS="+freeAddress(t))
	got := p.do(t, http.MethodGet, "/api/users/me", withBearer(p.everything()))
	if got.status != http.StatusBadGateway || got.problem(t)["code"] != "bad_gateway" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	checkIDs(t, got)
}
