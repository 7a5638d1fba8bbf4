// Package command is what the services' command lines do alike: subcommands that
// explain themselves, and flags that take their defaults from the environment.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/backends/internal/service"
)

// Streams are the standard streams of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Command is one subcommand, such as "account open".
type Command struct {
	Name    string
	Purpose string // one line of help
	Run     func(ctx context.Context, flags *Flags, args []string, streams Streams) error
}

// Program is a command line with subcommands.
type Program struct {
	Name     string // of the program; also the prefix of its environment variables
	Purpose  string
	Commands []Command
}

// Run runs the command that args begin with. flag.ErrHelp means that help was
// asked for and given.
func (p Program) Run(ctx context.Context, args []string, streams Streams) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to do: %s (see %s --help)", p.choice(), p.Name)
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		p.help(streams.Out)
		return flag.ErrHelp
	}
	for _, c := range p.Commands {
		words := strings.Fields(c.Name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return c.Run(ctx, newFlags(p.Name, c, streams.Err), args[len(words):], streams)
		}
	}
	return fmt.Errorf("unknown command %q: use %s (see %s --help)", args[0], p.choice(), p.Name)
}

// choice names the commands: "serve, account open or merchant add".
func (p Program) choice() string {
	var text strings.Builder
	for i, c := range p.Commands {
		switch {
		case i == 0:
		case i == len(p.Commands)-1:
			text.WriteString(" or ")
		default:
			text.WriteString(", ")
		}
		text.WriteString(c.Name)
	}
	return text.String()
}

func (p Program) help(w io.Writer) {
	fmt.Fprintf(w, "%s %s\n\n", p.Name, p.Purpose)
	for _, c := range p.Commands {
		fmt.Fprintf(w, "  %s %-16s %s\n", p.Name, c.Name, c.Purpose)
	}
	fmt.Fprintf(w, "\nEach command explains itself with --help. Every flag takes its default from the\n"+
		"environment: --database from %s, and so on.\n", variable(p.Name, "database"))
}

// Flags is a flag.FlagSet whose flags take their defaults from the environment.
type Flags struct {
	*flag.FlagSet
	program string
}

func newFlags(program string, c Command, w io.Writer) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(program+" "+c.Name, flag.ContinueOnError), program: program}
	f.SetOutput(w)
	f.Usage = func() {
		fmt.Fprintf(w, "%s: %s\n\n", f.Name(), c.Purpose)
		f.PrintDefaults()
	}
	return f
}

// Text defines a flag with a value. Help shows the fallback and not what the
// environment holds, which may be a DSN with a password.
func (f *Flags) Text(name, fallback, help string) *string {
	env := variable(f.program, name)
	value := f.String(name, service.Env(env, fallback), help+" ("+env+")")
	f.Lookup(name).DefValue = fallback
	return value
}

// Switch defines a flag that is on or off.
func (f *Flags) Switch(name, help string) *bool {
	env := variable(f.program, name)
	return f.Bool(name, service.Env(env, "false") == "true", help+" ("+env+"=true)")
}

// ParseAll parses args and refuses what is left over, and flags without a value
// among the required ones.
func (f *Flags) ParseAll(args []string, required ...string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for _, name := range required {
		if f.Lookup(name).Value.String() == "" {
			return errors.New("--" + name + " is missing")
		}
	}
	return nil
}

func variable(program, flagName string) string {
	return strings.ToUpper(program + "_" + strings.ReplaceAll(flagName, "-", "_"))
}

// Print writes a result as one JSON object, for people and scripts.
func Print(w io.Writer, result any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(result)
}
