package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const asserting = localEdge + `		assertion {
			issuer {$TOLLGATE_ORIGIN}/assertions
			key_file {$KEYS}
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api keys /keys {
		public
		assertion_keys
	}
	api pay {
		access_token
		@refused path /refused
		require @refused {
			scope nobody
		}
		@told not path /plain
		identity_assertion @told payments
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// newKeyFile writes a key of "openssl genpkey -algorithm EC".
func newKeyFile(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serviceOf verifies as a service of this name does, with the keys that the edge publishes.
func (p *platform) serviceOf(t *testing.T, name string) *assertion.Verifier {
	t.Helper()
	got := p.do(t, http.MethodGet, "/keys")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/jwk-set+json" || got.header.Get("ETag") == "" {
		t.Fatalf("keys: %d %v", got.status, got.header)
	}
	keys, err := jwks.Static(got.body)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.NewVerifier(token.Config{Issuers: []token.Issuer{{URL: p.origin + "/assertions", Audiences: []string{name}, Keys: keys}}})
	if err != nil {
		t.Fatal(err)
	}
	return assertion.NewVerifier(tokens, p.origin+"/assertions", p.origin)
}

// forwarded gives the Authorization that the service got for a request.
func (p *platform) forwarded(t *testing.T, path string, options ...option) string {
	t.Helper()
	if got := p.do(t, http.MethodGet, path, options...); got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	seen := p.service.lastRequest().Header
	if proofs := seen.Values("DPoP"); path != "/plain" && len(proofs) > 0 {
		t.Errorf("a proof of another token goes on: %q", proofs)
	}
	fields := seen.Values("Authorization")
	if len(fields) != 1 {
		t.Fatalf("%q", fields)
	}
	raw, _ := strings.CutPrefix(fields[0], "Bearer ")
	return raw
}

// TestIdentityAssertion follows a caller's identity to the service. Nothing in it depends
// on the form of the caller's token, only on what the edge knows of it.
func TestIdentityAssertion(t *testing.T) {
	t.Parallel()
	first, second := newKeyFile(t, "first"), newKeyFile(t, "second")
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", strings.ReplaceAll(asserting, "{$KEYS}", "{$FIRST} {$SECOND}")), "FIRST="+first, "SECOND="+second)
	ends := time.Now().Add(40 * time.Second).Truncate(time.Second)
	caller := p.issuer.Token(tokentest.Claim("exp", ends.Unix()), tokentest.Claim("jti", "one"), tokentest.Claim("acr", "gold"),
		tokentest.Claim("authorization_details", []any{map[string]any{"type": "payment_initiation", "amount": 3}}))

	text := p.forwarded(t, "/", withBearer(caller))
	payments := p.serviceOf(t, "payments")
	got, err := payments.Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "user-1" || got.ClientID != "client-1" || got.ID != "one" || !got.HasScope("accounts:read") || got.ACR != "gold" ||
		string(got.Details[0].Raw) != `{"amount":3,"type":"payment_initiation"}` || !got.ExpiresAt.Equal(ends) {
		t.Errorf("%+v", got)
	}
	if _, err := p.serviceOf(t, "users").Verify(t.Context(), text); err == nil {
		t.Error("another service takes it")
	}
	if again := p.forwarded(t, "/again", withBearer(caller)); again != text {
		t.Error("signed twice within a moment")
	}
	if plain := p.forwarded(t, "/plain", withBearer(caller)); plain != caller {
		t.Error("the token is replaced where nobody asked for it")
	}

	// What the edge has signed is no token here, in any way of sending it.
	p.expectNothingBehind(t, func() {
		for _, scheme := range []string{"Bearer ", "DPoP "} {
			if got := p.do(t, http.MethodGet, "/", withHeader("Authorization", scheme+text)); got.status != http.StatusUnauthorized {
				t.Errorf("%sassertion: %d %s", scheme, got.status, got.body)
			}
		}
		if got := p.do(t, http.MethodGet, "/refused", withBearer(p.issuer.Token())); got.status != http.StatusForbidden {
			t.Errorf("refused: %d", got.status)
		}
	})
	if signed := p.metric(`tollgate_assertions_signed_total{api="pay"}`); signed != "1" {
		t.Errorf("%s are signed", signed)
	}

	key := tokentest.NewKey(t, "ES256", "")
	bound := p.issuer.Token(tokentest.BoundTo(key))
	proof := key.Proof(time.Now(), http.MethodGet, p.origin+"/bound", bound)
	if got, err := payments.Verify(t.Context(), p.forwarded(t, "/bound", withHeader("Authorization", "dpop  "+bound), withHeader("DPoP", proof))); err != nil || got.Confirmation.Bound() {
		t.Errorf("of a bound token: %+v, %v", got, err)
	}

	p.reload() // keeps what was signed
	if again := p.forwarded(t, "/", withBearer(caller)); again != text {
		t.Error("a reload signs anew")
	}
	p.reload("FIRST="+second, "SECOND="+first)
	rotated := p.forwarded(t, "/", withBearer(caller))
	if rotated == text {
		t.Error("the old key goes on signing")
	}
	if _, err := payments.Verify(t.Context(), rotated); err != nil {
		t.Errorf("the next key was not known before it signed: %v", err)
	}
}

// TestAssertionsWithoutAFile has a key that only the process knows.
func TestAssertionsWithoutAFile(t *testing.T) {
	t.Parallel()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", strings.ReplaceAll(asserting, "key_file {$KEYS}", "")))
	caller := p.issuer.Token()
	text := p.forwarded(t, "/", withBearer(caller))
	p.reload()
	if _, err := p.serviceOf(t, "payments").Verify(t.Context(), text); err != nil {
		t.Errorf("a reload made another key: %v", err)
	}
}

// TestAssertionsGrantNoLeeway: an assertion cannot outlive its token, so one that passes
// by its issuer's leeway alone gets none.
func TestAssertionsGrantNoLeeway(t *testing.T) {
	t.Parallel()
	config := strings.Replace(strings.ReplaceAll(asserting, "key_file {$KEYS}", ""), "jwks_uri", "leeway 1m\n\t\t\tjwks_uri", 1)
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", config))
	late := withBearer(p.issuer.Token(tokentest.Claim("exp", time.Now().Add(-2*time.Second).Unix())))
	p.forwarded(t, "/plain", late)
	p.expectNothingBehind(t, func() {
		got := p.do(t, http.MethodGet, "/", late)
		want := `Bearer error="invalid_token", error_description="The token has expired."`
		if got.status != http.StatusUnauthorized || got.problem(t)["code"] != "invalid_token" || got.header.Get("WWW-Authenticate") != want {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
	})
	if refused := p.metric(`tollgate_token_decisions_total{api="pay",reason="expired",result="refused"}`); refused != "1" {
		t.Errorf("%s are counted as refused", refused)
	}
}

// TestAssertionFiles has key files that must not load, and what is said of them.
func TestAssertionFiles(t *testing.T) {
	t.Parallel()
	readable, text := newKeyFile(t, "readable"), filepath.Join(t.TempDir(), "text")
	if err := os.Chmod(readable, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{readable: "0644", text: "neither", "/nowhere/key": "no such file"} {
		config := writeConfig(t, "Caddyfile", "{\n tollgate {\n assertion {\n issuer https://edge.test/assertions\n key_file "+path+"\n }\n }\n}\n")
		output, err := validate(config, "caddyfile")
		if err == nil || !strings.Contains(output, want) || !strings.Contains(output, path) || !strings.Contains(output, config+":5") || strings.Contains(output, "canary") {
			t.Errorf("%s: %v\n%s", path, err, output)
		}
	}
}
