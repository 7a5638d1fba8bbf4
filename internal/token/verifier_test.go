package token_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const issuerURL = "https://auth.example.com"

func newVerifier(t testing.TB, issuers ...token.Issuer) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.Config{Issuers: issuers})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// reasonOf gives why the token is refused, and nothing when it is not.
func reasonOf(t testing.TB, v *token.Verifier, raw string) token.Reason {
	t.Helper()
	_, err := v.Verify(t.Context(), raw)
	if err == nil {
		return ""
	}
	var refused *token.Error
	if !errors.As(err, &refused) {
		t.Fatalf("error outside the vocabulary: %v", err)
	}
	return refused.Reason
}

func TestVerifyReadsTheClaims(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	now := time.Unix(1800000000, 0)
	issuer.Now = func() time.Time { return now }
	v, err := token.NewVerifier(token.Config{Issuers: []token.Issuer{issuer.Issuer()}, Now: issuer.Now})
	if err != nil {
		t.Fatal(err)
	}
	raw := issuer.Token(
		tokentest.Claim("aud", []string{"other", issuer.Audience}),
		tokentest.Claim("jti", "id-1"),
		tokentest.Claim("acr", "urn:bank:two-factors"),
		tokentest.Claim("auth_time", now.Add(-time.Minute).Unix()),
		tokentest.Claim("cnf", map[string]any{"jkt": "thumb", "x5t#S256": "cert"}),
		tokentest.Claim("authorization_details", []any{map[string]any{"type": "payment_initiation", "amount": "1.50"}}),
		tokentest.Claim("tenant", 7),
	)
	got, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != issuerURL || got.Subject != "user-1" || got.ClientID != "client-1" || got.ID != "id-1" {
		t.Errorf("identifiers: %+v", got)
	}
	if len(got.Audience) != 2 || !got.HasScope("profile:read") || got.HasScope("profile") || got.HasScope("") {
		t.Errorf("audience and scopes: %v, %v", got.Audience, got.Scopes)
	}
	if !got.IssuedAt.Equal(now) || !got.ExpiresAt.Equal(now.Add(5*time.Minute)) || !got.AuthTime.Equal(now.Add(-time.Minute)) {
		t.Errorf("times: %v, %v, %v", got.IssuedAt, got.ExpiresAt, got.AuthTime)
	}
	if got.ACR != "urn:bank:two-factors" || got.Confirmation != (token.Confirmation{JKT: "thumb", X5TS256: "cert"}) {
		t.Errorf("acr and cnf: %q, %+v", got.ACR, got.Confirmation)
	}
	if len(got.Details) != 1 || got.Details[0].Type != "payment_initiation" ||
		string(got.Details[0].Raw) != `{"amount":"1.50","type":"payment_initiation"}` {
		t.Errorf("details: %+v", got.Details)
	}
	if tenant, ok := got.Claim("tenant"); !ok || tenant == nil {
		t.Errorf("tenant: %v", tenant)
	}
	if _, ok := got.Claim("Tenant"); ok {
		t.Error("names of claims are exact")
	}
	if got.KeyID != "key-1" || got.Algorithm != "ES256" {
		t.Errorf("key: %q, %q", got.KeyID, got.Algorithm)
	}
}

func TestVerifyAlgorithms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		signs   string
		allowed []string
		reason  token.Reason
	}{
		{"ES256 by default", "ES256", nil, ""},
		{"PS256 by default", "PS256", nil, ""},
		{"EdDSA by default", "EdDSA", nil, ""},
		{"RS256 by default", "RS256", nil, token.WrongAlgorithm},
		{"RS256 on request", "RS256", []string{"RS256"}, ""},
		{"EdDSA by its other name", "EdDSA", []string{"Ed25519"}, ""},
		{"ES256 where Ed25519 is wanted", "ES256", []string{"Ed25519"}, token.WrongAlgorithm},
		{"ES256 where PS256 is wanted", "ES256", []string{"PS256"}, token.WrongAlgorithm},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			issuer := tokentest.NewIssuer(t, issuerURL)
			issuer.Rotate(tokentest.NewKey(t, test.signs, "key-2"))
			config := issuer.Issuer()
			config.Algorithms = test.allowed
			if got := reasonOf(t, newVerifier(t, config), issuer.Token()); got != test.reason {
				t.Errorf("reason %q, want %q", got, test.reason)
			}
		})
	}
}

// One RSA key never verifies both PS256 and RS256, named or not.
func TestVerifyOneKeyOneAlgorithm(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "PS256", "key-1")
	jwk := key.JWK()
	delete(jwk, "alg")
	public, err := jose.ParseKey(map[string]any{"kty": "RSA", "n": jwk["n"], "e": jwk["e"], "kid": "key-1"})
	if err != nil {
		t.Fatal(err)
	}
	issuer := tokentest.NewIssuer(t, issuerURL)
	issuer.Rotate(key)
	v := newVerifier(t, token.Issuer{
		URL: issuerURL, Audiences: []string{issuer.Audience}, Algorithms: []string{"RS256", "PS256"}, Keys: fixedKey{public},
	})
	if got := reasonOf(t, v, issuer.Token()); got != "" {
		t.Errorf("PS256: %q", got)
	}
	key.Algorithm = "RS256"
	if got := reasonOf(t, v, issuer.Token()); got != token.WrongAlgorithm {
		t.Errorf("RS256: %q", got)
	}
}

