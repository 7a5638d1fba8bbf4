package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// report prints the short table that ends in the ready line.
func report(out io.Writer, o options, m *manifest) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\n  Shop\t%s\tbuy something here\n", m.ShopURL)
	fmt.Fprintf(w, "  Edge\t%s\tevery API, and the authorization server\n", m.BaseURL)
	fmt.Fprintf(w, "  Metrics\t%s\tPrometheus\n", m.MetricsURL)
	for _, u := range m.Users {
		fmt.Fprintf(w, "  Login\t%s\t%s\n", u.Username, u.Password)
	}
	fmt.Fprintf(w, "  CA certificate\t%s\ttrust it in the browser, or accept its warning\n", m.CACert)
	fmt.Fprintf(w, "  For scripts\t%s\tall of this, and the clients' secrets\n", manifestPath(o.data))
	fmt.Fprintf(w, "  For commands\t. %s\tso that bin/tollgate means this edge, its ports and its policy\n", shellQuote(environmentPath(o.data)))
	fmt.Fprintf(w, "  Logs\t%s\t\n", filepath.Join(o.data, "logs"))
	fmt.Fprintf(w, "  Audit log\t%s\tto verify: docs/auditors-walk.md\n", filepath.Join(o.data, "audit"))
	_ = w.Flush() // the terminal is gone: nobody to tell
	fmt.Fprintf(out, "\n  Try:  curl --cacert %s -u %s:%s -d grant_type=client_credentials -d scope=payments:read %s/oauth/token\n",
		shellQuote(m.CACert), serviceClient, m.client(serviceClient).ClientSecret, m.BaseURL)
	fmt.Fprintf(out, "\nTollgate is ready. Press Ctrl-C to stop.\n")
}

// shellQuote makes a word for the shell of a path, which may hold spaces.
func shellQuote(s string) string {
	if !strings.ContainsAny(s, " '\"$`\\&;|<>()*?[]{}!#~\t\n") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
