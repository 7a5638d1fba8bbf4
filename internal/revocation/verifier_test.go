package revocation_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func newVerifier(t testing.TB, i *tokentest.Issuer, by token.Revocations) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.Config{Issuers: []token.Issuer{i.Issuer()}, Revocations: by})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// reason gives why the token is refused, and nothing when it is not.
func reason(t testing.TB, v *token.Verifier, raw string) token.Reason {
	t.Helper()
	_, err := v.Verify(t.Context(), raw)
	if err == nil {
		return ""
	}
	var refused *token.Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return refused.Reason
}

// reencoded gives another signature of the same token that is just as valid: ECDSA
// has two for each.
func reencoded(t testing.TB, raw string) string {
	t.Helper()
	end := strings.LastIndexByte(raw, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(raw[end:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return raw[:end] + base64.RawURLEncoding.EncodeToString(signature)
}

func TestRememberedTokensAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerA)
	end := time.Now().Add(5 * time.Minute)
	for name, test := range map[string]struct {
		claim tokentest.Option
		by    revocation.Revocation
	}{
		"token":   {tokentest.Claim("jti", "id-1"), revocation.OfToken(issuerA, "id-1", end)},
		"grant":   {tokentest.Claim("grant_id", "grant-1"), revocation.OfGrant(issuerA, "grant-1", time.Now())},
		"subject": {tokentest.Claim("sub", "user-9"), revocation.OfSubject(issuerA, "user-9", time.Now().Add(time.Second))},
	} {
		m := revocation.NewMemory(0, nil)
		v := newVerifier(t, issuer, m)
		raw, unused, other := issuer.Token(test.claim), issuer.Token(test.claim), issuer.Token()
		if reason(t, v, raw) != "" || reason(t, v, reencoded(t, raw)) != "" || reason(t, v, other) != "" {
			t.Fatalf("%s: refused beforehand", name)
		}
		revoke(t, m, test.by)
		for _, raw := range []string{raw, reencoded(t, raw), unused, reencoded(t, unused), unused} {
			if got := reason(t, v, raw); got != token.Revoked {
				t.Errorf("%s: %q after the revocation", name, got)
			}
			if tok, err := v.Recall(raw); tok != nil || err == nil {
				t.Errorf("%s: a revoked token is not remembered as one", name)
			}
		}
		if got := reason(t, v, other); got != "" {
			t.Errorf("%s: another token is refused: %s", name, got)
		}
	}
}

// unknowing are revocations of which nobody knows.
type unknowing struct{}

func (unknowing) Revoked(*token.Token, time.Time) (bool, error) {
	return false, errors.New("out of reach")
}

func TestNobodyKnows(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerA)
	v := newVerifier(t, issuer, unknowing{})
	if got := reason(t, v, issuer.Token()); got != token.RevocationsUnavailable || !got.Unavailable() {
		t.Errorf("got %q", got)
	}
	if got := reason(t, v, issuer.Token(tokentest.Claim("aud", "x"))); got != token.WrongAudience {
		t.Errorf("a token that is bad in any case: %q", got)
	}
}

func BenchmarkVerifyWarm(b *testing.B) {
	issuer := tokentest.NewIssuer(b, issuerA)
	m := revocation.NewMemory(0, nil)
	revoke(b, m, revocation.OfToken(issuerA, "1", time.Now().Add(time.Hour)),
		revocation.OfGrant(issuerA, "1", time.Now()), revocation.OfSubject(issuerA, "1", time.Now()))
	v := newVerifier(b, issuer, m)
	raw := issuer.Token(tokentest.Claim("grant_id", "grant-1"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}
