package payments

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/command"
	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// The exit codes. Scripts tell books that are wrong from a check that could not run.
const (
	exitFailed    = 1
	exitViolation = 3
)

const (
	day     = 24 * time.Hour
	maxDays = 36_500 // a time.Duration holds more, and nobody wants it
)

// Main runs the program "payments" with these arguments, until it is done or a
// signal comes, and gives its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := service.Signals()
	defer stop()
	err := commandLine.Run(ctx, args, command.Streams{Out: stdout, Err: stderr})
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(stderr, "payments:", err)
	var refusal *problem.Problem
	if errors.As(err, &refusal) {
		for _, wrong := range refusal.Errors {
			fmt.Fprintf(stderr, "  %s %s\n", wrong.Pointer, wrong.Detail)
		}
	}
	var violation *ledger.Violation
	if errors.As(err, &violation) {
		return exitViolation
	}
	return exitFailed
}

var commandLine = command.Program{
	Name:    "payments",
	Purpose: "moves money between accounts, once and by consent.",
	Commands: []command.Command{
		{Name: "serve", Purpose: "answer the payments API and deliver webhooks until a signal comes", Run: serve},
		{Name: "account open", Purpose: "open a user's account; one of that name is left as it is", Run: accountOpen},
		{Name: "account close", Purpose: "close all of a user's accounts for good, if they are empty", Run: accountClose},
		{Name: "merchant add", Purpose: "open the account that a client is paid to", Run: merchantAdd},
		{Name: "webhook add", Purpose: "tell a client of its payments; prints the secret once", Run: webhookAdd},
		{Name: "ledger verify", Purpose: "check the books; exits with 3 and names the first bad row", Run: ledgerVerify},
		{Name: "ledger rebuild", Purpose: "make all balances anew from the transfers", Run: ledgerRebuild},
	},
}

// storage are the flags that every command has.
type storage struct{ dsn, secretFile *string }

func storageFlags(flags *command.Flags) storage {
	return storage{
		dsn: flags.Text("database", "payments.db", "SQLite `file`, or a postgres:// DSN"),
		secretFile: flags.Text("secret-file", "",
			"`file` with the master key that seals the secrets of webhooks; made when missing.\n"+
				"With SQLite it can be left out: it is then beside the database, with .key for .db.\n"+
				"With PostgreSQL serve and webhook add have to be told: every instance needs a copy of the same file"),
	}
}

func (s storage) open(ctx context.Context) (*database.DB, error) { return OpenDatabase(ctx, *s.dsn) }

func (s storage) keyFile() (string, error) { return command.KeyFile("payments", *s.secretFile, *s.dsn) }

// with does something to the open database and prints the result.
func (s storage) with(ctx context.Context, out io.Writer, do func(*database.DB) (any, error)) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // each write is committed already
	result, err := do(db)
	if err != nil {
		return err
	}
	return command.Print(out, result)
}

func serve(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	listen := flags.Text("listen", "127.0.0.1:8083", "`address` to listen on")
	tokens := tokencheck.DefineFlags(flags)
	stepUpACR := flags.Text("step-up-acr", "urn:tollgate:acr:password", "acr `values` that will do where a risk rule asks for step-up; space-separated")
	stepUpAge := flags.Text("step-up-max-age", "5m", "how long ago the user may have authenticated then; a `duration`")
	keepDecisions := flags.Text("keep-decisions", strconv.Itoa(int(risk.DefaultRetention/day)),
		"`days` for which risk decisions are kept, at least 90. Payments, transfers, consents and what officers\n"+
			"did are kept for good, idempotency keys for a day, events and what became of their webhooks for 30")
	allowPrivate := flags.Switch("webhook-allow-private", "let webhooks into private networks and this machine")
	if err := flags.ParseAll(args, "listen", "issuer"); err != nil {
		return err
	}
	maxAge, err := time.ParseDuration(*stepUpAge)
	if err != nil || maxAge < time.Second {
		return errors.New("--step-up-max-age must be a duration of at least a second, such as 5m")
	}
	decisionDays, err := strconv.Atoi(*keepDecisions)
	if err != nil || decisionDays < int(risk.MinRetention/day) || decisionDays > maxDays {
		return fmt.Errorf("--keep-decisions must be a whole number of days, from %d to %d", int(risk.MinRetention/day), maxDays)
	}
	keyFile, err := stored.keyFile()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(streams.Err, nil)).With("service", "payments")
	db, err := stored.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends: nothing is left to lose
	secrets, err := OpenVault(keyFile)
	if err != nil {
		return err
	}
	gates, err := tokens.Gates(logger)
	if err != nil {
		return err
	}
	gates.Start(ctx)
	server := New(Config{
		DB: db, Gates: gates, Vault: secrets, WebhookAllowPrivate: *allowPrivate, Logger: logger,
		StepUp: access.StepUp{ACR: strings.Fields(*stepUpACR), MaxAge: maxAge}, KeepDecisions: time.Duration(decisionDays) * day,
	})
	return service.Serve(ctx, service.Config{
		Name: "payments", Listen: *listen, Handler: server, Logger: logger, Ready: server.Ready, Background: server.Background(),
	})
}

