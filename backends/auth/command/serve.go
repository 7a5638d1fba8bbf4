package command

import (
	"context"
	"errors"
	"log/slog"

	"github.com/open-tollgate/tollgate/backends/auth"
	"github.com/open-tollgate/tollgate/backends/internal/service"
)

func serve(ctx context.Context, args []string, streams Streams) (err error) {
	f := newFlags(streams, "serve", "run the authorization server.")
	listen := f.text("listen", "127.0.0.1:8081", "address to listen on")
	state := f.state()
	issuer := f.text("issuer", "https://localhost:8443", "issuer: the edge's origin, as clients see it")
	audience := f.text("audience", "", "audience of access tokens (default the issuer with /api)")
	users := f.text("users-url", "http://127.0.0.1:8082", "where the users service answers")
	payments := f.text("payments-url", "http://127.0.0.1:8083", "where the payments service answers")
	redis := f.text("redis", "off", "URL of the Redis that the edges follow, to publish revocations to; off: they are not published")
	lifetime := f.duration("access-token-lifetime", auth.DefaultAccessTokenLifetime, "how long access tokens are valid, 1s to 1h")
	if err := f.parse(args); err != nil {
		return err
	}
	if *lifetime == 0 { // the default in a Config, but a mistake on a command line
		return errors.New("access-token-lifetime: must not be zero")
	}
	keyFile, err := state.keyFile()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(streams.Err, nil)).With("service", "auth")
	server, err := auth.New(ctx, auth.Config{
		Database: *state.database, SecretFile: keyFile, Issuer: *issuer, Audience: *audience,
		UsersURL: *users, PaymentsURL: *payments, Redis: *redis, AccessTokenLifetime: *lifetime, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := server.Close(); err == nil {
			err = closeErr
		}
	}()
	return service.Serve(ctx, service.Config{
		Name: "auth", Listen: *listen, Handler: server, Logger: logger,
		Background: []func(context.Context) error{server.CleanUp, server.PublishRevocations}, Ready: server.Ready,
	})
}
