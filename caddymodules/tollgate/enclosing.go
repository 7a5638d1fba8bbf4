package tollgate

import (
	"errors"
	"fmt"
	"maps"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// API is what the handlers inside an `api` may know of it.
type API interface {
	APIName() string
	IsPublic() bool
	APIProfile() Profile
	// ClaimToken is for the access_token of the API, of which there is one: with a
	// second one further in, it would be by chance whose issuers a reload asks for.
	ClaimToken() error
}

// EnclosingAPI gives the `api` that the module being provisioned is in.
func EnclosingAPI(ctx caddy.Context) (api API, ok bool) {
	for _, module := range ctx.Modules() {
		if api, ok = module.(API); ok {
			return api, true
		}
	}
	return nil, false
}

// ProtectedAPI gives the `api` that the module being provisioned is in, or why a
// handler that depends on the caller's identity cannot be where it is.
func ProtectedAPI(ctx caddy.Context) (API, error) {
	api, ok := EnclosingAPI(ctx)
	if !ok {
		return nil, errors.New("must be inside an api")
	}
	if api.IsPublic() {
		return nil, fmt.Errorf("api %s is public", api.APIName())
	}
	return api, nil
}

// blockKey is where the Caddyfile adapter remembers which `api` block it is in.
const blockKey = "tollgate.api"

// Block is an `api` block while the Caddyfile is adapted.
type Block struct {
	Name   string
	Public bool

	Profile   Profile
	ProfileAt caddyfile.Token // where it is, if there is one

	accessToken *caddyfile.Token // the first one in here; nil: none yet

	// Assertions are where the last identity_assertion of each audience is.
	Assertions map[string]caddyfile.Token
}

// IdentityAssertion is the name of the handler and of its directive.
const IdentityAssertion = "identity_assertion"

// Enter gives a helper for what is inside the block. The state of the blocks around
// it is left alone.
func (b Block) Enter(h httpcaddyfile.Helper) httpcaddyfile.Helper {
	h.BlockState = maps.Clone(h.BlockState)
	if h.BlockState == nil {
		h.BlockState = make(map[string]any, 1)
	}
	h.BlockState[blockKey] = &b
	return h
}

// EnclosingBlock gives the `api` block that the directive is in.
func EnclosingBlock(h httpcaddyfile.Helper) (block *Block, ok bool) {
	block, ok = h.BlockState[blockKey].(*Block)
	return block, ok
}

// RequireProtectedBlock gives an error with file and line where a directive that
// depends on the caller's identity cannot be where it is.
func RequireProtectedBlock(h httpcaddyfile.Helper) error {
	block, ok := EnclosingBlock(h)
	switch {
	case !ok:
		return h.Errf("%s must be inside an api block", h.Val())
	case block.Public:
		return h.Errf("%s cannot be in api %s, which is public: say one or the other", h.Val(), block.Name)
	default:
		return nil
	}
}

// ClaimTokenInBlock gives an error with file and line where an access_token is not the
// only one of its API.
func ClaimTokenInBlock(h httpcaddyfile.Helper) error {
	if err := RequireProtectedBlock(h); err != nil {
		return err
	}
	block, _ := EnclosingBlock(h)
	if first := block.accessToken; first != nil {
		return h.Errf("api %s has access_token twice, first at %s:%d", block.Name, first.File, first.Line)
	}
	token := h.Token()
	block.accessToken = &token
	return nil
}

// ErrorAt makes a configuration error that names the file and line of the token.
func ErrorAt(token caddyfile.Token, format string, args ...any) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d.Errf(format, args...)
}