func accountOpen(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	owner := flags.Text("owner", "", "`id` of the user")
	name := flags.Text("name", "", "`name` of the account, as its owner reads it")
	currency := flags.Text("currency", "EUR", "ISO 4217 `code`")
	deposit := flags.Text("deposit", "0", "opening balance in `minor units`; given once, when the account is made")
	if err := flags.ParseAll(args, "owner", "name", "currency"); err != nil {
		return err
	}
	units, err := strconv.ParseInt(*deposit, 10, 64)
	if err != nil {
		return errors.New("--deposit must be a whole number of minor units")
	}
	return stored.with(ctx, streams.Out, func(db *database.DB) (any, error) {
		return OpenAccount(ctx, db, *owner, *name, *currency, units)
	})
}

func accountClose(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	owner := flags.Text("owner", "", "`id` of the user")
	if err := flags.ParseAll(args, "owner"); err != nil {
		return err
	}
	return stored.with(ctx, streams.Out, func(db *database.DB) (any, error) {
		wallets, err := ledger.ByOwner(ctx, db, ledger.Wallet, *owner, "", 1)
		if err != nil {
			return nil, err
		}
		if len(wallets) == 0 {
			return nil, fmt.Errorf("--owner %q: there is no account of that user", *owner)
		}
		open, err := CloseAccounts(ctx, db, *owner, time.Now())
		switch {
		case err != nil:
			return nil, err
		case open.Balance:
			return nil, errors.New("there is money in an account of the user, or held there: nothing was closed")
		case open.Open:
			return nil, errors.New("a payment of the user is not at its end: nothing was closed")
		}
		return map[string]string{"closed": *owner}, nil
	})
}

func merchantAdd(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	client := flags.Text("client", "", "`id` of the client")
	name := flags.Text("name", "", "`name` that payers are shown")
	currency := flags.Text("currency", "EUR", "ISO 4217 `code`")
	if err := flags.ParseAll(args, "client", "name", "currency"); err != nil {
		return err
	}
	return stored.with(ctx, streams.Out, func(db *database.DB) (any, error) {
		return AddMerchant(ctx, db, *client, *name, *currency)
	})
}

func webhookAdd(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	client := flags.Text("client", "", "`id` of the client")
	url := flags.Text("url", "", "`URL` that is told: https, or http to this machine")
	replace := flags.Switch("replace", "make this the client's only endpoint, with a new secret")
	if err := flags.ParseAll(args, "client", "url"); err != nil {
		return err
	}
	keyFile, err := stored.keyFile()
	if err != nil {
		return err
	}
	return stored.with(ctx, streams.Out, func(db *database.DB) (any, error) {
		secrets, err := OpenVault(keyFile)
		if err != nil {
			return nil, err
		}
		endpoint, err := outbox.AddEndpoint(ctx, db, secrets, *client, *url, *replace, time.Now())
		if err != nil {
			return nil, err
		}
		return webhookView{ID: endpoint.ID, Client: endpoint.Client, URL: endpoint.URL, Secret: endpoint.Secret}, nil
	})
}

// webhookView is what is printed of a new endpoint: the only time that the
// secret is shown.
type webhookView struct {
	ID     string `json:"id"`
	Client string `json:"client_id"`
	URL    string `json:"url"`
	Secret string `json:"secret"`
}

func ledgerVerify(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	if err := flags.ParseAll(args); err != nil {
		return err
	}
	db, err := OpenDatabaseToRead(ctx, *stored.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it only read
	if err := VerifyLedger(ctx, db, time.Now()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(streams.Out, "the books are right")
	return err
}

func ledgerRebuild(ctx context.Context, flags *command.Flags, args []string, streams command.Streams) error {
	stored := storageFlags(flags)
	if err := flags.ParseAll(args); err != nil {
		return err
	}
	return stored.with(ctx, streams.Out, func(db *database.DB) (any, error) {
		corrected, err := ledger.Rebuild(ctx, db)
		return struct {
			Corrected int64 `json:"corrected"` // balances that were not those of the transfers
		}{corrected}, err
	})
}
