// Package require is the Caddy handler that decides what a caller may do: what
// a request's access token must allow, how it must be bound to its sender, and how its
// user must have authenticated.
package require

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

var errNoOrigin = errors.New("require: sender_constrained and dpop need an origin in the tollgate global option: without it there is no DPoP. Where certificates alone will do, say mtls")

var errMaxAge = errors.New("require: max_age is in whole seconds, at least one")

// Handler authorizes. All of its conditions have to hold, and those of every other
// require that the request passes.
type Handler struct {
	// Scopes that the token must all have.
	Scopes []string `json:"scopes,omitempty"`
	// Claims must each be, or contain, one of the values, compared exactly.
	Claims map[string][]string `json:"claims,omitempty"`
	// SenderConstrained wants a token that is of use only to whom it was issued,
	// by whichever of the two ways that follow.
	SenderConstrained bool `json:"sender_constrained,omitempty"`
	// DPoP wants a token that is bound to a key of the caller's by DPoP (RFC 9449).
	DPoP bool `json:"dpop,omitempty"`
	// MTLS wants a token that is bound to the caller's certificate (RFC 8705).
	MTLS bool `json:"mtls,omitempty"`
	// ACR lists the authentication context classes of which the token has to name one (RFC 9470).
	ACR []string `json:"acr,omitempty"`
	// MaxAge is how long ago the user may have authenticated, in whole seconds (RFC 9470).
	MaxAge caddy.Duration `json:"max_age,omitempty"`
	// AuthorizationDetails are types, of each of which the token must have one (RFC 9396).
	// What is in it is the service's to judge.
	AuthorizationDetails []string `json:"authorization_details,omitempty"`

	api        string
	app        *tollgate.App
	algorithms string // of DPoP proofs, for challenges
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.require", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the API that the handler is in.
func (h *Handler) Provision(ctx caddy.Context) error {
	api, err := tollgate.ProtectedAPI(ctx)
	if err != nil {
		return fmt.Errorf("require: %w", err)
	}
	if h.app, err = tollgate.FromContext(ctx); err != nil {
		return err
	}
	if h.algorithms = h.app.ProofAlgorithms(); (h.SenderConstrained || h.DPoP) && h.algorithms == "" {
		return errNoOrigin
	}
	h.api = api.APIName()
	h.describe(h.app.Resource(h.api))
	return tollgate.Register(ctx, tollgate.Decisions)
}

// Validate refuses a require that requires nothing, or what no token could have.
func (h *Handler) Validate() error {
	if h.empty() {
		return errors.New("require: empty, which would allow everything")
	}
	for option, words := range map[string][]string{"scope": h.Scopes, "acr": h.ACR, "authorization_details": h.AuthorizationDetails} {
		if slices.ContainsFunc(words, func(word string) bool { return !validWord(word) }) {
			return fmt.Errorf("require: %s: %w", option, errWord)
		}
	}
	for name, values := range h.Claims {
		if len(values) == 0 {
			return fmt.Errorf("require: claim %s has no value", name)
		}
	}
	if age := time.Duration(h.MaxAge); age < 0 || age%time.Second != 0 {
		return errMaxAge
	}
	return nil
}

func (h *Handler) empty() bool {
	return len(h.constraints()) == 0 && len(h.Scopes) == 0 && len(h.AuthorizationDetails) == 0 &&
		len(h.Claims) == 0 && len(h.ACR) == 0 && h.MaxAge == 0
}

// ServeHTTP denies the request, or passes it on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	t, ok := tollgate.TokenOf(r)
	if !ok { // the configuration checks make this impossible; were they wrong, nobody gets in
		return problem.New(http.StatusInternalServerError, "internal_error", "").WithReason("no_token_known")
	}
	if denial := h.judge(t, h.app.Now()); denial != nil {
		tollgate.Decisions.WithLabelValues(h.api, tollgate.Denied, denial.Reason).Inc()
		return access.WithMetadata(denial, h.app.MetadataURL(h.api))
	}
	return next.ServeHTTP(w, r)
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
