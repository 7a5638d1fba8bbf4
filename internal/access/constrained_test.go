package access_test

import (
	"net/http"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// TestEveryTokenIsBound has an issuer whose tokens all have to be.
func TestEveryTokenIsBound(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	settings := s.issuer.Issuer()
	settings.SenderConstrained = true
	const wanted = `error="invalid_token", error_description="A sender-constrained access token is required."`
	c := &access.Checker{Tokens: tokens(t, settings), Proofs: s.checker.Proofs, ResourceMetadata: metadata}
	unbound := answer{401, "not_sender_constrained",
		[]string{`DPoP ` + wanted + `, algs="ES256 PS256 EdDSA", resource_metadata="` + metadata + `"`}}
	check(t, c, request("Bearer "+s.issuer.Token()), unbound)
	check(t, c, request("DPoP "+s.issuer.Token()), unbound)
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	r := request("DPoP " + bound)
	r.Header.Set("DPoP", s.proof(bound))
	check(t, c, r, answer{})

	withoutProofs := &access.Checker{Tokens: tokens(t, settings), Certificate: func(*http.Request) ([]byte, error) { return nil, nil }}
	check(t, withoutProofs, request("Bearer "+s.issuer.Token()), answer{401, "not_sender_constrained", []string{"Bearer " + wanted}})
}
