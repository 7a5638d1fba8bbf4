package users

import (
	"context"
	"log/slog"

	"github.com/open-tollgate/tollgate/backends/internal/command"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
)

// Streams are the standard streams of a command.
type Streams = command.Streams

var commandLine = command.Program{
	Name:    "users",
	Purpose: "keeps the people who have accounts at the platform.",
	Commands: []command.Command{
		{Name: "serve", Purpose: "answer the users API until a signal comes", Run: serve},
		{Name: "add", Purpose: "add one user, or replace one; prints the id as JSON", Run: add},
	},
}

// Command runs the command line "users ARGS". flag.ErrHelp means that help was
// asked for and given.
func Command(ctx context.Context, args []string, streams Streams) error {
	return commandLine.Run(ctx, args, streams)
}

// databaseFlag is what every command has.
func databaseFlag(flags *command.Flags) *string {
	return flags.Text("database", "users.db", "SQLite `file`, or a postgres:// DSN")
}

func serve(ctx context.Context, flags *command.Flags, args []string, streams Streams) error {
	dsn := databaseFlag(flags)
	listen := flags.Text("listen", "127.0.0.1:8082", "`address` to listen on")
	tokens := tokencheck.DefineFlags(flags)
	if err := flags.ParseAll(args, "listen", "issuer"); err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(streams.Err, nil)).With("service", "users")
	db, err := Open(ctx, *dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends: nothing is left to lose
	gates, err := tokens.Gates(logger)
	if err != nil {
		return err
	}
	gates.Start(ctx)
	users := New(Config{DB: db, Gates: gates, Logger: logger})
	return service.Serve(ctx, service.Config{
		Name: "users", Listen: *listen, Handler: users, Logger: logger, Ready: users.Ready,
		Background: []func(context.Context) error{users.Sweep},
	})
}
