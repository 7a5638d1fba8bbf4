// Command demo runs the whole platform on loopback: the edge, the authorization
// server, the two backends and an example shop, with users, money and clients to
// try it. Ctrl-C stops everything; what it made stays in the data folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options are the command's flags.
type options struct {
	data      string // absolute path of the data folder
	port      int    // the edge's
	redis     string
	postgres  string
	caddyfile string
	bin       string // folder of the other binaries
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	defer stop()
	opts, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, opts, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// usageError is a mistake in the flags.
type usageError struct{ error }

// parse reads the flags. Usage goes to usage, where it is asked for: above it, or below,
// nobody would see what is wrong.
func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.data, "data", "./data", "`folder` for databases, keys, certificates and logs")
	flags.IntVar(&o.port, "port", 8443, "the edge's `port` on localhost")
	flags.StringVar(&o.redis, "redis", "", "`URL` of a Redis for limits, replay memory and revocations (default: the edge's own memory)")
	flags.StringVar(&o.postgres, "postgres", "", "`DSN` of a PostgreSQL for the services (default: SQLite files in the data folder)")
	flags.StringVar(&o.caddyfile, "caddyfile", "", "`file` that the edge runs (default: the shipped Caddyfile)")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(usage, "Runs the whole platform on loopback until Ctrl-C.\n\nUsage: demo [flags]\n\n")
		flags.SetOutput(usage)
		flags.PrintDefaults()
		return o, err
	}
	if err == nil {
		err = o.check(flags.Args())
	}
	if err != nil {
		return o, usageError{fmt.Errorf("%w; see demo --help", err)}
	}
	return o, o.locate()
}

func (o *options) check(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	if o.port < 1 || o.port > 65535 {
		return fmt.Errorf("--port %d is not a port (1 to 65535)", o.port)
	}
	return errors.Join(
		checkURL("--redis", o.redis, "redis", "rediss", "unix"),
		checkURL("--postgres", o.postgres, "postgres", "postgresql"))
}

// checkURL wants one of the schemes. The value stays out of the error: it may hold a password.
func checkURL(flagName, value string, schemes ...string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err == nil {
		for _, s := range schemes {
			if u.Scheme == s {
				return nil
			}
		}
	}
	return fmt.Errorf("%s must be a URL that starts with %s://", flagName, strings.Join(schemes, ":// or "))
}

// locate makes the paths absolute and finds the binaries beside this one and the Caddyfile beside them.
func (o *options) locate() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	o.bin = filepath.Dir(exe)
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(o.bin, name)); err != nil {
			return fmt.Errorf("%s is not beside demo in %s: run make build first", name, o.bin)
		}
	}
	if o.caddyfile == "" {
		o.caddyfile = filepath.Join(filepath.Dir(o.bin), "Caddyfile")
	}
	if o.caddyfile, err = filepath.Abs(o.caddyfile); err != nil {
		return err
	}
	if _, err := os.Stat(o.caddyfile); err != nil {
		return fmt.Errorf("the edge's configuration: %w", err)
	}
	o.data, err = filepath.Abs(o.data)
	return err
}
