package users

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
)

// Streams are the standard streams of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

const usage = `users keeps the people who have accounts at the platform.

  users serve    answer the users API
  users add      add one user, or replace one

Each command explains itself with --help. Every flag takes its default from the
environment: --database from USERS_DATABASE, and so on.
`

// Command runs the command line "users ARGS". flag.ErrHelp means that help was
// asked for and given.
func Command(ctx context.Context, args []string, streams Streams) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch name {
	case "serve":
		return serve(ctx, args[1:], streams)
	case "add":
		return add(ctx, args[1:], streams)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(streams.Out, usage)
		return flag.ErrHelp
	case "":
		return errors.New("say what to do: serve or add (see users --help)")
	}
	return fmt.Errorf("unknown command %q: use serve or add (see users --help)", name)
}

// flagSet is a flag.FlagSet whose flags take their defaults from the environment.
type flagSet struct{ *flag.FlagSet }

func newFlagSet(name, purpose string, streams Streams) flagSet {
	f := flagSet{flag.NewFlagSet("users "+name, flag.ContinueOnError)}
	f.SetOutput(streams.Err)
	f.Usage = func() {
		fmt.Fprintf(streams.Err, "users %s: %s\n\n", name, purpose)
		f.PrintDefaults()
	}
	return f
}

// text defines a flag with a value; USERS_NAME overrides the fallback. Help shows
// the fallback, since the environment may hold a DSN with a password.
func (f flagSet) text(name, fallback, help string) *string {
	variable := "USERS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	value := f.String(name, service.Env(variable, fallback), help+" ("+variable+")")
	f.Lookup(name).DefValue = fallback
	return value
}

// parse also refuses what is left over.
func (f flagSet) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return nil
}

const databaseHelp = "SQLite `file`, or a postgres:// DSN"

func serve(ctx context.Context, args []string, streams Streams) error {
	flags := newFlagSet("serve", "answer the users API until a signal comes.", streams)
	listen := flags.text("listen", "127.0.0.1:8082", "`address` to listen on")
	dsn := flags.text("database", "users.db", databaseHelp)
	issuer := flags.text("issuer", "https://localhost:8443", "`URL` of the authorization server; also the edge's origin")
	jwksURL := flags.text("jwks-url", "http://127.0.0.1:8081/oauth/jwks", "`URL` of the issuer's keys; empty: discover it")
	audience := flags.text("audience", "", "`audience` that tokens must be for; empty: the issuer and /api")
	if err := flags.parse(args); err != nil {
		return err
	}
	if *audience == "" {
		*audience = *issuer + "/api"
	}
	logger := slog.New(slog.NewJSONHandler(streams.Err, nil)).With("service", "users")
	db, err := Open(ctx, *dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends: nothing is left to lose
	check := tokencheck.Config{Issuer: *issuer, JWKSURL: *jwksURL, Audience: *audience, Origin: *issuer, Logger: logger}
	api, err := tokencheck.New(check)
	if err != nil {
		return err
	}
	// Services call each other directly, with plain bearer tokens that live for a minute.
	check.Audience, check.Origin = tokencheck.InternalAudience, ""
	internal, err := tokencheck.New(check)
	if err != nil {
		return err
	}
	api.Start(ctx)
	internal.Start(ctx)
	users := New(Config{DB: db, API: api, Internal: internal, Logger: logger})
	return service.Serve(ctx, service.Config{
		Name: "users", Listen: *listen, Handler: users, Logger: logger, Ready: users.Ready,
		Background: []func(context.Context) error{users.Sweep},
	})
}
