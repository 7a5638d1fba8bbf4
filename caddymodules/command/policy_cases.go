package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
)

// testOptions are the flags of policy test.
type testOptions struct {
	config, junit string
	files         *source
	failUnder     float64
	all           bool
	sandbox       sandbox.Options
}

func testCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE... [--config FILE] [--fail-under PERCENT] [--junit FILE]",
		Short: "Holds a configuration to cases: requests, and what has to come of each",
		Long: `
Runs the cases of YAML files through the real chain of handlers of the configuration, in
this process alone. It connects to nothing and listens nowhere, obtains no certificate,
and writes no file but that of --junit: services answer an empty 200 in place of every
upstream, limits and proofs are counted in memory, and keys are made up for every issuer,
wherever it has its own. An edge that runs beside it notices nothing.

  base: https://localhost:8443
  tokens:
    shop: {client: shop, scope: payments:create}
  cases:
    - name: a shop creates payments, and only so often
      steps:
        - request: {method: POST, url: /api/payments, token: shop, after: 599}
          expect: {status: 200, api: payments, forwarded: true, remaining: {payments_user: 0}}
        - request: {method: POST, url: /api/payments, token: shop}
          expect: {status: 429, reason: quota_exceeded}
        - wait: 61s
        - request: {method: POST, url: /api/payments, token: shop}
          expect: {status: 200}

{$NAME} and {$NAME:default} are filled in from the environment, as in a Caddyfile. Time
stands still but for wait. Each case meets an edge that knows nothing of the others.
docs/policy-test.md says all that can be in a file.

Then it names the rules that no case has shown at work: for what can refuse, both ways.
A handler that is not Caddy's own or Tollgate's may leave the process, and is not run: a
case that gets to it fails, unless --run or --pass says what to do with it.

Exit code 0: all cases have passed; 1: one has failed, or less is shown than --fail-under
asks for; 2: could not run.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
				return exit(cmd, 2, err)
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	var o testOptions
	config := configFlag(cmd)
	o.files = newSource(cmd)
	cmd.Flags().Float64Var(&o.failUnder, "fail-under", 0, "Exit with 1 if less than this percentage of the ways through the rules is shown")
	cmd.Flags().StringVar(&o.junit, "junit", "", "Write the result to this file as JUnit's XML as well")
	cmd.Flags().BoolVar(&o.all, "all", false, "Name the cases that pass, too")
	cmd.Flags().StringSliceVar(&o.sandbox.Run, "run", nil, "Handlers and matchers of plugins that stay within the process: they are run as they are")
	cmd.Flags().StringSliceVar(&o.sandbox.Pass, "pass", nil, "Handlers of plugins that are passed as if they were not there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.config = *config
		result, err := runTests(cmd, args, o)
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("policy test: %w", err))
		}
		if err := testVerdict(result, o.failUnder); err != nil {
			return exit(cmd, 1, fmt.Errorf("policy test: %w", err))
		}
		return nil
	}
	return cmd
}

// runTests reads everything before it runs anything.
func runTests(cmd *cobra.Command, names []string, o testOptions) (*cases.Result, error) {
	if !(o.failUnder >= 0 && o.failUnder <= 100) { // which is no number is not, either
		return nil, fmt.Errorf("--fail-under %v is no percentage", o.failUnder)
	}
	files, err := readCases(names)
	if err != nil {
		return nil, err
	}
	content, err := o.files.adapt(o.config)
	if err != nil {
		return nil, err
	}
	result, notes, err := sandbox.Run(content, files, o.sandbox)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.config, err)
	}
	for _, note := range notes {
		cmd.PrintErrln("note: " + note)
	}
	if err := result.WriteText(cmd.OutOrStdout(), o.all); err != nil || o.junit == "" {
		return result, err
	}
	return result, writeFile(o.junit, result.WriteJUnit)
}

func readCases(names []string) ([]*cases.File, error) {
	var files []*cases.File
	seen := make(map[string]bool)
	for _, name := range names {
		absolute, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		if seen[absolute] {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		seen[absolute] = true
		file, err := cases.Read(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func testVerdict(r *cases.Result, failUnder float64) error {
	if n := r.Failed(); n > 0 {
		return fmt.Errorf("%d of %d cases failed", n, len(r.Outcomes))
	}
	if got := r.Coverage.Percent(); got < failUnder {
		return fmt.Errorf("%.1f %% of the ways through the rules are shown, and --fail-under asks for %v %%", got, failUnder)
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
