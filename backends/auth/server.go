package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/internal/access"
)

// Server is the authorization server, an http.Handler.
type Server struct {
	registry  *Registry
	store     *store.Store
	vault     *vault.Vault
	keys      *keyring
	users     usersService
	payments  paymentsService
	gate      *access.Checker // of the internal calls to this server
	metrics   *metrics
	publisher *publisher // nil: no Redis

	issuer              string
	audience            string
	accessTokenLifetime time.Duration
	logger              *slog.Logger
	now                 func() time.Time

	library  http.Handler // go-oidc, never reached but through the guards
	metadata []byte
	handler  http.Handler
}

// New opens the database, as OpenRegistry does, and gives the server.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	registry, err := openRegistry(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{
		registry: registry, store: registry.store, vault: registry.vault,
		keys:   &keyring{store: registry.store, now: cfg.Now},
		issuer: cfg.Issuer, audience: cfg.Audience, accessTokenLifetime: cfg.AccessTokenLifetime,
		logger: cfg.Logger, now: cfg.Now,
	}
	s.users = usersService{s.peer(cfg, cfg.UsersURL, "internal:users")}
	s.payments = paymentsService{s.peer(cfg, cfg.PaymentsURL, "internal:payments")}
	s.metrics = newMetrics()
	if err := s.start(ctx, cfg.Redis); err != nil {
		_ = registry.Close() // the error above is the one to tell
		return nil, err
	}
	return s, nil
}

func (s *Server) peer(cfg Config, url, scope string) peer {
	client := *cfg.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return peer{url: serviceURL(url), scope: scope, client: &client, token: s.internalToken}
}

func (s *Server) start(ctx context.Context, redisURL string) error {
	library, err := s.newProvider()
	if err != nil {
		return err
	}
	s.library = library.Handler()
	if s.metadata, err = s.readMetadata(ctx); err != nil {
		return err
	}
	if s.gate, err = s.newGate(); err != nil {
		return err
	}
	if s.publisher, err = newPublisher(s, redisURL); err != nil {
		return err
	}
	s.handler = s.routes()
	return nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close closes the database, and the connections to Redis.
func (s *Server) Close() error {
	var err error
	if s.publisher != nil {
		err = s.publisher.close()
	}
	return errors.Join(err, s.registry.Close())
}

// Ready tells whether tokens could be issued now.
func (s *Server) Ready(ctx context.Context) error {
	if err := s.store.Ready(ctx); err != nil {
		return err
	}
	_, err := s.keys.published(ctx)
	return err
}

const cleanUpEvery = time.Minute

// CleanUp removes what has expired, once a minute, until ctx ends. A failure is
// logged and tried again: the server can do without for a while.
func (s *Server) CleanUp(ctx context.Context) error {
	ticker := time.NewTicker(cleanUpEvery)
	defer ticker.Stop()
	for {
		s.cleanUp(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Server) cleanUp(ctx context.Context) {
	deleted, err := s.store.DeleteExpired(ctx)
	if err == nil {
		err = s.keys.deleteRetired(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.logger.Error("clean-up failed", "error", err)
	}
	if deleted > 0 {
		s.logger.Debug("cleaned up", "rows", deleted)
	}
}
