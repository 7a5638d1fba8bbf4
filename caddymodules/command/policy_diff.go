package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/internal/policy"
)

func diffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff OLD NEW [--fail-on widened,narrowed,moved] [--format text|json|markdown]",
		Short: "Tells what a change opens and closes, each with a request that shows it",
		Long: `
Compares what two configurations let through, not how they are written: order of routes,
overlapping matchers and shadowed rules are seen through. Each difference in who is let in
comes with a request, and a token, that one of the two refuses and the other lets in.
Its URL has the port in it only where the policy looks at it: to send it to an edge that
listens on 8443, give curl --connect-to localhost:443:localhost:8443. docs/auditors.md
says how to try one, and how to tell who has answered.
Exit code 0: nothing of what --fail-on names; 1: something of it, or --fail-on is given
and not everything could be compared; 2: could not run.`,
		Args: exactly(2),
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	files := newSource(cmd)
	failOn := cmd.Flags().StringSlice("fail-on", nil, "Exit with 1 on these, and on what could not be compared: widened, narrowed, moved")
	format := cmd.Flags().String("format", "text", "text, json or markdown")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("fail-on") && len(*failOn) == 0 { // a variable that is not set
			return exit(cmd, 2, errors.New("policy diff: --fail-on names nothing; want widened, narrowed or moved"))
		}
		if !slices.Contains([]string{"text", "json", "markdown"}, *format) { // before anything takes time
			return exit(cmd, 2, fmt.Errorf("policy diff: format %q is not text, json or markdown", *format))
		}
		d, err := files.diff(args[0], args[1], *failOn)
		if err == nil {
			err = writeDiff(cmd.OutOrStdout(), d, *format)
		}
		if err != nil {
			return exit(cmd, 2, err)
		}
		if err := diffVerdict(d, *failOn); err != nil {
			return exit(cmd, 1, err)
		}
		return nil
	}
	return cmd
}

func (s *source) diff(before, after string, failOn []string) (*policy.DiffResult, error) {
	for _, direction := range failOn {
		if !slices.Contains([]policy.Direction{policy.Widened, policy.Narrowed, policy.Moved}, policy.Direction(direction)) {
			return nil, fmt.Errorf("policy diff: --fail-on %q is not widened, narrowed or moved", direction)
		}
	}
	was, err := s.load(before)
	if err != nil {
		return nil, err
	}
	is, err := s.load(after)
	if err != nil {
		return nil, err
	}
	return policy.Diff(was, is, time.Now()), nil
}

func writeDiff(out io.Writer, d *policy.DiffResult, format string) error {
	switch format {
	case "json":
		return writeJSON(out, d)
	case "markdown":
		return d.WriteMarkdown(out)
	default:
		return d.WriteText(out)
	}
}

// diffVerdict is an error where the change is what nobody wanted, or may be.
func diffVerdict(d *policy.DiffResult, failOn []string) error {
	for _, direction := range failOn {
		if d.Has(policy.Direction(direction)) {
			return fmt.Errorf("policy diff: access is %s", direction)
		}
	}
	if len(failOn) > 0 && !d.Complete {
		return fmt.Errorf("policy diff: not everything could be compared (%d not analysed, %d with too many ways)", len(d.Open), len(d.Cut))
	}
	return nil
}
