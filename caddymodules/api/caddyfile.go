package api

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/identity"
)

func init() {
	httpcaddyfile.RegisterDirective("api", parseDirective)
}

// namesKey is where the adapter remembers which names are taken, over all sites.
const namesKey = "tollgate.api_names"

// parseDirective sets up an API from Caddyfile tokens. Syntax:
//
//	api <name> [<matcher> | <path>...] {
//		public
//		profile fapi2
//		methods <method>...
//		websocket
//		strip <header>...
//		audit required | off
//		resource <path> | <url> [<name>]
//		<directives...>
//	}
//
// audit required answers 503 while the audit log cannot take what is decided here; off
// keeps it out of the log.
//
// resource is what OAuth clients call the API: resource_metadata publishes what they need
// to know, and the API's challenges say where.
//
// Either public or access_token has to be there. profile fapi2 holds every request to what
// the FAPI 2.0 Security Profile asks of a resource server, and refuses a configuration that
// says otherwise. The directives are sorted as in a
// handle block, with access_token, require and rate_limit first.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	start := h.Token()
	if outer, nested := tollgate.EnclosingBlock(h); nested {
		return nil, h.Errf("an api cannot be inside another, here %s", outer.Name)
	}
	handler, err := parseName(h)
	if err != nil {
		return nil, err
	}
	matchers, err := parseMatchers(h)
	if err != nil {
		return nil, err
	}
	profileAt := start
	directives, err := parseSettings(h, handler, &profileAt)
	if err != nil {
		return nil, err
	}
	if err := handler.checkProfile(); err != nil {
		return nil, tollgate.ErrorAt(profileAt, "%w", err)
	}
	if _, authenticated := directives["access_token"]; !authenticated && !handler.Public {
		return nil, tollgate.ErrorAt(start, "api %s lets everybody in: it needs access_token, or public to say so aloud", handler.Name)
	}
	if handler.Routes, err = parseRoutes(h, handler, profileAt); err != nil {
		return nil, locate(err, directives)
	}
	return h.NewRoute(matchers, handler), nil
}

func parseName(h httpcaddyfile.Helper) (*Handler, error) {
	if !h.NextArg() {
		return nil, h.ArgErr()
	}
	name := h.Val()
	if !validName.MatchString(name) {
		return nil, h.Errf("api name %q %v", name, errName)
	}
	taken, _ := h.State[namesKey].(map[string]caddyfile.Token)
	if taken == nil {
		taken = make(map[string]caddyfile.Token)
		h.State[namesKey] = taken
	}
	if first, twice := taken[name]; twice {
		return nil, h.Errf("api name %q is already in use at %s:%d", name, first.File, first.Line)
	}
	taken[name] = h.Token()
	return &Handler{Name: name}, nil
}

// parseMatchers reads one matcher of any kind, or any number of inline paths.
func parseMatchers(h httpcaddyfile.Helper) (caddy.ModuleMap, error) {
	switch h.CountRemainingArgs() {
	case 0:
		return nil, nil
	case 1:
		matchers, found, err := h.MatcherToken()
		if err == nil && !found {
			err = h.Errf("api matcher %q is neither a path nor @name nor *", h.Val())
		}
		return matchers, err
	}
	var paths caddyhttp.MatchPath
	for h.NextArg() {
		if !strings.HasPrefix(h.Val(), "/") {
			return nil, h.Errf("api takes one matcher or several paths, and %q is not a path", h.Val())
		}
		paths = append(paths, h.Val())
	}
	return caddy.ModuleMap{"path": h.JSON(paths)}, nil
}

// parseSettings reads what is not a directive of its own and takes it out of the
// block. Of the directives that stay it gives where each one is, and of the profile too.
func parseSettings(h httpcaddyfile.Helper, handler *Handler, profileAt *caddyfile.Token) (map[string]caddyfile.Token, error) {
	directives := make(map[string]caddyfile.Token)
	var resource *caddyfile.Token
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		switch name := h.Val(); name {
		case "public":
			if err := parseFlag(h, &handler.Public); err != nil {
				return nil, err
			}
		case "profile":
			*profileAt = h.Token()
			if err := tollgate.ParseProfile(h.Dispenser, &handler.Profile); err != nil {
				return nil, err
			}
			h.DeleteN(2)
		case "websocket":
			if err := parseFlag(h, &handler.WebSocket); err != nil {
				return nil, err
			}
		case "audit":
			if err := parseAudit(h, handler); err != nil {
				return nil, err
			}
		case "methods":
			if err := parseMethods(h, handler); err != nil {
				return nil, err
			}
		case "strip":
			if err := parseStrip(h, handler); err != nil {
				return nil, err
			}
		case "resource":
			at := h.Token()
			if err := parseResource(h, handler); err != nil {
				return nil, err
			}
			resource = &at
		default:
			directives[name] = h.Token()
			h.NextSegment()
		}
	}
	if resource != nil && handler.Public {
		return nil, tollgate.ErrorAt(*resource, "resource: %w", errPublicResource)
	}
	return directives, nil
}

// locate gives an unknown directive its own line: Caddy names the end of the block.
func locate(err error, directives map[string]caddyfile.Token) error {
	_, rest, found := strings.Cut(err.Error(), "unrecognized directive: ")
	if !found {
		return err
	}
	name, _, _ := strings.Cut(rest, " ")
	if token, ok := directives[name]; ok {
		return tollgate.ErrorAt(token, "unrecognized directive: %s", name)
	}
	return err
}

// parseFlag reads a setting that is there or is not.
func parseFlag(h httpcaddyfile.Helper, flag *bool) error {
	if h.CountRemainingArgs() > 0 {
		return h.ArgErr()
	}
	*flag = true
	h.Delete()
	return nil
}

func parseMethods(h httpcaddyfile.Helper, handler *Handler) error {
	if handler.Methods != nil {
		return h.Errf("api %s has methods twice", handler.Name)
	}
	count := 1
	for ; h.NextArg(); count++ {
		if !slices.Contains(knownMethods, h.Val()) {
			return h.Errf("methods: %q is not one of %s", h.Val(), strings.Join(knownMethods, " "))
		}
		handler.Methods = append(handler.Methods, h.Val())
	}
	if handler.Methods == nil {
		return h.ArgErr()
	}
	h.DeleteN(count)
	return nil
}

func parseStrip(h httpcaddyfile.Helper, handler *Handler) error {
	names := h.RemainingArgs()
	if len(names) == 0 {
		return h.ArgErr()
	}
	if _, err := identity.New(names...); err != nil {
		return h.Errf("strip %w", err)
	}
	handler.Strip = append(handler.Strip, names...)
	h.DeleteN(len(names) + 1)
	return nil
}

// parseRoutes reads what is left of the block as a handle block would.
func parseRoutes(h httpcaddyfile.Helper, handler *Handler, profileAt caddyfile.Token) (caddyhttp.RouteList, error) {
	h.Reset()
	h.Next()
	h.DeleteN(len(h.RemainingArgs())) // the name and the matcher, which a handle block does not have
	h.Reset()
	inside := tollgate.Block{
		Name: handler.Name, Public: handler.Public, Profile: handler.Profile, ProfileAt: profileAt,
	}.Enter(h)
	subroute, err := httpcaddyfile.ParseSegmentAsSubroute(inside)
	if err != nil {
		return nil, err
	}
	return subroute.(*caddyhttp.Subroute).Routes, nil
}
