package policy

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
)

// hostMatcher compares the Host without its port; * is one label.
type hostMatcher []string

// newHostMatcher has names as Caddy compares them: in ASCII, as they are sent (RFC 5891).
func newHostMatcher(raw json.RawMessage) (Matcher, error) {
	var hosts hostMatcher
	if err := json.Unmarshal(raw, &hosts); err != nil {
		return nil, err
	}
	for n, host := range hosts {
		ascii, err := idna.ToASCII(host)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", host, err)
		}
		hosts[n] = ascii
	}
	return hosts, nil
}

func (m hostMatcher) String() string { return "host " + strings.Join(m, " ") }

func (m hostMatcher) matches(w *walk) bool {
	if !w.anyHost {
		return m.has(w.site)
	}
	if hosts, known := w.matched("Host"); known {
		return m.has(siteOf(lastOf(hosts)))
	}
	return w.unknown(m.String() + " after a handler has set it")
}

// siteOf gives a Host without its port, or the brackets of an address, as matchers of hosts
// take it: [edge.test:8443] is one that has the name edge.test:8443.
func siteOf(host string) string {
	if !strings.ContainsAny(host, ":[]") {
		return host
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// isHost says whether Caddy takes a Host: no route sees another one.
func isHost(host string) bool {
	return httpguts.ValidHostHeader(host) && strings.Trim(hostname(host), ".") != ""
}

// hostOf is the Host that a name is sent as.
func hostOf(site string) string {
	if strings.Contains(site, ":") {
		return "[" + site + "]"
	}
	return site
}

// lastOf gives the value that counts where Caddy takes a field of several for the Host.
func lastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

func (m hostMatcher) has(host string) bool {
	return slices.ContainsFunc(m, func(pattern string) bool { return hostMatches(pattern, host) })
}

func hostMatches(pattern, host string) bool {
	if !strings.Contains(pattern, "*") {
		return strings.EqualFold(pattern, host)
	}
	want, got := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(want) != len(got) {
		return false
	}
	for n := range want {
		if want[n] != "*" && !strings.EqualFold(want[n], got[n]) {
			return false
		}
	}
	return true
}
