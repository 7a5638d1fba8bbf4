package policy

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/open-tollgate/tollgate/internal/printable"
)

// Explanation is what the edge would do with one request, and why.
type Explanation struct {
	Method   string    `json:"method"`
	URL      string    `json:"url"`
	Outcomes []Outcome `json:"outcomes"` // several where something is not analysed
}

// ServerFor gives the server that answers for a scheme on a port, the scheme's own where
// it is empty. Where none listens on that one, a load balancer may stand in front: then it
// is the first of the scheme.
func (c *Config) ServerFor(tls bool, port string) *Server {
	wanted := c.ports.HTTP
	if tls {
		wanted = c.ports.HTTPS
	}
	if port != "" {
		wanted, _ = strconv.Atoi(port) // of a URL that was parsed
	}
	all := c.Servers
	if c.Redirects != nil {
		all = append(slices.Clone(all), c.Redirects)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(s *Server) bool { return s.TLS != tls })
	listens := func(s *Server) bool {
		return slices.ContainsFunc(s.Listen, func(address string) bool { return parseEndpoint(address).has(wanted) })
	}
	switch n := slices.IndexFunc(all, listens); {
	case n >= 0:
		return all[n]
	case port == "" && len(all) > 0:
		return all[0]
	default:
		return nil
	}
}

// WriteText tells it step by step.
func (e *Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	printable.Fprintf(&b, "%s %s\n", e.Method, e.URL)
	for n, o := range e.Outcomes {
		if len(e.Outcomes) > 1 {
			printable.Fprintf(&b, "\n%d of %d, because this is not analysed: %s\n", n+1, len(e.Outcomes), strings.Join(o.Open, "; "))
		}
		if len(e.Outcomes) == 1 && len(o.Open) > 0 {
			printable.Fprintf(&b, "not analysed: %s\n", strings.Join(o.Open, "; "))
		}
		for _, step := range o.Steps {
			printable.Fprintf(&b, "  %-48s %s\n", step.What, step.At)
		}
		for _, c := range o.Counters {
			printable.Fprintf(&b, "  counts %d in %s for %q: %d in %s%s\n", c.Cost, c.Zone, c.Key, c.Events, c.Within, shadowed(c.Shadow))
		}
		printable.Fprintf(&b, "=> %s\n", o.String())
		printable.Fprintf(&b, "   decided by %s %s\n", o.Rule.What, o.Rule.At)
		if o.Challenge != "" {
			printable.Fprintf(&b, "   WWW-Authenticate: %s\n", o.Challenge)
		}
		for _, may := range o.May {
			printable.Fprintf(&b, "   may also answer %s\n", may)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func shadowed(shadow bool) string {
	if shadow {
		return ", in shadow"
	}
	return ""
}
