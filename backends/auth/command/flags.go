package command

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/service"
)

// flags is a flag set whose defaults come from the environment.
type flags struct {
	*flag.FlagSet
	wrong error // what is wrong with the environment
}

func newFlags(s Streams, name, about string) *flags {
	set := flag.NewFlagSet("auth "+name, flag.ContinueOnError)
	set.SetOutput(s.Err)
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "auth %s: %s\n\n", name, about)
		set.PrintDefaults()
	}
	return &flags{FlagSet: set}
}

// text defines a flag; its default is AUTH_NAME of the environment, then fallback.
func (f *flags) text(name, fallback, about string) *string {
	value := f.String(name, fallback, about)
	f.preset(name)
	return value
}

// duration is like text, for a duration.
func (f *flags) duration(name string, fallback time.Duration, about string) *time.Duration {
	value := f.Duration(name, fallback, about)
	f.preset(name)
	return value
}

// preset gives a flag the value that the environment has for it. Help goes on to
// show the fallback: the environment may hold a DSN with a password.
func (f *flags) preset(name string) {
	variable := "AUTH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	value := service.Env(variable, "")
	if value == "" {
		return
	}
	if err := f.Set(name, value); err != nil {
		f.wrong = fmt.Errorf("%s is nothing that --%s takes", variable, name)
	}
}

// list defines a flag that may be given several times.
func (f *flags) list(name, about string) *list {
	values := &list{}
	f.Var(values, name, about)
	return values
}

// parse reads the arguments. What is wrong with them has been said by then.
func (f *flags) parse(args []string) error {
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err == nil && f.NArg() > 0 {
		fmt.Fprintf(f.Output(), "%s: unexpected %q\n", f.Name(), f.Arg(0))
		return ErrUsage
	}
	if err != nil {
		return ErrUsage
	}
	return f.wrong
}

type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds a value, or several with commas between them.
func (l *list) Set(value string) error {
	*l = append(*l, strings.Split(value, ",")...)
	return nil
}
