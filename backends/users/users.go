// Package users keeps the people who have accounts at the platform: it registers
// them, shows and changes their profile, and checks their passwords for the
// authorization server.
package users

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/problem"
)

//go:embed migrations
var migrations embed.FS

// Config is what the service needs. All fields but Now are required.
type Config struct {
	DB       *database.DB      // migrated, see Open
	API      *tokencheck.Check // tokens of the public API
	Internal *tokencheck.Check // tokens of the platform's own services
	Logger   *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Service is the users backend. It is an http.Handler.
type Service struct {
	store     store
	gates     []*tokencheck.Check
	passwords *hasher
	log       *slog.Logger
	now       func() time.Time
	mux       *http.ServeMux
}

// New makes the service.
func New(cfg Config) *Service {
	s := &Service{
		store:     store{cfg.DB},
		gates:     []*tokencheck.Check{cfg.API, cfg.Internal},
		passwords: newHasher(),
		log:       cfg.Logger,
		now:       cfg.Now,
		mux:       http.NewServeMux(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.route("POST /api/users", cfg.API, "users:create", s.register)
	s.route("GET /api/users/{id}", cfg.API, "profile:read", s.readProfile)
	s.route("PATCH /api/users/{id}", cfg.API, "profile:write", s.changeProfile)
	s.route("POST /internal/password-checks", cfg.Internal, "internal:users", s.checkPassword)
	s.route("GET /internal/users/{id}", cfg.Internal, "internal:users", s.readForServices)
	s.mux.HandleFunc("/", unknownRoute)
	s.mux.HandleFunc("/api/users", wrongMethod("POST"))
	s.mux.HandleFunc("/api/users/{id}", wrongMethod("GET, HEAD, PATCH"))
	s.mux.HandleFunc("/internal/password-checks", wrongMethod("POST"))
	s.mux.HandleFunc("/internal/users/{id}", wrongMethod("GET, HEAD"))
	return s
}

// Open opens and migrates the database of the service.
func Open(ctx context.Context, dsn string) (*database.DB, error) {
	return database.OpenMigrated(ctx, dsn, "users", migrations)
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Ready tells whether requests can be served: the database answers, and the keys
// that verify tokens are here.
func (s *Service) Ready(ctx context.Context) error {
	for _, gate := range s.gates {
		if !gate.Ready() {
			return errors.New("the keys of the issuer are not here yet")
		}
	}
	return s.store.db.PingContext(ctx)
}

// endpoint answers a request, or gives the error to answer with.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// route puts an endpoint behind a token with one scope.
func (s *Service) route(pattern string, gate *tokencheck.Check, scope string, handle endpoint) {
	s.mux.Handle(pattern, gate.Require(scope)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})))
}

// refuse answers with the problem that err is. Any other error is ours: the
// caller learns nothing of it, the log does.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *problem.Problem
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, sql.ErrNoRows):
		refusal = notFound()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		refusal = busy().WithCause(err)
	default:
		refusal = problem.New(http.StatusInternalServerError, "internal_error",
			"Something went wrong here. Nothing of this request was kept.").WithCause(err)
	}
	if refusal.Status >= http.StatusInternalServerError {
		s.log.Error("request failed", "route", r.Pattern, "error", refusal, "request_id", w.Header().Get("X-Request-Id"))
	}
	refusal.Write(w)
}

func notFound() *problem.Problem {
	return problem.New(http.StatusNotFound, "not_found", "There is no such user that this token may see.")
}

func busy() *problem.Problem {
	return problem.New(http.StatusServiceUnavailable, "busy", "The service is busy. Try again in a moment.").
		WithRetryAfter(time.Second)
}

func unknownRoute(w http.ResponseWriter, _ *http.Request) {
	problem.New(http.StatusNotFound, "not_found", "There is nothing at this path.").Write(w)
}

func wrongMethod(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes "+allow+".").
			WithHeader("Allow", allow).Write(w)
	}
}
