// Package accesstoken is the Caddy handler that finds out who calls: it lets a
// request pass only with a valid access token, and says who that token stands for.
package accesstoken

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// errGone is for an API that a newer configuration does not have.
var errGone = problem.New(http.StatusNotFound, "not_found", "This API has nothing here.")

// Handler authenticates by an access token (RFC 6750, RFC 9068, RFC 9449). The token
// stays in the request: backends verify it again.
//
// It sets the placeholders {http.auth.user.id} (sub), {http.auth.client.id}
// (client_id) and {http.auth.token.CLAIM}.
type Handler struct {
	// Issuers whose tokens are accepted; empty: all that the tollgate app knows.
	Issuers []string `json:"issuers,omitempty"`
	// Audiences that a token has to be meant for, one of them; empty: all of each issuer.
	Audiences []string `json:"audiences,omitempty"`

	api      string
	app      *tollgate.App
	checker  *access.Checker
	accepted prometheus.Counter
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.access_token", New: func() caddy.Module { return new(Handler) }}
}

// Provision takes the checker from the tollgate app.
func (h *Handler) Provision(ctx caddy.Context) error {
	api, err := tollgate.ProtectedAPI(ctx)
	if err != nil {
		return fmt.Errorf("access_token: %w", err)
	}
	if err := api.ClaimToken(); err != nil {
		return err
	}
	h.api = api.APIName()
	if h.app, err = tollgate.FromContext(ctx); err != nil {
		return err
	}
	if h.checker, err = h.app.Checker(api, h.Issuers, h.Audiences); err != nil {
		return fmt.Errorf("access_token in api %s: %w", h.api, err)
	}
	if err := h.app.DescribeTokens(h.api, h.Issuers, h.Audiences); err != nil {
		return err
	}
	if err := tollgate.Register(ctx, tollgate.Decisions); err != nil {
		return err
	}
	tollgate.PrepareDecisions(h.api)
	h.accepted = tollgate.Decisions.WithLabelValues(h.api, tollgate.Accepted, access.Accepted)
	return nil
}

// ServeHTTP refuses the request, or passes it on with the caller's identity known.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	checker := h.app.Current(h.api, h.checker)
	if checker == nil {
		return errGone
	}
	t, refusal := check(checker, r)
	if refusal != nil {
		tollgate.Decisions.WithLabelValues(h.api, tollgate.Refused, refusal.Reason).Inc()
		return refusal
	}
	h.accepted.Inc()
	tollgate.SetToken(r, t)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(caller{t}.placeholder)
	}
	if t.Confirmation.JKT != "" {
		w = tollgate.HandOutNonce(w, r)
	}
	return next.ServeHTTP(w, r)
}

// check judges the request that the caller has sent: a DPoP proof names its method and
// URL (RFC 9449 section 4.2), not what a rewrite or a handle_path has made of them.
func check(checker *access.Checker, r *http.Request) (*token.Token, *problem.Problem) {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || r.Method == original.Method && *r.URL == *original.URL {
		return checker.Check(r)
	}
	sent := *r
	sent.Method, sent.URL = original.Method, original.URL
	t, refusal := checker.Check(&sent)
	r.Body = sent.Body // what was read of it has been put back
	return t, refusal
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
