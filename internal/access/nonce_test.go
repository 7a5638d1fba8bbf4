package access_test

import (
	"bytes"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// The dialogue of RFC 9449 section 9: refused, told the nonce, accepted.
func TestNonceDialogue(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	nonces, err := dpop.NewNonces(bytes.Repeat([]byte("k"), 32), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := dpop.New(dpop.Config{Origins: []string{origin}, Replay: dpop.NewMemory(0, nil), Nonces: nonces})
	if err != nil {
		t.Fatal(err)
	}
	c := &access.Checker{Tokens: s.checker.Tokens, Proofs: verifier}
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	r := request("DPoP " + bound)
	r.Header.Set("DPoP", s.proof(bound))
	check(t, c, r, answer{401, "proof_nonce_wanted", []string{`DPoP error="use_dpop_nonce", algs="ES256 PS256 EdDSA"`, "Bearer"}})

	_, p := c.Check(r)
	w := httptest.NewRecorder()
	p.Write(w)
	given := w.Header().Values("DPoP-Nonce")
	if len(given) != 1 || given[0] == "" || !slices.Equal(w.Header().Values("Cache-Control"), []string{"no-store"}) {
		t.Fatalf("%v", w.Header())
	}
	r.Header.Set("DPoP", s.proof(bound, tokentest.Claim("nonce", given[0])))
	check(t, c, r, answer{})
	check(t, c, request("Bearer "+s.issuer.Token()), answer{})
}
