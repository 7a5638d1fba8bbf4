// Package api is the Caddy handler that each API of the edge lives in. It denies by
// default: only canonical paths, only listed methods, only what a route inside it
// answers, and only with a token unless the configuration says "public" aloud.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/canonical"
	"github.com/open-tollgate/tollgate/internal/identity"
	"github.com/open-tollgate/tollgate/internal/problem"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// knownMethods are all that an API can allow, and the words of the method label.
// TRACE and CONNECT have no place at an API.
var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
	http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// validName is what a name must look like: it is a label of metrics and a field of logs.
var validName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

var errName = errors.New("must be a lower-case letter, then up to 62 lower-case letters, digits, '-' or '_'")

// Handler is a named API. What none of its routes answers is answered 404.
type Handler struct {
	// Name is the label in metrics and the field in logs. One configuration has each name once.
	Name string `json:"name"`
	// Public lets requests without a token in. Without it, the first handler must be access_token.
	Public bool `json:"public,omitempty"`
	// Profile that every request is held to: fapi2, or empty.
	Profile tollgate.Profile `json:"profile,omitempty"`
	// Methods are those that are allowed; empty: GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.
	Methods []string `json:"methods,omitempty"`
	// WebSocket lets a request turn its connection into one. What is sent over it is the
	// service's alone to judge.
	WebSocket bool `json:"websocket,omitempty"`
	// Strip names further header fields that a caller cannot send, beside those that this
	// edge knows to speak of identity; with a * at the end, all that begin so.
	Strip []string `json:"strip,omitempty"`
	// Audit says what the audit log means to this API: "required" refuses requests while
	// the log cannot take their record, "off" keeps them out of it. Empty: they are
	// recorded as long as there is room.
	Audit string `json:"audit,omitempty"`
	// Resource is what OAuth clients call this API (RFC 9728): a path at the first origin of
	// the tollgate app, or a URL at one of them. Empty: it has no metadata.
	Resource string `json:"resource,omitempty"`
	// ResourceName is what the metadata call it for people to read; empty: Name.
	ResourceName string `json:"resource_name,omitempty"`
	// Routes are what the API does.
	Routes caddyhttp.RouteList `json:"routes,omitempty"`

	app              *tollgate.App
	hasToken         bool
	chain            caddyhttp.Handler
	reserved         *identity.List
	methodNotAllowed *problem.Problem
	logger           *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.api", New: func() caddy.Module { return new(Handler) }}
}

// APIName gives the name, for the modules inside.
func (h *Handler) APIName() string { return h.Name }

// IsPublic says whether requests without a token get in.
func (h *Handler) IsPublic() bool { return h.Public }

// APIProfile gives the profile, for the access_token inside.
func (h *Handler) APIProfile() tollgate.Profile { return h.Profile }

// ClaimToken refuses a second access_token.
func (h *Handler) ClaimToken() error {
	if h.hasToken {
		return fmt.Errorf("api %s has access_token twice", h.Name)
	}
	h.hasToken = true
	return nil
}

// Provision claims the name and sets the routes up.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if outer, _ := tollgate.EnclosingAPI(ctx); outer != tollgate.API(h) { // the lineage ends with this one itself
		return fmt.Errorf("api %s: an api cannot be inside another, here %s", h.Name, outer.APIName())
	}
	if err := h.claimName(ctx); err != nil {
		return err
	}
	var err error
	if h.reserved, err = identity.New(slices.Concat(h.Strip, h.app.CertificateHeaders())...); err != nil {
		return fmt.Errorf("api %s: strip %w", h.Name, err)
	}
	if err := tollgate.Register(ctx, requests, durations); err != nil {
		return err
	}
	if err := h.beginResource(); err != nil {
		return err
	}
	if err := h.checkAssertions(h.Routes); err != nil {
		return err
	}
	if err := h.Routes.Provision(ctx); err != nil {
		return fmt.Errorf("api %s: %w", h.Name, err)
	}
	h.completeResource()
	if len(h.Methods) == 0 {
		h.Methods = knownMethods
	}
	h.methodNotAllowed = problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "This API does not have that method.").
		WithHeader("Allow", strings.Join(h.Methods, ", "))
	h.chain = h.Routes.Compile(caddyhttp.HandlerFunc(notFound))
	return nil
}

