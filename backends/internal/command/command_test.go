package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Setenv("SHOPKEEP_COLOUR", "red")
	t.Setenv("SHOPKEEP_DRY_RUN", "true")
	var colour string
	var dry bool
	program := Program{Name: "shopkeep", Purpose: "keeps a shop.", Commands: []Command{
		{Name: "paint", Purpose: "paint it", Run: func(_ context.Context, flags *Flags, args []string, _ Streams) error {
			c, d := flags.Text("colour", "blue", "a `colour`"), flags.Switch("dry-run", "do nothing")
			err := flags.ParseAll(args, "colour")
			colour, dry = *c, *d
			return err
		}},
		{Name: "door open", Purpose: "open it", Run: func(_ context.Context, flags *Flags, args []string, streams Streams) error {
			if err := flags.ParseAll(args); err != nil {
				return err
			}
			return Print(streams.Out, map[string]string{"door": "open & wide"})
		}},
		{Name: "lock up", Purpose: "lock it"},
	}}
	for _, c := range []struct {
		args             string
		err, out, notOut string
	}{
		{"paint", "", "", ""},
		{"paint --colour=", "--colour is missing", "", ""},
		{"paint now", `unexpected argument "now"`, "", ""},
		{"paint --help", flag.ErrHelp.Error(), `(default "blue")`, "red"},
		{"door open", "", `"door": "open & wide"`, ""},
		{"door", `unknown command "door": use paint, door open or lock up`, "", ""},
		{"", "say what to do: paint, door open or lock up", "", ""},
		{"--help", flag.ErrHelp.Error(), "SHOPKEEP_DATABASE", ""},
	} {
		var out bytes.Buffer
		err := program.Run(t.Context(), strings.Fields(c.args), Streams{Out: &out, Err: &out})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.err)
		}
		if !strings.Contains(out.String(), c.out) || c.notOut != "" && strings.Contains(out.String(), c.notOut) {
			t.Errorf("%q: wrote %s", c.args, out.String())
		}
	}
	if err := program.Run(t.Context(), []string{"paint"}, Streams{}); err != nil || colour != "red" || !dry {
		t.Errorf("from the environment: %q, %v, %v", colour, dry, err)
	}
	if err := program.Run(t.Context(), []string{"paint", "--colour", "green", "--dry-run=false"}, Streams{}); err != nil || colour != "green" || dry {
		t.Errorf("from the flags: %q, %v, %v", colour, dry, err)
	}
	if errors.Is(program.Run(t.Context(), []string{"--helpless"}, Streams{}), flag.ErrHelp) {
		t.Error("an unknown flag was taken for --help")
	}
}
