// Package payments is the backend that moves money: payments that a client asks
// for, that a user consents to, and that a ledger carries out exactly once.
package payments

import (
	"cmp"
	"context"
	"embed"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/openapi"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/webhook"
	"github.com/open-tollgate/tollgate/backends/internal/webhookapi"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
	"github.com/open-tollgate/tollgate/internal/access"
)

//go:embed migrations
var migrations embed.FS

// document describes the API. Tests hold the service to it.
//
//go:embed openapi.yaml
var document []byte

const (
	// consentTime is how long a payment waits for the user's consent.
	consentTime = time.Hour
	// holdTime is how long money is held for the client to capture it.
	holdTime = 7 * 24 * time.Hour
	// reviewTime is how long money is held for an officer to look at a payment.
	reviewTime = 3 * 24 * time.Hour
)

// Config is what the service needs. All fields but Now and KeepDecisions are required.
type Config struct {
	DB    *database.DB // migrated, see OpenDatabase
	Gates tokencheck.Gates
	Vault *vault.Vault // seals the secrets of webhooks, see OpenVault
	// WebhookAllowPrivate lets webhooks into private networks and this machine.
	WebhookAllowPrivate bool
	// StepUp is how a user has to have authenticated where a risk rule asks for it.
	StepUp access.StepUp
	// KeepDecisions is for how long risk decisions are kept; zero is risk.DefaultRetention.
	KeepDecisions time.Duration
	Logger        *slog.Logger
	Now           func() time.Time // nil: the clock of the machine
}

// Server is the payments backend. It is an http.Handler; Background is what runs
// beside it.
type Server struct {
	db         *database.DB
	gates      tokencheck.Gates
	keys       *idempotency.Keeper
	dispatcher *outbox.Dispatcher
	workers    *workers
	stepUp     access.StepUp
	metrics    *metrics
	// keepDecisions is Config.KeepDecisions.
	keepDecisions time.Duration
	// allowPrivate is Config.WebhookAllowPrivate.
	allowPrivate bool
	log          *slog.Logger
	now          func() time.Time
	routes       *rest.Router
}

// New makes the service.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		db:            cfg.DB,
		stepUp:        cfg.StepUp,
		keepDecisions: cmp.Or(cfg.KeepDecisions, risk.DefaultRetention),
		gates:         cfg.Gates,
		keys:          idempotency.New(cfg.DB, cfg.Now),
		metrics:       newMetrics(prometheus.NewRegistry(), cfg.DB, cfg.Now),
		allowPrivate:  cfg.WebhookAllowPrivate,
		log:           cfg.Logger,
		now:           cfg.Now,
		routes:        rest.NewRouter(cfg.Logger, "It is safe to try again with the same Idempotency-Key."),
	}
	s.dispatcher = outbox.NewDispatcher(outbox.Config{
		DB: cfg.DB, Vault: cfg.Vault, Logger: cfg.Logger, Now: cfg.Now,
		Sender: webhook.NewSender(cfg.WebhookAllowPrivate, cfg.Now),
		Tried:  s.metrics.tried,
	})
	s.workers = newWorkers(s)
	s.addRoutes()
	return s
}

