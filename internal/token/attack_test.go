package token_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// The same attacks meet the built edge in test/conformance.
func TestAttacks(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	other := tokentest.NewIssuer(t, "https://other.example.com")

	// Whoever follows a URL of a header is caught here.
	var followed atomic.Int32
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(listener.Close)

	v := newVerifier(t, issuer.Issuer(), other.Issuer())
	for _, attack := range tokentest.Attacks(t, issuer, other, listener.URL) {
		t.Run(attack.Name, func(t *testing.T) {
			for range 2 { // the second time meets what the first one left in memory
				if got := reasonOf(t, v, attack.Raw); got != attack.Reason {
					t.Errorf("reason %q, want %q", got, attack.Reason)
				}
			}
		})
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d connections to a URL of a header", n)
	}
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
