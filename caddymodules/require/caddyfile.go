package require

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
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
//		authorization_details <type>...
//		acr <value>...
//		max_age <duration>
//		sender_constrained
//		dpop
//		mtls
//	}
//
// All that is listed has to hold: every scope, every type of authorization_details, of
// each claim one of its values, and one of the acr values.
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
		return parseWords(d, values, &h.Scopes)
	case "authorization_details":
		return parseWords(d, values, &h.AuthorizationDetails)
	case "acr":
		if h.ACR != nil {
			return d.Err("require: acr is there twice: it lists values of which one will do")
		}
		return parseWords(d, values, &h.ACR)
	case "max_age":
		return h.parseMaxAge(d, values)
	case "claim":
		return h.parseClaim(d, values)
	case "sender_constrained":
		return parseConstraint(d, values, &h.SenderConstrained)
	case "dpop":
		return parseConstraint(d, values, &h.DPoP)
	case "mtls":
		if len(values) > 0 {
			return d.ArgErr()
		}
		h.MTLS = true
		return nil
	default:
		return d.Errf("require: unknown option %q", option)
	}
}

func parseWords(d httpcaddyfile.Helper, values []string, words *[]string) error {
	if len(values) == 0 {
		return d.ArgErr()
	}
	if bad := slices.IndexFunc(values, func(word string) bool { return !validWord(word) }); bad >= 0 {
		return d.Errf("require: %q: %w", values[bad], errWord)
	}
	*words = append(*words, values...)
	return nil
}

func (h *Handler) parseMaxAge(d httpcaddyfile.Helper, values []string) error {
	if len(values) != 1 {
		return d.ArgErr()
	}
	if h.MaxAge != 0 {
		return d.Err("require: max_age is there twice")
	}
	age, err := caddy.ParseDuration(values[0])
	if err != nil || age < time.Second || age%time.Second != 0 {
		return d.Errf("%w, here %q", errMaxAge, values[0])
	}
	h.MaxAge = caddy.Duration(age)
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

// parseConstraint reads one of those that DPoP can meet.
func parseConstraint(d httpcaddyfile.Helper, values []string, wanted *bool) error {
	if len(values) > 0 {
		return d.ArgErr()
	}
	app, err := tollgate.FromOptions(d)
	if err != nil {
		return err
	}
	if len(app.Origins) == 0 {
		return d.WrapErr(errNoOrigin)
	}
	*wanted = true
	return nil
}
