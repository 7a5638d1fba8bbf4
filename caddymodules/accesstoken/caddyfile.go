package accesstoken

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
)

func init() {
	httpcaddyfile.RegisterDirective("access_token", parseDirective)
}

// parseDirective sets up the handler from Caddyfile tokens. Syntax:
//
//	access_token {
//		issuer   <url>...
//		audience <name>...
//	}
//
// Both narrow down what the tollgate global option allows; without the block, all of
// it is accepted. There is no matcher: in an API that is not public, every request
// needs a token.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	if err := tollgate.ClaimTokenInBlock(h); err != nil {
		return nil, err
	}
	app, err := tollgate.FromOptions(h)
	if err != nil {
		return nil, err
	}
	if len(app.Issuers) == 0 {
		return nil, h.Err("access_token: no issuer is configured in the tollgate global option")
	}
	if h.NextArg() {
		return nil, h.Errf("access_token takes neither a matcher nor arguments, here %q", h.Val())
	}
	start, handler := h.Token(), new(Handler)
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		if err := handler.parseOption(h, app); err != nil {
			return nil, err
		}
	}
	if err := handler.checkTogether(h, app, start); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// checkTogether looks at the issuers that are left when all options are known.
func (h *Handler) checkTogether(d httpcaddyfile.Helper, app *tollgate.App, start caddyfile.Token) error {
	issuers, err := app.Select(h.Issuers, h.Audiences)
	if err == nil {
		err = tollgate.CheckIssuers(issuers)
	}
	if err != nil {
		return tollgate.ErrorAt(start, "access_token: %w", err)
	}
	block, _ := tollgate.EnclosingBlock(d)
	return block.CheckProfile(app, issuers)
}

func (h *Handler) parseOption(d httpcaddyfile.Helper, app *tollgate.App) error {
	option := d.Val()
	values := d.RemainingArgs()
	switch {
	case option != "issuer" && option != "audience":
		return d.Errf("access_token: unknown option %q", option)
	case len(values) == 0:
		return d.ArgErr()
	case option == "issuer":
		h.Issuers = append(h.Issuers, values...)
	default:
		h.Audiences = append(h.Audiences, values...)
	}
	if _, err := app.Select(h.Issuers, h.Audiences); err != nil {
		return d.Errf("access_token: %w", err)
	}
	return nil
}
