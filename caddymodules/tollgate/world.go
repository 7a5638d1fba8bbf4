package tollgate

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/introspect"
	"github.com/open-tollgate/tollgate/internal/token"
)

// World stands in for what is outside of the process, and for the time: for the cases of
// `tollgate policy test`, which meet an edge of their own that connects to nothing. It is
// an app beside this one, of a module that no edge has which serves anybody.
type World interface {
	Now() time.Time
	// Keys are those that an issuer signs with, wherever the configuration has them.
	Keys(issuer string) token.KeySource
	// RoundTripper answers what issuers are asked.
	http.RoundTripper
}

// WorldID is the module that is looked for.
const WorldID = "sandbox"

// worldOf gives the world of the configuration that is being provisioned; nil: the real one.
func worldOf(ctx caddy.Context) World {
	app, err := ctx.AppIfConfigured(WorldID)
	if err != nil {
		return nil
	}
	world, _ := app.(World)
	return world
}

// Now is the time that decisions are made at.
func (a *App) Now() time.Time {
	if a.world == nil {
		return time.Now()
	}
	return a.world.Now()
}

// clock is nil, which stands for the system's, in the real world.
func (a *App) clock() func() time.Time {
	if a.world == nil {
		return nil
	}
	return a.world.Now
}

// worldly is the key of a pool in another world, which shares nothing with this one.
type worldly struct {
	world World
	key   any
}

// own gives the key of what is pooled for this app.
func (a *App) own(key any) any {
	if a.world == nil {
		return key
	}
	return worldly{a.world, key}
}

// standIn are the credentials of an edge that asks nobody.
func (n *Introspection) standIn() (introspect.Credentials, error) {
	return introspect.Secret(n.ClientID, "nobody's secret")
}
