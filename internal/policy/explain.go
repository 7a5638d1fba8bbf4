package policy

import (
	"fmt"
	"io"
	"strings"
)

// Explanation is what the edge would do with one request, and why.
type Explanation struct {
	Method   string    `json:"method"`
	URL      string    `json:"url"`
	Outcomes []Outcome `json:"outcomes"` // several where something is not analysed
}

// ServerFor gives the server that answers on a port; the first of the scheme where
// none listens there, since a load balancer may.
func (c *Config) ServerFor(tls bool, port string) *Server {
	var found *Server
	for _, s := range c.Servers {
		for _, address := range s.Listen {
			if port != "" && strings.HasSuffix(address, ":"+port) {
				return s
			}
		}
		if found == nil && s.TLS == tls {
			found = s
		}
	}
	return found
}

// WriteText tells it step by step.
func (e *Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", e.Method, e.URL)
	for n, o := range e.Outcomes {
		if len(e.Outcomes) > 1 {
			fmt.Fprintf(&b, "\n%d of %d, because this is not analysed: %s\n", n+1, len(e.Outcomes), strings.Join(o.Open, "; "))
		}
		for _, step := range o.Steps {
			fmt.Fprintf(&b, "  %-48s %s\n", step.What, step.At)
		}
		for _, c := range o.Counters {
			fmt.Fprintf(&b, "  counts %d in %s for %q: %d in %s%s\n", c.Cost, c.Zone, c.Key, c.Events, c.Within, shadowed(c.Shadow))
		}
		fmt.Fprintf(&b, "=> %s\n", o.String())
		fmt.Fprintf(&b, "   decided by %s %s\n", o.Rule.What, o.Rule.At)
		if o.Challenge != "" {
			fmt.Fprintf(&b, "   WWW-Authenticate: %s\n", o.Challenge)
		}
		for _, may := range o.May {
			fmt.Fprintf(&b, "   may also answer %s\n", may)
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
