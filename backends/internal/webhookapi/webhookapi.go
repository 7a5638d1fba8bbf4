// Package webhookapi is where a client manages its webhook endpoints, and reads
// the events that webhooks tell of. The service that publishes the events adds
// these routes to its own.
package webhookapi

import (
	_ "embed"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/openapi"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/webhook"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// Document describes the API (OpenAPI 3.1).
//
//go:embed openapi.yaml
var Document []byte

// The scopes. A client has them for itself: they are not a user's to give.
const (
	readScope  = "webhooks:read"
	writeScope = "webhooks:write"
)

// Config is what the API needs.
type Config struct {
	DB    *database.DB
	Vault *vault.Vault // seals the endpoints' secrets; the dispatcher's own
	Check *tokencheck.Check
	// AllowPrivate takes endpoints in private networks and on this machine.
	AllowPrivate bool
	Now          func() time.Time
	// Wake makes the dispatcher look at once.
	Wake func()
}

type server struct {
	endpoints *outbox.Registry
	feed      outbox.Feed
	checkURL  func(string) error
	wake      func()
}

// AddRoutes adds the API to a service's routes.
func AddRoutes(routes *rest.Router, cfg Config) {
	s := &server{
		endpoints: &outbox.Registry{DB: cfg.DB, Vault: cfg.Vault, Now: cfg.Now},
		feed:      outbox.Feed{DB: cfg.DB, Now: cfg.Now},
		checkURL:  webhook.CheckPublicURL,
		wake:      cfg.Wake,
	}
	if cfg.AllowPrivate {
		s.checkURL = webhook.CheckURL
	}
	for _, route := range []struct {
		pattern, scope string
		endpoint       func(w http.ResponseWriter, r *http.Request, client string) error
	}{
		{"POST /api/webhook-endpoints", writeScope, s.create},
		{"GET /api/webhook-endpoints", readScope, s.list},
		{"GET /api/webhook-endpoints/{id}", readScope, s.read},
		{"PATCH /api/webhook-endpoints/{id}", writeScope, s.change},
		{"DELETE /api/webhook-endpoints/{id}", writeScope, s.remove},
		{"POST /api/webhook-endpoints/{id}/rotate-secret", writeScope, s.rotate},
		{"GET /api/events", readScope, s.listEvents},
		{"GET /api/events/{id}", readScope, s.readEvent},
		{"POST /api/events/{id}/redeliver", writeScope, s.redeliver},
	} {
		routes.Handle(route.pattern, cfg.Check.Require(route.scope), forClients(route.endpoint))
	}
	routes.Handle("GET /openapi/webhooks.yaml", openapi.Public, openapi.Endpoint(Document))
}

// forClients lets only a client's own token pass: with client credentials the
// client is the subject (RFC 9068 section 2.2).
func forClients(e func(http.ResponseWriter, *http.Request, string) error) rest.Endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		t := tokencheck.From(r.Context())
		if t.Subject != t.ClientID {
			return problem.New(http.StatusForbidden, "client_token_required",
				"This operation takes a client's own token, not a user's.")
		}
		return refused(e(w, r, t.ClientID))
	}
}

var errNotFound = problem.New(http.StatusNotFound, "not_found", "There is no such object that this token may see.")

// refused says in a problem why the outbox refused.
func refused(err error) error {
	for _, known := range []struct {
		err     error
		problem *problem.Problem
	}{
		{outbox.ErrNotFound, errNotFound},
		{outbox.ErrChanged, rest.Stale()},
		{outbox.ErrExists, problem.New(http.StatusConflict, "endpoint_exists", "This client has an endpoint with this URL.").
			WithErrors(problem.FieldError{Pointer: "/url", Detail: "must be new"})},
		{outbox.ErrTooMany, problem.New(http.StatusConflict, "too_many_endpoints", "The client has as many endpoints as one can have.")},
		{outbox.ErrTooManySecrets, problem.New(http.StatusConflict, "too_many_secrets",
			"Too many secrets of this endpoint are still valid. Wait until their overlap ends, or rotate without one.")},
		{outbox.ErrDisabled, problem.New(http.StatusConflict, "endpoint_disabled", "The endpoint is turned off. Turn it on first.")},
		{outbox.ErrNoEndpoint, problem.New(http.StatusConflict, "no_endpoint", "The client has no endpoint that is turned on.")},
		{outbox.ErrCursor, problem.New(http.StatusGone, "cursor_expired",
			"The event of this cursor is no longer kept, nor are others of its age. Begin at the start of the feed.")},
	} {
		if errors.Is(err, known.err) {
			return known.problem
		}
	}
	return err
}

// pathID gives the id that the path names. One that is not of our making never
// reaches the database.
func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if uuid.Validate(id) != nil {
		return "", errNotFound
	}
	return id, nil
}
