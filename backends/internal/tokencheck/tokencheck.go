// Package tokencheck is how a backend learns who calls: it verifies the access
// token itself, with the very code of the edge. No identity header is trusted.
package tokencheck

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
)

// InternalAudience is the audience of calls from service to service. The
// authorization server gives it to no client.
const InternalAudience = "urn:tollgate:internal"

// Config is what a Check is made of.
type Config struct {
	Issuer   string // exact "iss"
	JWKSURL  string // where the issuer's keys are; discovered when empty
	Audience string // a token must be for it
	// Origin is the edge's external origin, for which DPoP proofs are made. When
	// empty, DPoP-bound tokens are refused.
	Origin string
	// Assertions are the edge's word for tokens that cannot be checked here; the zero
	// value takes none.
	Assertions Assertions
	Logger     *slog.Logger
}

// Check verifies the tokens for one audience.
type Check struct {
	keys    []*jwks.Set
	checker *access.Checker
}

// New makes a Check. It does not dial: Start does.
func New(c Config) (*Check, error) {
	keys, tokens, err := newTokens(c)
	if err != nil {
		return nil, fmt.Errorf("token check: %w", err)
	}
	proofs, err := newProofs(c.Origin)
	if err != nil {
		return nil, fmt.Errorf("token check: %w", err)
	}
	return &Check{keys: keys, checker: &access.Checker{Tokens: tokens, Proofs: proofs}}, nil
}

// newTokens makes what verifies tokens, and the key sets that it goes by.
func newTokens(c Config) ([]*jwks.Set, access.Tokens, error) {
	own, err := jwks.New(jwks.Config{Issuer: c.Issuer, JWKSURL: c.JWKSURL, Logger: c.Logger})
	if err != nil {
		return nil, nil, err
	}
	issuers := []token.Issuer{{URL: c.Issuer, Audiences: []string{c.Audience}, Keys: own}}
	if c.Assertions.Issuer == "" {
		tokens, err := token.NewVerifier(token.Config{Issuers: issuers})
		return []*jwks.Set{own}, tokens, err
	}
	edge, keys, err := c.Assertions.issuer(c.Logger)
	if err != nil {
		return nil, nil, fmt.Errorf("assertions: %w", err)
	}
	tokens, err := token.NewVerifier(token.Config{Issuers: append(issuers, edge)})
	if err != nil {
		return nil, nil, err
	}
	return []*jwks.Set{own, keys}, assertion.NewVerifier(tokens, edge.URL, c.Issuer), nil
}

// newProofs checks proofs once more without remembering them: the edge has
// consumed each, and a second memory would refuse what the first let through.
func newProofs(origin string) (*dpop.Verifier, error) {
	if origin == "" {
		return nil, nil
	}
	// A little older than the edge takes: the same proof arrives here later.
	return dpop.New(dpop.Config{Origins: []string{origin}, Past: 70 * time.Second})
}

// Start fetches the issuer's keys and keeps them fresh until ctx ends.
func (c *Check) Start(ctx context.Context) {
	for _, keys := range c.keys {
		keys.Start(ctx)
	}
}

// Ready tells whether tokens can be verified.
func (c *Check) Ready() bool {
	return !slices.ContainsFunc(c.keys, func(keys *jwks.Set) bool { return !keys.Ready() })
}

type contextKey struct{}

// From gives the token that Require has verified; nil where Require did not run.
func From(ctx context.Context) *token.Token {
	t, _ := ctx.Value(contextKey{}).(*token.Token)
	return t
}

// Require lets pass what bears a good token with all of the scopes, and answers
// everything else as the edge does.
func (c *Check) Require(scopes ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, refusal := c.checker.Check(r)
			if refusal != nil {
				refusal.Write(w)
				return
			}
			for _, scope := range scopes {
				if !t.HasScope(scope) {
					access.InsufficientScope(t, scopes).Write(w)
					return
				}
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, t)))
		})
	}
}
