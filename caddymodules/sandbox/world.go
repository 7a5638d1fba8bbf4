package sandbox

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
	"github.com/open-tollgate/tollgate/internal/token"
)

// world is what a sandbox has in place of everything outside.
type world struct {
	*mint.Issuers
	clock *clock
	keys  func(issuer string) token.KeySource
}

// Now implements tollgate.World.
func (w *world) Now() time.Time { return w.clock.Now() }

// Keys implements tollgate.World.
func (w *world) Keys(issuer string) token.KeySource { return w.keys(issuer) }

// clock stands still until somebody sets it on.
type clock struct{ unix atomic.Int64 }

func (c *clock) Now() time.Time      { return time.Unix(0, c.unix.Load()).UTC() }
func (c *clock) set(t time.Time)     { c.unix.Store(t.UnixNano()) }
func (c *clock) add(d time.Duration) { c.unix.Add(int64(d)) }

// worlds are those of all sandboxes, by which Caddy finds them.
var worlds sync.Map

// worldApp leads Caddy to the world of a sandbox.
type worldApp struct {
	Name string `json:"name"`
	*world
}

// CaddyModule returns the Caddy module information.
func (*worldApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: tollgate.WorldID, New: func() caddy.Module { return new(worldApp) }}
}

// Provision finds the world.
func (a *worldApp) Provision(caddy.Context) error {
	found, ok := worlds.Load(a.Name)
	if !ok {
		return errors.New("no such world")
	}
	a.world = found.(*world)
	return nil
}

// Start implements caddy.App. Nothing is started.
func (*worldApp) Start() error { return nil }

// Stop implements caddy.App.
func (*worldApp) Stop() error { return nil }

type (
	metKey  struct{}
	callKey struct{}
)

// met gives what a request has met so far; what nobody reads where nobody asks.
func met(ctx context.Context) *cases.Met {
	if m, ok := ctx.Value(metKey{}).(*cases.Met); ok {
		return m
	}
	return &cases.Met{Passed: make(map[string]bool)}
}

// callOf gives the call that a request was made of.
func callOf(ctx context.Context) cases.Call {
	c, _ := ctx.Value(callKey{}).(cases.Call)
	return c
}

// registerOnce makes the modules of this package known to Caddy, in a process that needs
// them: no edge that serves anybody can be configured with one.
var registerOnce = sync.OnceFunc(func() {
	for _, module := range []caddy.Module{new(logWriter), new(worldApp), new(probe), new(absent), new(service)} {
		caddy.RegisterModule(module)
	}
})

// Interface guard.
var _ tollgate.World = (*world)(nil)
