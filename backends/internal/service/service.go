// Package service is the frame of a backend: it listens, answers health checks,
// runs background work beside the handler, and stops without dropping either.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// shutdownTimeout is how long running requests may take to end after a signal.
const shutdownTimeout = 10 * time.Second

// Config is what a backend is made of.
type Config struct {
	Name    string
	Listen  string // host:port; port 0 takes a free one
	Handler http.Handler
	Logger  *slog.Logger
	// Background runs beside the handler until its context ends. One that fails
	// stops the service: a backend without its worker must not look healthy.
	Background []func(context.Context) error
	// Ready tells whether requests can be served now (GET /readyz). Nil is always.
	Ready func(context.Context) error
}

// Serve listens and serves until ctx ends, then lets running requests and
// background work finish.
func Serve(ctx context.Context, cfg Config) error {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.Name, err)
	}
	server := &http.Server{
		Handler:           cfg.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		// Longer than the edge keeps an idle connection, so that it is never the
		// backend that closes one just as a request comes in on it.
		IdleTimeout:    3 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, work := range cfg.Background {
		group.Go(func() error { return ignoreCanceled(work(ctx)) })
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		return server.Shutdown(stop)
	})
	cfg.Logger.Info("listening", "addr", listener.Addr().String())
	if err := group.Wait(); err != nil {
		return fmt.Errorf("%s: %w", cfg.Name, err)
	}
	cfg.Logger.Info("stopped")
	return nil
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// handler puts the health checks beside the backend's own handler. They are
// outside the access log: a probe each second would drown it.
func (cfg Config) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if cfg.Ready == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := cfg.Ready(ctx); err != nil {
			cfg.Logger.Warn("not ready", "error", err)
			problem.New(http.StatusServiceUnavailable, "not_ready", "The service is not ready yet.").
				WithRetryAfter(time.Second).Write(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("/", observe(cfg.Logger, cfg.Handler))
	return mux
}

// Signals gives a context that ends at SIGINT or SIGTERM. A second signal kills
// the process at once, as it does without this.
func Signals() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Env gives the environment variable, or fallback when it is unset or empty:
// the default of a flag.
func Env(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
