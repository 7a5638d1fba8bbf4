// Package require is the Caddy handler that decides what a caller may do: which
// scopes and claims a request's access token must have.
package require

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

var errNoOrigin = errors.New("require: sender_constrained needs an origin in the tollgate global option: without it no token could satisfy it")

// Handler authorizes. All of its conditions have to hold, and those of every other
// require that the request passes.
type Handler struct {
	// Scopes that the token must all have.
	Scopes []string `json:"scopes,omitempty"`
	// Claims must each be, or contain, one of the values, compared exactly.
	Claims map[string][]string `json:"claims,omitempty"`
	// SenderConstrained wants a token that is of use only to whom it was issued (RFC 9449).
	SenderConstrained bool `json:"sender_constrained,omitempty"`

	api        string
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
	app, err := tollgate.FromContext(ctx)
	if err != nil {
		return err
	}
	if h.algorithms = app.ProofAlgorithms(); h.SenderConstrained && h.algorithms == "" {
		return errNoOrigin
	}
	h.api = api.APIName()
	return tollgate.Register(ctx, tollgate.Decisions)
}

// Validate refuses a require that requires nothing.
func (h *Handler) Validate() error {
	if len(h.Scopes) == 0 && len(h.Claims) == 0 && !h.SenderConstrained {
		return errors.New("require: empty, which would allow everything")
	}
	if slices.ContainsFunc(h.Scopes, func(scope string) bool { return !validScope(scope) }) {
		return fmt.Errorf("require: scope: %w", errScope)
	}
	for name, values := range h.Claims {
		if len(values) == 0 {
			return fmt.Errorf("require: claim %s has no value", name)
		}
	}
	return nil
}

// ServeHTTP denies the request, or passes it on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	t, ok := tollgate.TokenOf(r)
	if !ok { // the configuration checks make this impossible; were they wrong, nobody gets in
		return problem.New(http.StatusInternalServerError, "internal_error", "").WithReason("no_token_known")
	}
	if denial := h.judge(t); denial != nil {
		tollgate.Decisions.WithLabelValues(h.api, tollgate.Denied, denial.Reason).Inc()
		return denial
	}
	return next.ServeHTTP(w, r)
}

func (h *Handler) judge(t *token.Token) *problem.Problem {
	if h.SenderConstrained && !t.Confirmation.Bound() {
		return h.notSenderConstrained()
	}
	if slices.ContainsFunc(h.Scopes, func(scope string) bool { return !t.HasScope(scope) }) {
		return access.InsufficientScope(t, h.Scopes)
	}
	for name, values := range h.Claims {
		if value, _ := t.Claim(name); !matches(value, values) {
			return access.ClaimMismatch(name)
		}
	}
	return nil
}

// matches compares a claim with the values that are wanted: an array has to contain one.
func matches(claim any, wanted []string) bool {
	switch claim := claim.(type) {
	case string:
		return slices.Contains(wanted, claim)
	case json.Number:
		return slices.Contains(wanted, claim.String())
	case bool:
		return slices.Contains(wanted, strconv.FormatBool(claim))
	case []any:
		return slices.ContainsFunc(claim, func(element any) bool {
			_, nested := element.([]any)
			return !nested && matches(element, wanted)
		})
	default:
		return false
	}
}

// notSenderConstrained asks for another token rather than for another permission:
// that is a 401 (RFC 6750 section 3.1), with the scheme that would do.
func (h *Handler) notSenderConstrained() *problem.Problem {
	challenge := problem.NewChallenge("DPoP").With("error", "invalid_token").
		With("error_description", "A sender-constrained access token is required").With("algs", h.algorithms)
	return problem.New(http.StatusUnauthorized, "invalid_token", "This request needs a sender-constrained access token.").
		WithReason(tollgate.NotSenderConstrained).WithHeader("WWW-Authenticate", challenge.String())
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
