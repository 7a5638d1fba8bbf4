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
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
)

//go:embed migrations
var migrations embed.FS

// Config is what the service needs. All fields but Now are required.
type Config struct {
	DB     *database.DB // migrated, see Open
	Gates  tokencheck.Gates
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// Service is the users backend. It is an http.Handler.
type Service struct {
	store     store
	gates     tokencheck.Gates
	passwords *hasher
	log       *slog.Logger
	now       func() time.Time
	routes    *rest.Router
}

// New makes the service.
func New(cfg Config) *Service {
	s := &Service{
		store:     store{cfg.DB},
		gates:     cfg.Gates,
		passwords: newHasher(),
		log:       cfg.Logger,
		now:       cfg.Now,
		routes:    rest.NewRouter(cfg.Logger, "Nothing of this request was kept."),
	}
	if s.now == nil {
		s.now = time.Now
	}
	api, internal := cfg.Gates.API, cfg.Gates.Internal
	s.routes.Handle("POST /api/users", api.Require("users:create"), s.register)
	s.routes.Handle("GET /api/users/{id}", api.Require("profile:read"), s.readProfile)
	s.routes.Handle("PATCH /api/users/{id}", api.Require("profile:write"), s.changeProfile)
	s.routes.Handle("POST /internal/password-checks", internal.Require("internal:users"), s.checkPassword)
	s.routes.Handle("GET /internal/users/{id}", internal.Require("internal:users"), s.readForServices)
	return s
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
