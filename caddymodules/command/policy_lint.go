package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// lintFile is the site's file beside a configuration; noFile is none, whatever is there.
const (
	lintFile = "lint.yaml"
	noFile   = "none"
)

func lintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint [--config FILE] [--rules FILE] [--format text|sarif] [--fail-on error|warning|note]",
		Short: "Names what is dangerous, and how to cure it",
		Long: `
--rules is a YAML file with the site's own rules, and with suppressions: each with a
reason and a day on which it ends. Without it, that is lint.yaml beside the configuration,
if it is there; --rules none takes no file. Which file it was, and how much it suppresses, is
said each time. Exit code 0: nothing to say; 1: there is a finding as bad as --fail-on or
worse, or a suppression that has ended; 2: could not run.
"tollgate policy lint --explain" tells what is looked for, and why.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := flagsAlone(cmd, args); err != nil {
				return exit(cmd, 2, err)
			}
			return nil
		},
	}
	config, files := configFlag(cmd), newSource(cmd)
	rules := cmd.Flags().String("rules", "", "YAML file with the site's rules and suppressions, or none (default: lint.yaml beside the configuration, if it is there)")
	format := cmd.Flags().String("format", "text", "text or sarif")
	failOn := cmd.Flags().String("fail-on", "warning", "error, warning or note")
	explain := cmd.Flags().Bool("explain", false, "Tell what is looked for, and why")
	all := cmd.Flags().Bool("all", false, "Tell what is suppressed, too")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *explain {
			if err := explainChecks(cmd.OutOrStdout()); err != nil {
				return exit(cmd, 2, fmt.Errorf("policy lint: %w", err))
			}
			return nil
		}
		l, err := runLint(cmd, files, *config, *rules, policy.Severity(*failOn), *format, *all)
		if err != nil {
			return exit(cmd, 2, fmt.Errorf("policy lint: %w", err))
		}
		if err := l.verdict(policy.Severity(*failOn)); err != nil {
			return exit(cmd, 1, fmt.Errorf("policy lint: %w", err))
		}
		return nil
	}
	return cmd
}

// linted is what was found, and the suppressions that are over.
type linted struct {
	findings []policy.Finding
	expired  []policy.Suppression
}

// runLint tells what is found. Everything is read before anything is said.
func runLint(cmd *cobra.Command, files *source, config, rules string, failOn policy.Severity, format string, all bool) (*linted, error) {
	switch {
	case format != "text" && format != "sarif":
		return nil, fmt.Errorf("--format %q is not text or sarif", format)
	case !failOn.Known():
		return nil, fmt.Errorf("--fail-on %q is not error, warning or note", failOn)
	}
	options, from, err := lintOptions(rules, config)
	if err != nil {
		return nil, err
	}
	c, err := files.load(config)
	if err != nil {
		return nil, err
	}
	l := &linted{findings: policy.Lint(c, options)}
	var unused []policy.Suppression
	l.expired, unused = options.Apply(l.findings, time.Now())
	if format == "sarif" {
		err = policy.WriteSARIF(cmd.OutOrStdout(), l.findings, options, config)
	} else {
		err = policy.WriteFindings(cmd.OutOrStdout(), l.findings, all)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range unused {
		cmd.PrintErrf("suppression of %q%s: nothing is found there any more\n", s.Check, forAPI(s))
	}
	for _, r := range options.Idle(c) {
		cmd.PrintErrf("rule %q: no API is called %q\n", r.ID, r.APIs)
	}
	if len(options.Disable) > 0 {
		cmd.PrintErrf("not looked for: %s\n", strings.Join(options.Disable, ", "))
	}
	cmd.PrintErrln(l.summary(from))
	return l, nil
}

// summary says how much is found, and what was put up with because of which file.
func (l *linted) summary(from string) string {
	suppressed := 0
	for _, f := range l.findings {
		if f.Suppressed != "" {
			suppressed++
		}
	}
	text := countOf(len(l.findings)-suppressed, "finding")
	if from == "" {
		return text + "; no file of rules and suppressions"
	}
	return text + fmt.Sprintf("; %d more are suppressed by %s (--all tells them)", suppressed, from)
}

// forAPI says which API a suppression is for; it may be for what is in none.
func forAPI(s policy.Suppression) string {
	if s.API == "" {
		return ""
	}
	return fmt.Sprintf(" for api %q", s.API)
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// verdict is an error where something is found that is bad enough.
func (l *linted) verdict(failOn policy.Severity) error {
	for _, s := range l.expired {
		return fmt.Errorf("the suppression of %s%s ended on %s", s.Check, forAPI(s), s.Expires)
	}
	count := 0
	for _, f := range l.findings {
		if f.Suppressed == "" && !f.Severity.Milder(failOn) {
			count++
		}
	}
	if count > 0 {
		return fmt.Errorf("%s as bad as %s, or worse", countOf(count, "finding"), failOn)
	}
	return nil
}

func explainChecks(w io.Writer) error {
	for _, c := range policy.Checks() {
		if _, err := fmt.Fprintf(w, "%s (%s): %s\n    %s\n    cure: %s\n", c.ID, c.Severity, c.Summary, c.Why, c.Cure); err != nil {
			return err
		}
	}
	return nil
}

// lintOptions are those of a file; where none is named, of the one beside the
// configuration, if there is one.
func lintOptions(file, config string) (options policy.LintOptions, from string, err error) {
	if file == noFile {
		return options, "", nil
	}
	named := file != ""
	if !named {
		file = filepath.Join(filepath.Dir(config), lintFile)
	}
	f, err := os.Open(file)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return options, "", nil
	}
	if err != nil {
		return options, "", err
	}
	defer func() { _ = f.Close() }()
	if err := decodeYAML(f, &options); err != nil {
		return options, "", fmt.Errorf("%s: %w", file, err)
	}
	if err := options.Check(); err != nil {
		return options, "", fmt.Errorf("%s: %w", file, err)
	}
	return options, file, nil
}
