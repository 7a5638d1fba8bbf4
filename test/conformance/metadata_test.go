package conformance

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// withMetadata gives the challenges of an API whose resource has this path.
func (p *platform) withMetadata(path string, challenges ...string) []string {
	named := make([]string, 0, len(challenges))
	for _, challenge := range challenges {
		separator := ", "
		if !strings.Contains(challenge, " ") {
			separator = " "
		}
		named = append(named, challenge+separator+`resource_metadata="`+p.origin+wellKnown+path+`"`)
	}
	return named
}

// metadata gives the document of RFC 9728 for a resource of this path.
func (p *platform) metadata(t *testing.T, path string, options ...option) map[string]any {
	t.Helper()
	got := p.do(t, http.MethodGet, wellKnown+path, options...)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	var members map[string]any
	if err := json.Unmarshal(got.body, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func words(list ...string) (all []any) {
	for _, word := range list {
		all = append(all, word)
	}
	return all
}

// TestShippedAPIsAreDescribed holds the shipped file to RFC 9728.
func TestShippedAPIsAreDescribed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for path, want := range map[string]struct {
		name   string
		scopes []any
	}{
		"/api/users": {"Users", words("consents:read", "consents:write", "password:write", "profile:delete", "profile:export",
			"profile:read", "profile:write", "users:create")},
		"/api/accounts": {"Accounts", words("accounts:read", "accounts:write")},
		"/api/payments": {"Payments", words("payments:capture", "payments:confirm", "payments:create", "payments:read", "payments:refund")},
	} {
		expected := map[string]any{
			"resource": p.origin + path, "resource_name": want.name, "authorization_servers": words(p.origin),
			"scopes_supported": want.scopes, "bearer_methods_supported": words("header"),
			"dpop_signing_alg_values_supported": words("ES256", "PS256", "EdDSA"),
		}
		if got := p.metadata(t, path); !reflect.DeepEqual(got, expected) {
			t.Errorf("%s:\n%v\nwant\n%v", path, got, expected)
		}
		challenge := p.do(t, http.MethodGet, path).header.Values("WWW-Authenticate")
		if !slices.Equal(challenge, p.withMetadata(path, plainBearer, plainDPoP)) {
			t.Errorf("%s: %q", path, challenge)
		}
	}
	p.expectNothingBehind(t, func() {
		for _, path := range []string{"", "/", "/api", "/api/payments/", "/api/payments/1", "/API/payments", "/oauth/token"} {
			if got := p.do(t, http.MethodGet, wellKnown+path); got.status != http.StatusNotFound || got.problem(t)["code"] != "not_found" {
				t.Errorf("%q: %d %s", path, got.status, got.body)
			}
		}
		if got := p.do(t, http.MethodPost, wellKnown+"/api/payments"); got.status != http.StatusMethodNotAllowed {
			t.Errorf("POST: %d", got.status)
		}
	})

	got := p.do(t, http.MethodGet, wellKnown+"/api/payments")
	if got.header.Get("Cache-Control") != "public, max-age=300" || !strings.Contains(got.header.Get("RateLimit-Policy"), "resource_metadata_address") {
		t.Errorf("header %v", got.header)
	}
	again := p.do(t, http.MethodGet, wellKnown+"/api/payments", withHeader("If-None-Match", got.header.Get("ETag")))
	if again.status != http.StatusNotModified || len(again.body) > 0 {
		t.Errorf("unchanged: %d %s", again.status, again.body)
	}
	if head := p.do(t, http.MethodHead, wellKnown+"/api/payments"); head.status != http.StatusOK || head.header.Get("ETag") != got.header.Get("ETag") {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	if counted := p.metric(`tollgate_requests_total{api="resource_metadata",code="304",method="GET"}`); counted != "1" {
		t.Errorf("%s are counted", counted)
	}
}

const described = `{
	admin {$TOLLGATE_ADMIN}
	skip_install_trust
	auto_https disable_redirects
	tollgate {
		origin {$TOLLGATE_ORIGIN} https://other.test
		issuer {$TOLLGATE_ORIGIN} {
			audience {$TOLLGATE_ORIGIN}/api
			jwks_uri {$TOLLGATE_JWKS_URI}
		}
		issuer https://second.test {
			audience second
			jwks_uri {$TOLLGATE_JWKS_URI}
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	{$SERVED} metadata /.well-known/oauth-protected-resource* {
		public
		{$SERVING}
	}
	api nameless /nameless* {
		access_token
		respond ok
	}
	api bound /bound* {
		resource /bound
		access_token {
			audience second
		}
		require {
			dpop
			scope b
		}
		handle /bound/deep {
			require {
				scope c b
				mtls
				authorization_details payment_initiation
			}
			respond ok
		}
	}
	api elsewhere @other {
		resource https://other.test/
		access_token
		respond ok
	}
	@other host other.test
	api all {
		resource /
		access_token
		@dpop path /dpop
		require @dpop {
			dpop
		}
		@step path /step
		require @step {
			acr gold
		}
		@claim path /claim
		require @claim {
			claim a b
		}
		@scope path /scope
		require @scope {
			scope s
		}
		respond ok
	}
}
`

// TestDescription has what the shipped file does not: several issuers and origins, and
// requirements that hold for all of an API or for a part of it.
func TestDescription(t *testing.T) {
	t.Parallel()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", described), "SERVED=api", "SERVING=resource_metadata")
	proofs := words("ES256", "PS256", "EdDSA")
	bound := map[string]any{
		"resource": p.origin + "/bound", "resource_name": "bound", "authorization_servers": words("https://second.test"),
		"scopes_supported": words("b", "c"), "bearer_methods_supported": words("header"), "dpop_signing_alg_values_supported": proofs,
		"authorization_details_types_supported": words("payment_initiation"), "tls_client_certificate_bound_access_tokens": true,
		"dpop_bound_access_tokens_required": true,
	}
	all := map[string]any{
		"resource": p.origin + "/", "resource_name": "all", "authorization_servers": words(p.origin, "https://second.test"),
		"scopes_supported": words("s"), "bearer_methods_supported": words("header"), "dpop_signing_alg_values_supported": proofs,
	}
	if got := p.metadata(t, "/bound"); !reflect.DeepEqual(got, bound) {
		t.Errorf("%v\nwant\n%v", got, bound)
	}
	if got := p.metadata(t, "", withHost(strings.TrimPrefix(p.origin, "https://"))); !reflect.DeepEqual(got, all) {
		t.Errorf("%v\nwant\n%v", got, all)
	}

	good := withBearer(p.issuer.Token())
	for path, want := range map[string][]string{
		"/":      p.withMetadata("", plainBearer, plainDPoP),
		"/bound": p.withMetadata("/bound", plainBearer, plainDPoP),
		// Of what has no resource there is nothing to say.
		"/nameless": {plainBearer, plainDPoP},
	} {
		if got := p.do(t, http.MethodGet, path).header.Values("WWW-Authenticate"); !slices.Equal(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	for path, want := range map[string]string{
		"/dpop":  `DPoP error="invalid_token", error_description="An access token that is bound to a DPoP key is required.", algs="ES256 PS256 EdDSA"`,
		"/step":  `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required.", acr_values="gold"`,
		"/scope": `Bearer error="insufficient_scope", scope="s"`,
	} {
		if got := p.do(t, http.MethodGet, path, good).header.Values("WWW-Authenticate"); !slices.Equal(got, p.withMetadata("", want)) {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := p.do(t, http.MethodGet, "/claim", good); got.status != http.StatusForbidden || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("/claim: %d %v", got.status, got.header)
	}

	// An API that nobody serves the metadata of does not send clients there.
	p.reload("SERVED=api", "SERVING=respond nothing")
	expect := func() bool {
		return slices.Equal(p.do(t, http.MethodGet, "/bound").header.Values("WWW-Authenticate"), []string{plainBearer, plainDPoP})
	}
	waitFor(t, "challenges without metadata", expect)
	if !strings.Contains(p.log.String(), "no resource_metadata") {
		t.Error("the log says nothing of metadata that is not served")
	}
}

// TestMetadataSurvivesAProof: the challenge for a bad proof is made where no other is.
func TestMetadataSurvivesAProof(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	key := tokentest.NewKey(t, "ES256", "")
	bound := p.issuer.Token(tokentest.BoundTo(key))
	proof := key.Proof(time.Now(), http.MethodPost, p.origin+"/api/payments", bound)
	got := p.do(t, http.MethodGet, "/api/payments", withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof))
	if want := p.withMetadata("/api/payments", badProof, plainBearer); !slices.Equal(got.header.Values("WWW-Authenticate"), want) {
		t.Errorf("%q\nwant\n%q", got.header.Values("WWW-Authenticate"), want)
	}
}
