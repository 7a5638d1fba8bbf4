package command

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/internal/printable"
)

// exit ends the command with a code; only Caddy can make the error that carries one other
// than 1. It would tell the error as a line of a log, so that is told here.
func exit(cmd *cobra.Command, code int, err error) error {
	cmd.SilenceUsage = true
	if code == 1 {
		return err
	}
	cmd.SilenceErrors = true
	cmd.PrintErrln("Error: " + printable.Page(err.Error()))
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

// exactly wants so many arguments; fewer, or more, is a command that could not run.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return exit(cmd, 2, err)
		}
		return nil
	}
}

// family has commands of its own and does nothing by itself: a word that is none of them is
// a mistake, and no wish for help.
func family(cmd *cobra.Command, commands ...*cobra.Command) {
	for _, c := range commands {
		run := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error { return readable(run(cmd, args)) }
	}
	cmd.AddCommand(commands...)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := cobra.NoArgs(cmd, args); err != nil {
			return exit(cmd, 2, fmt.Errorf("%w: want %s", err, strings.Join(names(commands), ", ")))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

func names(commands []*cobra.Command) (all []string) {
	for _, c := range commands {
		all = append(all, c.Name())
	}
	return all
}

// readable keeps an error, which may quote a configuration, from steering the terminal.
func readable(err error) error {
	if err == nil || printable.Page(err.Error()) == err.Error() {
		return err // what has an exit code of its own has no text
	}
	return readableError{err}
}

type readableError struct{ error }

func (e readableError) Error() string { return printable.Page(e.error.Error()) }
func (e readableError) Unwrap() error { return e.error }
