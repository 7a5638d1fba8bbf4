// Package identityassertion is the Caddy handler that tells a service who calls, where
// the service cannot check the caller's token itself: it puts a token of the edge's own,
// for that service alone, in the place of the caller's.
package identityassertion

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/problem"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective(tollgate.IdentityAssertion, parseDirective)
}

// A package variable, so that a reload does not set it back to zero.
var signatures = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "tollgate_assertions_signed_total",
	Help: "Assertions signed for services, by API. Most requests need none: one serves a token for most of a minute.",
}, []string{"api"})

// Handler replaces the Authorization of a request that access_token has let in. Neither
// the caller's token nor its DPoP proof goes on.
type Handler struct {
	// Audience is the name of the service, which it has to insist on.
	Audience string `json:"audience"`

	api        string
	app        *tollgate.App
	assertions *assertion.Audience
	signed     prometheus.Counter
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.identity_assertion", New: func() caddy.Module { return new(Handler) }}
}

// Provision takes what signs from the tollgate app.
func (h *Handler) Provision(ctx caddy.Context) error {
	api, err := tollgate.ProtectedAPI(ctx)
	if err != nil {
		return fmt.Errorf("identity_assertion: %w", err)
	}
	h.api = api.APIName()
	if h.app, err = tollgate.FromContext(ctx); err != nil {
		return err
	}
	if h.assertions, err = h.app.Assertions(h.Audience); err != nil {
		return fmt.Errorf("identity_assertion in api %s: %w", h.api, err)
	}
	h.signed = signatures.WithLabelValues(h.api)
	return tollgate.Register(ctx, signatures)
}

// ServeHTTP passes the request on with an assertion.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	t, ok := tollgate.TokenOf(r)
	if !ok { // the configuration checks make this impossible; were they wrong, nobody gets in
		return problem.New(http.StatusInternalServerError, "internal_error", "").WithReason("no_token_known")
	}
	_, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text, fresh, err := h.assertions.For(t, strings.TrimLeft(raw, " "))
	if errors.Is(err, assertion.ErrExpired) {
		refusal := access.ExpiredToken(t)
		tollgate.Decisions.WithLabelValues(h.api, tollgate.Refused, refusal.Reason).Inc()
		return access.WithMetadata(refusal, h.app.MetadataURL(h.api))
	}
	if err != nil {
		return problem.New(http.StatusInternalServerError, "internal_error", "").WithCause(err)
	}
	if fresh {
		h.signed.Inc()
	}
	r.Header.Set("Authorization", "Bearer "+text)
	r.Header.Del("DPoP") // of a token that the service does not get
	return next.ServeHTTP(w, r)
}

// parseDirective sets up the handler from Caddyfile tokens. Syntax:
//
//	identity_assertion [<matcher>] <audience>
//
// audience is the name of the service that the request goes to. It needs an assertion in
// the tollgate global option, whose keys assertion_keys publishes. One without a matcher
// beside another one is an error: it would be the one for every request.
func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the directive's name
	if err := tollgate.RequireProtectedBlock(h); err != nil {
		return nil, err
	}
	app, err := tollgate.FromOptions(h)
	if err != nil {
		return nil, err
	}
	handler := new(Handler)
	if !h.AllArgs(&handler.Audience) {
		return nil, h.Err("identity_assertion takes one name of a service")
	}
	if err := app.CheckAudience(handler.Audience); err != nil {
		return nil, h.Errf("identity_assertion: %w", err)
	}
	block, _ := tollgate.EnclosingBlock(h)
	block.Assertions[handler.Audience] = h.Token()
	if h.NextBlock(h.Nesting()) {
		return nil, h.Errf("identity_assertion has no options, here %q", h.Val())
	}
	return handler, nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