func (s *Server) addRoutes() {
	for _, route := range []struct {
		pattern, scope string
		endpoint       rest.Endpoint
	}{
		{"POST /api/payments", "payments:create", s.createPayment},
		{"GET /api/payments", "payments:read", s.listPayments},
		{"GET /api/payments/{id}", "payments:read", s.readPayment},
		{"POST /api/payments/{id}/confirm", "payments:confirm", s.confirmPayment},
		{"POST /api/payments/{id}/captures", "payments:capture", s.capturePayment},
		{"GET /api/payments/{id}/captures", "payments:read", s.listCaptures},
		{"POST /api/payments/{id}/cancel", "payments:capture", s.cancelPayment},
		{"POST /api/payments/{id}/refunds", "payments:refund", s.refundPayment},
		{"GET /api/payments/{id}/refunds", "payments:read", s.listRefunds},
		{"GET /api/risk/rules", "risk:read", s.listRules},
		{"GET /api/risk/rules/{rule}", "risk:read", s.readRule},
		{"PUT /api/risk/rules/{rule}", "risk:write", s.changeRule},
		{"GET /api/risk/lists", "risk:read", s.listEntriesOfLists},
		{"POST /api/risk/lists", "risk:write", s.addToList},
		{"DELETE /api/risk/lists/{id}", "risk:write", s.removeFromList},
		{"GET /api/risk/reviews", "risk:read", s.listReviews},
		{"POST /api/risk/reviews/{id}/approve", "risk:write", s.approve},
		{"POST /api/risk/reviews/{id}/reject", "risk:write", s.reject},
		{"GET /api/risk/decisions", "risk:read", s.listDecisions},
		{"GET /api/risk/changes", "risk:read", s.listChanges},
		{"GET /api/accounts", "accounts:read", s.listAccounts},
		{"POST /api/accounts", "accounts:write", s.openAccount},
		{"GET /api/accounts/{id}", "accounts:read", s.readAccount},
		{"GET /api/accounts/{id}/entries", "accounts:read", s.listEntries},
	} {
		s.routes.Handle(route.pattern, s.gates.API.Require(route.scope), route.endpoint)
	}
	webhookapi.AddRoutes(s.routes, webhookapi.Config{
		DB: s.db, Vault: s.dispatcher.Vault, Check: s.gates.API, AllowPrivate: s.allowPrivate, Now: s.now, Wake: s.dispatcher.Wake,
	})
	s.routes.Handle("GET /internal/payments/{id}", s.gates.Internal.Require("internal:payments"), s.paymentForConsent)
	s.routes.Handle("GET /internal/accounts", s.gates.Internal.Require("internal:payments"), s.accountsForConsent)
	s.routes.Handle("GET /internal/users/{user}/money", s.gates.Internal.Require(customersScope), s.moneyOpen)
	s.routes.Handle("POST /internal/users/{user}/close", s.gates.Internal.Require(customersScope), s.closeAccounts)
	s.routes.Handle("GET /internal/users/{user}/data", s.gates.Internal.Require(customersScope), s.customerData)
	s.routes.Handle("GET /api/currencies", openapi.Public, listCurrencies())
	s.routes.Handle("GET /metrics", openapi.Public, s.metrics.serve)
	s.routes.Handle("GET /openapi/payments.yaml", openapi.Public, openapi.Endpoint(document))
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// Background is the work that runs beside the handler: it carries out payments that
// wait for it, carries webhooks, expires payments and forgets old idempotency keys.
func (s *Server) Background() []func(context.Context) error {
	return []func(context.Context) error{s.workers.Run, s.dispatcher.Run, s.sweep}
}

// Ready tells whether requests can be served: the database answers, and the keys
// that verify tokens are here.
func (s *Server) Ready(ctx context.Context) error {
	if err := s.gates.Ready(); err != nil {
		return err
	}
	return s.db.PingContext(ctx)
}

// OpenDatabase opens and migrates the database of the service.
func OpenDatabase(ctx context.Context, dsn string) (*database.DB, error) {
	return database.OpenMigrated(ctx, dsn, "payments", migrations)
}

// OpenDatabaseToRead opens the database for a check. It makes and changes nothing,
// and wants the tables to be of this program's version.
func OpenDatabaseToRead(ctx context.Context, dsn string) (*database.DB, error) {
	return database.OpenToRead(ctx, dsn, "payments", migrations)
}

// OpenVault opens what seals the secrets of webhooks, with the master key in the
// file; the file is made when it is missing.
func OpenVault(path string) (*vault.Vault, error) { return vault.Load(path, "payments webhooks") }
