package tokencheck

import (
	"context"
	"errors"
	"log/slog"

	"github.com/open-tollgate/tollgate/backends/internal/command"
)

// Gates are the two checks of a backend behind the edge.
type Gates struct {
	API      *Check // tokens of the public API
	Internal *Check // tokens of the platform's own services
}

// NewGates makes the gates. c is the configuration of the public one.
func NewGates(c Config) (Gates, error) {
	api, err := New(c)
	if err != nil {
		return Gates{}, err
	}
	// Services call each other directly, with plain bearer tokens that live for a minute.
	c.Audience, c.Origin, c.Assertions = InternalAudience, "", Assertions{}
	internal, err := New(c)
	if err != nil {
		return Gates{}, err
	}
	return Gates{API: api, Internal: internal}, nil
}

// Start fetches the issuer's keys and keeps them fresh until ctx ends.
func (g Gates) Start(ctx context.Context) {
	g.API.Start(ctx)
	g.Internal.Start(ctx)
}

// Ready tells whether tokens can be verified: without keys, no request can be served.
func (g Gates) Ready() error {
	if !g.API.Ready() || !g.Internal.Ready() {
		return errors.New("the keys of the issuer are not here yet")
	}
	return nil
}

// Flags say on a command line whose tokens a backend takes.
type Flags struct {
	issuer, jwksURL, audience    *string
	edge, edgeKeys, edgeAudience *string
}

// DefineFlags defines the flags of the gates.
func DefineFlags(f *command.Flags) Flags {
	return Flags{
		issuer:   f.Text("issuer", "https://localhost:8443", "`URL` of the authorization server; also the edge's origin"),
		jwksURL:  f.Text("jwks-url", "http://127.0.0.1:8081/oauth/jwks", "`URL` of the issuer's keys; empty: discover it"),
		audience: f.Text("audience", "", "`audience` that tokens must be for; empty: the issuer and /api"),

		edge:         f.Text("assertion-issuer", "", "`issuer` of the edge's assertions, for tokens that only the edge can check; empty: none are taken"),
		edgeKeys:     f.Text("assertion-jwks-url", "", "`URL` of the assertions' keys"),
		edgeAudience: f.Text("assertion-audience", "", "what the edge calls this service: the `audience` of assertions"),
	}
}

// Gates makes the gates that the flags describe, once they are parsed.
func (f Flags) Gates(logger *slog.Logger) (Gates, error) {
	audience := *f.audience
	if audience == "" {
		audience = *f.issuer + "/api"
	}
	if *f.edge == "" && (*f.edgeKeys != "" || *f.edgeAudience != "") {
		return Gates{}, errors.New("token check: assertions have no issuer")
	}
	return NewGates(Config{
		Issuer: *f.issuer, JWKSURL: *f.jwksURL, Audience: audience, Origin: *f.issuer, Logger: logger,
		Assertions: Assertions{Issuer: *f.edge, JWKSURL: *f.edgeKeys, Audience: *f.edgeAudience},
	})
}