// claimName has to run before the routes are set up, which takes their JSON away.
func (h *Handler) claimName(ctx caddy.Context) error {
	var err error
	if h.app, err = tollgate.FromContext(ctx); err != nil {
		return err
	}
	definition, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := checkCaught(ctx, definition); err != nil {
		return fmt.Errorf("api %s: %w", h.Name, err)
	}
	return h.app.ClaimAPI(h.Name, string(definition))
}

// Validate refuses an API that would let through what nobody meant to.
func (h *Handler) Validate() error {
	if !validName.MatchString(h.Name) {
		return fmt.Errorf("api name %q: %w", h.Name, errName)
	}
	if err := h.checkProfile(); err != nil {
		return err
	}
	for _, method := range h.Methods {
		if !slices.Contains(knownMethods, method) {
			return fmt.Errorf("api %s: method %q is not one of %s", h.Name, method, strings.Join(knownMethods, " "))
		}
	}
	if err := h.checkAudit(); err != nil {
		return err
	}
	if !h.Public && !h.startsWithToken() {
		return fmt.Errorf("api %s must start with access_token on every request, or say public", h.Name)
	}
	return nil
}

// checkProfile refuses a profile for requests without a token.
func (h *Handler) checkProfile() error {
	if err := h.Profile.Check(); err != nil {
		return fmt.Errorf("api %s: %w", h.Name, err)
	}
	if h.Public && h.Profile != "" {
		return fmt.Errorf("api %s has profile %s and is public: say one or the other", h.Name, h.Profile)
	}
	return nil
}

// startsWithToken says whether no request can get past, or be answered before, the
// token check. The rule is narrower than it could be so that it is plain to see.
func (h *Handler) startsWithToken() bool {
	if len(h.Routes) == 0 {
		return false
	}
	first := h.Routes[0]
	if len(first.MatcherSets) > 0 || first.Group != "" || len(first.Handlers) == 0 {
		return false
	}
	module, ok := first.Handlers[0].(caddy.Module)
	return ok && module.CaddyModule().ID == "http.handlers.access_token"
}

// ServeHTTP answers the request, always: next is never called.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	c := beginCall(h.app, h.Name, w, r)
	c.record, c.log = h.recording()
	defer c.observe(r)
	err := h.serve(c, r)
	c.returned = true
	if err == nil {
		return nil
	}
	return h.refuse(c, r, err)
}

func (h *Handler) serve(c *call, r *http.Request) error {
	if c.record == recordRefused {
		return auditUnavailable
	}
	if p := h.admit(r); p != nil {
		return p
	}
	h.app.TakeCertificate(r)
	h.reserved.Strip(r.Header)
	identity.SealConnection(r.Header, h.WebSocket && r.Method == http.MethodGet)
	// Trailers arrive after everything here has judged. A backend may read one as a
	// header field, whatever its name is, and of the names only some are announced.
	r.Trailer = nil
	markBody(r)
	c.forwardIDs(r.Header)
	return h.chain.ServeHTTP(c, r)
}

// admit refuses what no route may see.
func (h *Handler) admit(r *http.Request) *problem.Problem {
	if !slices.Contains(h.Methods, r.Method) {
		return h.methodNotAllowed
	}
	if err := canonical.Check(r.URL, r.RequestURI); err != nil {
		return problem.New(http.StatusBadRequest, "path_not_canonical", "Refused: "+err.Error()+".")
	}
	if announcesAnother(r) {
		return known[http.StatusBadRequest]
	}
	return nil
}

// announcesAnother says whether a request without a body comes with a Content-Length
// that says otherwise: malformed, by RFC 9113 section 8.1.1, and let in by net/http.
func announcesAnother(r *http.Request) bool {
	length := r.Header.Get("Content-Length")
	return r.ContentLength == 0 && length != "" && length != "0"
}

func notFound(http.ResponseWriter, *http.Request) error {
	return problem.New(http.StatusNotFound, "not_found", "This API has nothing here.")
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ tollgate.API                = (*Handler)(nil)
)
