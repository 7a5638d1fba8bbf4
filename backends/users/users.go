// Package users keeps the people who have accounts at the platform: it registers
// them, shows and changes their profile, and checks their passwords for the
// authorization server.
package users

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/openapi"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
)

//go:embed migrations
var migrations embed.FS

// Document describes the API (OpenAPI 3.1).
//
//go:embed openapi.yaml
var Document []byte

// Config is what the service needs. All fields are required but Now and CloseAfter.
type Config struct {
	DB       *database.DB // migrated, see Open
	Keys     *vault.Ring  // seals what is personal, see OpenKeys
	Platform Platform
	Gates    tokencheck.Gates
	Logger   *slog.Logger
	// CloseAfter is DefaultCloseAfter when zero.
	CloseAfter time.Duration
	Now        func() time.Time // nil: time.Now
}

// Service is the users backend. It is an http.Handler.
type Service struct {
	store      store
	platform   Platform
	gates      tokencheck.Gates
	passwords  *hasher
	metrics    *metrics
	closeAfter time.Duration
	log        *slog.Logger
	now        func() time.Time
	routes     *rest.Router
}

// New makes the service. It seals what an older version has stored in clear.
func New(ctx context.Context, cfg Config) (*Service, error) {
	cfg.Keys.OnFault(func(err error) {
		if err != nil {
			cfg.Logger.Error("the key file cannot be read again: the keys that are known go on, and one that was added is not used", "error", err)
			return
		}
		cfg.Logger.Info("the key file can be read again")
	})
	stored, err := openStore(ctx, cfg.DB, cfg.Keys)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store:      stored,
		platform:   cfg.Platform,
		metrics:    newMetrics(cfg.DB),
		closeAfter: cfg.CloseAfter,
		gates:      cfg.Gates,
		passwords:  newHasher(),
		log:        cfg.Logger,
		now:        cfg.Now,
		routes:     rest.NewRouter(cfg.Logger, "Nothing of this request was kept."),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.closeAfter == 0 {
		s.closeAfter = DefaultCloseAfter
	}
	s.addRoutes(cfg.Gates)
	return s, nil
}

func (s *Service) addRoutes(gates tokencheck.Gates) {
	api, internal := gates.API, gates.Internal
	s.routes.Handle("POST /api/users", api.Require("users:create"), s.register)
	s.routes.Handle("GET /api/users/{id}", api.Require("profile:read"), s.readProfile)
	s.routes.Handle("PATCH /api/users/{id}", api.Require("profile:write"), s.changeProfile)
	s.routes.Handle("DELETE /api/users/{id}", api.Require("profile:delete"), s.closeAccount)
	s.routes.Handle("GET /api/users/{id}/export", api.Require("profile:export"), s.export)
	s.routes.Handle("POST /api/users/{id}/password", api.Require("password:write"), s.changePassword)
	s.routes.Handle("GET /api/users/{id}/consents", api.Require("consents:read"), s.listConsents)
	s.routes.Handle("DELETE /api/users/{id}/consents/{consent}", api.Require("consents:write"), s.revokeConsent)
	s.routes.Handle("GET /openapi/users.yaml", openapi.Public, openapi.Endpoint(Document))
	s.routes.Handle("GET /metrics", openapi.Public, s.metrics.serve)
	s.routes.Handle("POST /internal/password-checks", internal.Require("internal:users"), s.checkPassword)
	s.routes.Handle("GET /internal/users/{id}", internal.Require("internal:users"), s.readForServices)
}

// Background is the work that runs beside the handler.
func (s *Service) Background() []func(context.Context) error {
	return []func(context.Context) error{s.Sweep, s.Finish}
}

// Open opens and migrates the database of the service.
func Open(ctx context.Context, dsn string) (*database.DB, error) {
	return database.OpenMigrated(ctx, dsn, "users", migrations)
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// Ready tells whether requests can be served: the database answers, and the keys
// that verify tokens are here.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.gates.Ready(); err != nil {
		return err
	}
	return s.store.db.PingContext(ctx)
}
