// Package assertionkeys is the Caddy handler that publishes the keys of the edge's
// assertions, for the services that get these.
package assertionkeys

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/document"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterDirective("assertion_keys", parseDirective)
}

var errNotPublic = errors.New("assertion_keys must be in an api that is public: keys are asked for without a token")

// Handler answers GET and HEAD with a JWK Set (RFC 7517 section 5), and lets the rest pass.
type Handler struct {
	keys *document.Document
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.assertion_keys", New: func() caddy.Module { return new(Handler) }}
}

// Provision takes the keys from the tollgate app.
func (h *Handler) Provision(ctx caddy.Context) error {
	if api, ok := tollgate.EnclosingAPI(ctx); !ok || !api.IsPublic() {
		return errNotPublic
	}
	app, err := tollgate.FromContext(ctx)
	if err != nil {
		return err
	}
	keys, err := app.AssertionKeys()
	if err != nil {
		return fmt.Errorf("assertion_keys: %w", err)
	}
	h.keys = document.New("application/jwk-set+json", keys)
	return nil
}

// ServeHTTP serves the keys.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return next.ServeHTTP(w, r)
	}
	h.keys.ServeHTTP(w, r)
	return nil
}

// parseDirective sets up the handler from Caddyfile tokens. Syntax:
//
//	assertion_keys
//
// The api that it is in is public, and says at which path the keys are.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	if block, ok := tollgate.EnclosingBlock(h); !ok || !block.Public {
		return nil, h.WrapErr(errNotPublic)
	}
	app, err := tollgate.FromOptions(h)
	if err != nil {
		return nil, err
	}
	if app.Assertion == nil {
		return nil, h.Err("assertion_keys: no assertion is configured in the tollgate global option")
	}
	if h.NextArg() {
		return nil, h.Errf("assertion_keys takes neither a matcher nor arguments, here %q", h.Val())
	}
	if h.NextBlock(h.Nesting()) {
		return nil, h.Errf("assertion_keys has no options, here %q", h.Val())
	}
	return h.NewRoute(nil, new(Handler)), nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
