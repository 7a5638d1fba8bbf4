// Package resourcemetadata is the Caddy handler that publishes what OAuth clients need to
// know of the edge's APIs (RFC 9728): who issues tokens for them, and with which scopes.
package resourcemetadata

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterDirective("resource_metadata", parseDirective)
}

var errNotPublic = errors.New("resource_metadata must be in an api that is public: clients ask for it before they have a token")

// Handler answers with the metadata of the API whose identifier belongs to the request's
// path, and lets everything else pass. That it is there has the challenges of these APIs
// name it.
type Handler struct {
	app *tollgate.App
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.resource_metadata", New: func() caddy.Module { return new(Handler) }}
}

// Provision says that the metadata is served.
func (h *Handler) Provision(ctx caddy.Context) error {
	if api, ok := tollgate.EnclosingAPI(ctx); !ok || !api.IsPublic() {
		return errNotPublic
	}
	var err error
	if h.app, err = tollgate.FromContext(ctx); err != nil {
		return err
	}
	h.app.PublishResources()
	return nil
}

// ServeHTTP serves the document of one API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return next.ServeHTTP(w, r)
	}
	found, err := h.app.FindResource(r.Host, r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if found == nil {
		return next.ServeHTTP(w, r)
	}
	found.ServeHTTP(w, r)
	return nil
}

// parseDirective sets up the handler from Caddyfile tokens. Syntax:
//
//	resource_metadata
//
// It serves each API that has a resource, at the place that RFC 9728 section 3.1 derives
// from it: /.well-known/oauth-protected-resource, and the path of the resource. The api
// that it is in is public, and has to match these paths.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	if block, ok := tollgate.EnclosingBlock(h); !ok || !block.Public {
		return nil, h.WrapErr(errNotPublic)
	}
	if h.NextArg() {
		return nil, h.Errf("resource_metadata takes neither a matcher nor arguments, here %q", h.Val())
	}
	if h.NextBlock(h.Nesting()) {
		return nil, h.Errf("resource_metadata has no options, here %q", h.Val())
	}
	return h.NewRoute(nil, new(Handler)), nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
