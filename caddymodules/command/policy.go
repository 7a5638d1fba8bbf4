package command

import (
	"fmt"
	"io"

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
Works on a Caddyfile, on what another --adapter reads, or on Caddy's JSON, and connects
to nothing. Placeholders of the environment are filled in as for "tollgate run". What
cannot be analysed is named, and counts as open.`,
		CobraFunc: func(cmd *cobra.Command) {
			family(cmd, reportCommand(), explainCommand(), lintCommand(), diffCommand(), testCommand())
		},
	})
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "Caddyfile", "Configuration: a Caddyfile, or what --adapter reads, or Caddy's JSON")
}

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report [--config FILE] [--format text|json|html]",
		Short: "Tells what is exposed: by API who may call it, with what, how often, and where it goes",
		Long: `
Then everything that is public, everything outside any api, and what could not be
analysed. The HTML is one page that needs nothing else and prints well.
Exit code 0: told; 2: could not run.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := flagsAlone(cmd, args); err != nil {
				return exit(cmd, 2, err)
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exit(cmd, 2, err) })
	config, files := configFlag(cmd), newSource(cmd)
	format := cmd.Flags().String("format", "text", "text, json or html")
	title := cmd.Flags().String("title", "Policy of the edge", "Heading of the HTML page")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := writeReport(cmd.OutOrStdout(), files, *config, *format, *title); err != nil {
			return exit(cmd, 2, err)
		}
		return nil
	}
	return cmd
}

func writeReport(out io.Writer, files *source, config, format, title string) error {
	c, err := files.load(config)
	if err != nil {
		return err
	}
	r := policy.NewReport(c)
	switch format {
	case "text":
		return r.WriteText(out)
	case "json":
		return r.WriteJSON(out)
	case "html":
		return r.WriteHTML(out, title)
	default:
		return fmt.Errorf("policy report: format %q is not text, json or html", format)
	}
}
