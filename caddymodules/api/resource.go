package api

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/resource"
)

// identifiersKey is where the adapter remembers which identifiers are taken, over all sites.
const identifiersKey = "tollgate.resources"

var errPublicResource = errors.New("nobody needs a token for a public api: it has no resource")

// beginResource makes the API a resource that the handlers in it can describe.
func (h *Handler) beginResource() error {
	switch {
	case h.Resource == "" && h.ResourceName == "":
		return nil
	case h.Public:
		return fmt.Errorf("api %s: resource: %w", h.Name, errPublicResource)
	}
	if err := h.app.DescribeResource(h.Name, h.Resource, h.ResourceName); err != nil {
		return fmt.Errorf("api %s: resource %q: %w", h.Name, h.Resource, err)
	}
	return nil
}

// completeResource adds what only the API as a whole knows.
func (h *Handler) completeResource() {
	m := h.app.Resource(h.Name)
	for _, route := range h.Routes {
		if len(route.MatcherSets) > 0 || route.Group != "" {
			continue // not on the way of all requests
		}
		for _, handler := range route.Handlers {
			if r, ok := handler.(interface{ WantsDPoP() bool }); ok && r.WantsDPoP() {
				m.DPoPRequired = true
			}
		}
	}
}

// parseResource reads: resource <path> | <url> [<name>]
func parseResource(h httpcaddyfile.Helper, handler *Handler) error {
	if handler.Resource != "" {
		return h.Errf("api %s has resource twice", handler.Name)
	}
	args := h.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return h.ArgErr()
	}
	app, err := tollgate.FromOptions(h)
	if err != nil {
		return err
	}
	identifier, err := resource.Identifier(app.Origins, args[0])
	if err != nil {
		return h.Errf("resource %q: %w", args[0], err)
	}
	if first, twice := claim(h, identifier); twice {
		return h.Errf("resource %s is there twice, first at %s:%d", identifier, first.File, first.Line)
	}
	handler.Resource = args[0]
	if len(args) == 2 {
		handler.ResourceName = args[1]
	}
	h.DeleteN(len(args) + 1)
	return nil
}

// claim takes an identifier for the resource here, or gives where it is taken.
func claim(h httpcaddyfile.Helper, identifier string) (first caddyfile.Token, twice bool) {
	taken, _ := h.State[identifiersKey].(map[string]caddyfile.Token)
	if taken == nil {
		taken = make(map[string]caddyfile.Token)
		h.State[identifiersKey] = taken
	}
	if first, twice = taken[identifier]; !twice {
		taken[identifier] = h.Token()
	}
	return first, twice
}
