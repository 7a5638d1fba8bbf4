package token_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// FuzzVerify: nothing that the issuer did not sign passes, and every refusal is in
// the vocabulary.
func FuzzVerify(f *testing.F) {
	issuer := tokentest.NewIssuer(f, issuerURL)
	v := newVerifier(f, issuer.Issuer())
	good := issuer.Token()
	for _, seed := range []string{good, good[:len(good)-1], good + "=", "e30.e30.e30", "..", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if raw == good {
			return
		}
		_, err := v.Verify(t.Context(), raw)
		var refused *token.Error
		if !errors.As(err, &refused) || !slices.Contains(token.Reasons(), refused.Reason) {
			t.Fatalf("got %v", err)
		}
	})
}

// FuzzClaims signs whatever claims come: what passes is well-formed.
func FuzzClaims(f *testing.F) {
	issuer := tokentest.NewIssuer(f, issuerURL)
	issuer.Rotate(tokentest.NewKey(f, "EdDSA", "key-2")) // the quickest to sign with
	v := newVerifier(f, issuer.Issuer())
	for _, seed := range []string{
		`{"iss":"https://auth.example.com","aud":["https://auth.example.com/api"],"sub":"u","client_id":"c","jti":"j","iat":1,"exp":99999999999}`,
		`{"iss":"https://auth.example.com","aud":"https://auth.example.com/api","sub":"u","client_id":"c","jti":"j","iat":1,"exp":9e10,"cnf":{"jkt":"x"}}`,
		`{"iss":"https://auth.example.com","aud":[1],"exp":"1","scope":" ","authorization_details":[{"type":"a"}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" || len(payload) > 4<<10 {
			return
		}
		raw := issuer.Key().SignRaw(`{"typ":"at+jwt","alg":"EdDSA","kid":"key-2"}`, payload)
		got, err := v.Verify(t.Context(), raw)
		if err != nil {
			var refused *token.Error
			if !errors.As(err, &refused) || !slices.Contains(token.Reasons(), refused.Reason) {
				t.Fatalf("got %v", err)
			}
			return
		}
		for _, s := range []string{got.Subject, got.ClientID, got.ID} {
			if s == "" || strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("identifier %q", s)
			}
		}
		if got.Issuer != issuerURL || !slices.Contains(got.Audience, issuer.Audience) || got.ExpiresAt.IsZero() {
			t.Fatalf("accepted %+v", got)
		}
		if _, bound := got.Claim("cnf"); bound && !got.Confirmation.Bound() {
			t.Fatal("a confirmation was lost")
		}
	})
}