// fixedKey answers every id with one key.
type fixedKey struct{ key *jose.Key }

func (f fixedKey) Key(context.Context, string) (*jose.Key, error) { return f.key, nil }
func (f fixedKey) Holds(*jose.Key) bool                           { return true }

// failing is a key source that has nothing to give.
type failing struct{ err error }

func (f failing) Key(context.Context, string) (*jose.Key, error) { return nil, f.err }
func (f failing) Holds(*jose.Key) bool                           { return false }

func TestVerifyWithoutKeys(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	for err, want := range map[error]token.Reason{
		token.ErrUnknownKey:      token.UnknownKey,
		token.ErrKeysUnavailable: token.KeysUnavailable,
		context.Canceled:         token.KeysUnavailable,
	} {
		config := issuer.Issuer()
		config.Keys = failing{err}
		if got := reasonOf(t, newVerifier(t, config), issuer.Token()); got != want {
			t.Errorf("%v: reason %q, want %q", err, got, want)
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	good := tokentest.NewIssuer(t, issuerURL).Issuer()
	with := func(change func(*token.Issuer)) token.Config {
		i := good
		change(&i)
		return token.Config{Issuers: []token.Issuer{i}}
	}
	tests := map[string]token.Config{
		"no issuer":           {},
		"issuer twice":        {Issuers: []token.Issuer{good, good}},
		"negative cache size": {Issuers: []token.Issuer{good}, CacheSize: -1},
		"no URL":              with(func(i *token.Issuer) { i.URL = "" }),
		"no keys":             with(func(i *token.Issuer) { i.Keys = nil }),
		"no audience":         with(func(i *token.Issuer) { i.Audiences = nil }),
		"empty audience":      with(func(i *token.Issuer) { i.Audiences = []string{""} }),
		"HS256":               with(func(i *token.Issuer) { i.Algorithms = []string{"ES256", "HS256"} }),
		"none":                with(func(i *token.Issuer) { i.Algorithms = []string{"none"} }),
		"negative leeway":     with(func(i *token.Issuer) { i.Leeway = -1 }),
		"an hour of leeway":   with(func(i *token.Issuer) { i.Leeway = time.Hour }),
	}
	for name, config := range tests {
		if _, err := token.NewVerifier(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestVerifyTimes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1800000000, 0)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	tests := []struct {
		name   string
		option tokentest.Option
		leeway time.Duration
		reason token.Reason
	}{
		{"expires in a second", tokentest.Claim("exp", at(time.Second)), 0, ""},
		{"expires now", tokentest.Claim("exp", at(0)), 0, token.Expired},
		{"expires in half a second", tokentest.Claim("exp", float64(at(0))+0.5), 0, ""},
		{"expired within the leeway", tokentest.Claim("exp", at(-4*time.Second)), 5 * time.Second, ""},
		{"expired at the leeway", tokentest.Claim("exp", at(-5*time.Second)), 5 * time.Second, token.Expired},
		{"expired at the epoch", tokentest.Claim("exp", 0), 0, token.Expired},
		{"issued 10 s ahead", tokentest.Claim("iat", at(10*time.Second)), 0, ""},
		{"issued 11 s ahead", tokentest.Claim("iat", at(11*time.Second)), 0, token.NotYetValid},
		{"issued 60 s ahead", tokentest.Claim("iat", at(time.Minute)), 0, token.NotYetValid},
		{"valid since now", tokentest.Claim("nbf", at(0)), 0, ""},
		{"valid in 10 s", tokentest.Claim("nbf", at(10*time.Second)), 0, ""},
		{"valid in a minute", tokentest.Claim("nbf", at(time.Minute)), 0, token.NotYetValid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			issuer := tokentest.NewIssuer(t, issuerURL)
			issuer.Now = func() time.Time { return now }
			config := issuer.Issuer()
			config.Leeway = test.leeway
			v, err := token.NewVerifier(token.Config{Issuers: []token.Issuer{config}, Now: issuer.Now})
			if err != nil {
				t.Fatal(err)
			}
			if got := reasonOf(t, v, issuer.Token(test.option)); got != test.reason {
				t.Errorf("reason %q, want %q", got, test.reason)
			}
		})
	}
}

func TestHasDetail(t *testing.T) {
	t.Parallel()
	granted := &token.Token{Details: []token.Detail{{Type: "account_information"}, {Type: "payment_initiation"}}}
	if !granted.HasDetail("payment_initiation") || granted.HasDetail("payment") || new(token.Token).HasDetail("") {
		t.Error("does not tell the types apart")
	}
}
