package require

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("require", parseDirective)
}

// parseDirective sets up the handler from Caddyfile tokens. Syntax:
//
//	require [<matcher>] {
//		scope <scope>...
//		claim <name> <value>...
//		sender_constrained
//	}
//
// All that is listed has to hold: every scope, and of each claim one of its values.
// Where several require directives match a request, all of them apply.
func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	start := h.Token()
	if err := tollgate.RequireProtectedBlock(h); err != nil {
		return nil, err
	}
	if h.NextArg() {
		return nil, h.Errf("require: %q is not a matcher", h.Val())
	}
	handler := new(Handler)
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		if err := handler.parseOption(h); err != nil {
			return nil, err
		}
	}
	if err := handler.Validate(); err != nil {
		return nil, tollgate.ErrorAt(start, "%w", err)
	}
	return handler, nil
}

func (h *Handler) parseOption(d httpcaddyfile.Helper) error {
	option := d.Val()
	values := d.RemainingArgs()
	switch option {
	case "scope":
		return h.parseScopes(d, values)
	case "claim":
		return h.parseClaim(d, values)
	case "sender_constrained":
		if len(values) > 0 {
			return d.ArgErr()
		}
		return h.parseSenderConstrained(d)
	default:
		return d.Errf("require: unknown option %q", option)
	}
}

func (h *Handler) parseScopes(d httpcaddyfile.Helper, values []string) error {
	if len(values) == 0 {
		return d.ArgErr()
	}
	if bad := slices.IndexFunc(values, func(scope string) bool { return !validScope(scope) }); bad >= 0 {
		return d.Errf("require: scope %q: %w", values[bad], errScope)
	}
	h.Scopes = append(h.Scopes, values...)
	return nil
}

func (h *Handler) parseClaim(d httpcaddyfile.Helper, values []string) error {
	if len(values) < 2 {
		return d.ArgErr()
	}
	name := values[0]
	if _, twice := h.Claims[name]; twice {
		return d.Errf("require: claim %s is there twice", name)
	}
	if h.Claims == nil {
		h.Claims = make(map[string][]string)
	}
	h.Claims[name] = values[1:]
	return nil
}

func (h *Handler) parseSenderConstrained(d httpcaddyfile.Helper) error {
	app, err := tollgate.FromOptions(d)
	if err != nil {
		return err
	}
	if len(app.Origins) == 0 {
		return d.WrapErr(errNoOrigin)
	}
	h.SenderConstrained = true
	return nil
}
