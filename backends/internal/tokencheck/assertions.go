package tokencheck

import (
	"errors"
	"log/slog"

	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Assertions say whose word about callers is taken beside the issuer's own: the edge's,
// for tokens that only the edge can check. They are about the issuer's users and clients.
type Assertions struct {
	Issuer   string // what the edge signs with; empty: nobody's word is taken
	JWKSURL  string // where the edge publishes its keys
	Audience string // what the edge calls this service
}

// issuer gives the edge as one more issuer of tokens.
func (a Assertions) issuer(logger *slog.Logger) (token.Issuer, *jwks.Set, error) {
	if a.JWKSURL == "" || a.Audience == "" {
		return token.Issuer{}, nil, errors.New("the URL of the keys and the audience are needed as well")
	}
	if a.Audience == InternalAudience {
		return token.Issuer{}, nil, errors.New("the audience is that of calls between services")
	}
	keys, err := jwks.New(jwks.Config{Issuer: a.Issuer, JWKSURL: a.JWKSURL, Logger: logger})
	return token.Issuer{URL: a.Issuer, Audiences: []string{a.Audience}, Keys: keys}, keys, err
}
