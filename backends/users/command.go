package users

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/command"
	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
)

// Streams are the standard streams of a command.
type Streams = command.Streams

var commandLine = command.Program{
	Name:    "users",
	Purpose: "keeps the people who have accounts at the platform.",
	Commands: []command.Command{
		{Name: "serve", Purpose: "answer the users API until a signal comes", Run: serve},
		{Name: "add", Purpose: "add one user, or replace one; prints the id as JSON", Run: add},
		{Name: "key add", Purpose: "add a master key to the key file; it seals from then on", Run: keyAdd},
		{Name: "key rotate", Purpose: "seal everything with the newest master key, while the service runs", Run: keyRotate},
	},
}

// Command runs the command line "users ARGS". flag.ErrHelp means that help was
// asked for and given.
func Command(ctx context.Context, args []string, streams Streams) error {
	return commandLine.Run(ctx, args, streams)
}

// storage are the flags that every command has.
type storage struct{ dsn, secretFile *string }

func storageFlags(flags *command.Flags) storage {
	return storage{
		dsn: flags.Text("database", "users.db", "SQLite `file`, or a postgres:// DSN"),
		secretFile: flags.Text("secret-file", "",
			"`file` with the master keys that seal what is personal; made when missing.\n"+
				"With SQLite it can be left out: it is then beside the database, with .key for .db.\n"+
				"With PostgreSQL it has to be told: every instance needs a copy of the same file"),
	}
}

func (s storage) keyFile() (string, error) { return command.KeyFile("users", *s.secretFile, *s.dsn) }

// open opens the store for a command.
func (s storage) open(ctx context.Context) (stored store, closeStore func(), err error) {
	db, keys, err := s.openBoth(ctx)
	if err != nil {
		return store{}, nil, err
	}
	if stored, err = openStore(ctx, db, keys); err != nil {
		_ = db.Close() // the error above is the one to tell
		return store{}, nil, err
	}
	return stored, func() { _ = db.Close() }, nil // each write is committed already
}

func (s storage) openBoth(ctx context.Context) (*database.DB, *vault.Ring, error) {
	file, err := s.keyFile()
	if err != nil {
		return nil, nil, err
	}
	db, err := Open(ctx, *s.dsn)
	if err != nil {
		return nil, nil, err
	}
	keys, err := OpenKeys(file)
	if err != nil {
		_ = db.Close() // the error above is the one to tell
		return nil, nil, err
	}
	return db, keys, nil
}

// peers are the flags that say how the other services are reached.
type peers struct{ auth, payments, client, secretFile *string }

func peerFlags(flags *command.Flags) peers {
	return peers{
		auth:     flags.Text("auth-url", "http://127.0.0.1:8081", "`URL` of the authorization server, from inside"),
		payments: flags.Text("payments-url", "http://127.0.0.1:8083", "`URL` of the payments service, from inside"),
		client:   flags.Text("client-id", "users-service", "`id` that this service is registered under, with the scopes\n"+grantsScope+" and "+customersScope),
		secretFile: flags.Text("client-secret-file", "", "`file` with the secret of that client.\n"+
			"Left out: consents, exports and the closing of accounts are answered with 503"),
	}
}

func (p peers) platform(logger *slog.Logger) (Platform, error) {
	if *p.secretFile == "" {
		logger.Warn("no --client-secret-file: consents, exports and the closing of accounts are not served")
	}
	secret := ""
	if *p.secretFile != "" {
		content, err := os.ReadFile(*p.secretFile)
		if err != nil {
			return nil, fmt.Errorf("--client-secret-file: %w", err)
		}
		secret = strings.TrimSpace(string(content))
	}
	return NewPlatform(PlatformConfig{AuthURL: *p.auth, PaymentsURL: *p.payments, ClientID: *p.client, ClientSecret: secret}), nil
}

func serve(ctx context.Context, flags *command.Flags, args []string, streams Streams) error {
	stored, others := storageFlags(flags), peerFlags(flags)
	listen := flags.Text("listen", "127.0.0.1:8082", "`address` to listen on")
	closeAfter := flags.Text("close-after", DefaultCloseAfter.String(),
		"`time` for which an account is being closed before it is erased: longer than access tokens live")
	tokens := tokencheck.DefineFlags(flags)
	if err := flags.ParseAll(args, "listen", "issuer"); err != nil {
		return err
	}
	grace, err := time.ParseDuration(*closeAfter)
	if err != nil || grace <= 0 {
		return fmt.Errorf("--close-after %q must be a time such as 70m", *closeAfter)
	}
	logger := slog.New(slog.NewJSONHandler(streams.Err, nil)).With("service", "users")
	gates, err := tokens.Gates(logger)
	if err != nil {
		return err
	}
	platform, err := others.platform(logger)
	if err != nil {
		return err
	}
	db, keys, err := stored.openBoth(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends: nothing is left to lose
	users, err := New(ctx, Config{DB: db, Keys: keys, Platform: platform, Gates: gates, Logger: logger, CloseAfter: grace})
	if err != nil {
		return err
	}
	gates.Start(ctx)
	return service.Serve(ctx, service.Config{
		Name: "users", Listen: *listen, Handler: users, Logger: logger, Ready: users.Ready, Background: users.Background(),
	})
}
