package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/open-tollgate/tollgate/internal/policy"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "policy",
		Usage: "report|explain|lint|diff|test",
		Short: "Reads, questions, checks, compares and tests what a configuration lets through",
		Long: `
Works on a Caddyfile, on what another --adapter reads, or on Caddy's JSON, and connects to nothing. Placeholders of the
environment are filled in as for "tollgate run". What cannot be analysed is named, and
counts as open.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(reportCommand(), explainCommand(), lintCommand(), diffCommand(), testCommand())
		},
	})
}

// source is how configuration files are read.
type source struct{ adapter string }

// newSource adds --adapter.
func newSource(cmd *cobra.Command) *source {
	s := new(source)
	cmd.Flags().StringVarP(&s.adapter, "adapter", "a", "caddyfile", "What makes JSON of a configuration whose name does not end in .json")
	return s
}

// load makes the model of a configuration file.
func (s *source) load(file string) (*policy.Config, error) {
	content, err := s.adapt(file)
	if err != nil {
		return nil, err
	}
	return policy.Parse(content)
}

// adapt gives a configuration file as Caddy's JSON.
func (s *source) adapt(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if filepath.Ext(file) == ".json" {
		return content, nil
	}
	adapter := caddyconfig.GetAdapter(s.adapter)
	if adapter == nil {
		return nil, fmt.Errorf("policy: there is no adapter %q", s.adapter)
	}
	adapted, _, err := adapter.Adapt(content, map[string]any{"filename": file})
	if err != nil {
		return nil, fmt.Errorf("policy: %s: %w", file, err)
	}
	return adapted, nil
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "Caddyfile", "Configuration: a Caddyfile, or what --adapter reads; Caddy's JSON where the name ends in .json")
}

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report [--config FILE] [--format text|json|html]",
		Short: "Tells what is exposed: by API who may call it, with what, how often, and where it goes",
		Long: `
Then everything that is public, everything outside any api, and what could not be
analysed. The HTML is one page
that needs nothing else and prints well.`,
		Args: cobra.NoArgs,
	}
	config, files := configFlag(cmd), newSource(cmd)
	format := cmd.Flags().String("format", "text", "text, json or html")
	title := cmd.Flags().String("title", "Policy of the edge", "Heading of the HTML page")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := files.load(*config)
		if err != nil {
			return err
		}
		r, out := policy.NewReport(c), cmd.OutOrStdout()
		switch *format {
		case "text":
			return r.WriteText(out)
		case "json":
			return r.WriteJSON(out)
		case "html":
			return r.WriteHTML(out, *title)
		default:
			return fmt.Errorf("policy report: format %q is not text, json or html", *format)
		}
	}
	return cmd
}

func lintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint [--config FILE] [--rules FILE] [--format text|sarif] [--fail-on error|warning|note]",
		Short: "Names what is dangerous, and how to cure it",
		Long: `
--rules is a YAML file with the site's own rules, and with suppressions: each with a
reason and a day on which it ends. Exit code 0: nothing to say; 1: there is a finding as
bad as --fail-on or worse, or a suppression that has ended.
"tollgate policy lint --explain" tells what is looked for, and why.`,
		Args: cobra.NoArgs,
	}
	config, files := configFlag(cmd), newSource(cmd)
	rules := cmd.Flags().String("rules", "", "YAML file with the site's rules and suppressions")
	format := cmd.Flags().String("format", "text", "text or sarif")
	failOn := cmd.Flags().String("fail-on", "warning", "error, warning or note")
	explain := cmd.Flags().Bool("explain", false, "Tell what is looked for, and why")
	all := cmd.Flags().Bool("all", false, "Tell what is suppressed, too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out := cmd.OutOrStdout()
		if *explain {
			return explainChecks(out)
		}
		options, err := lintOptions(*rules)
		if err != nil {
			return err
		}
		c, err := files.load(*config)
		if err != nil {
			return err
		}
		findings := policy.Lint(c, options)
		expired, unused := options.Apply(findings, time.Now())
		if *format == "sarif" {
			err = policy.WriteSARIF(out, findings, *config)
		} else {
			err = policy.WriteFindings(out, findings, *all)
		}
		if err != nil {
			return err
		}
		for _, s := range unused {
			cmd.PrintErrf("suppression of %s for api %q: nothing is found there any more\n", s.Check, s.API)
		}
		return verdict(findings, expired, policy.Severity(*failOn))
	}
	return cmd
}

// verdict is an error where something is found that is bad enough.
func verdict(findings []policy.Finding, expired []policy.Suppression, failOn policy.Severity) error {
	count := 0
	for _, f := range findings {
		if f.Suppressed == "" && !f.Severity.Milder(failOn) {
			count++
		}
	}
	for _, s := range expired {
		return fmt.Errorf("policy lint: the suppression of %s for api %q ended on %s", s.Check, s.API, s.Expires)
	}
	if count > 0 {
		return fmt.Errorf("policy lint: %d findings", count)
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

func lintOptions(file string) (options policy.LintOptions, err error) {
	if file == "" {
		return options, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return options, fmt.Errorf("policy lint: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := decodeYAML(f, &options); err != nil {
		return options, fmt.Errorf("policy lint: %s: %w", file, err)
	}
	if err := options.Check(); err != nil {
		return options, fmt.Errorf("policy lint: %s: %w", file, err)
	}
	return options, nil
}
