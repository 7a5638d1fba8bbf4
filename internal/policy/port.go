package policy

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// A caller sends a port with the Host, or none, or any: matchers of hosts do not see it,
// those of the header field Host do, and so do handlers that look at the whole of it.

// sentHost gives the Host as sent, and decides its port.
func (w *walk) sentHost() string {
	if w.req.undecided("port") && w.oracle.hosts != nil {
		if w.oracle.ports == nil {
			w.oracle.ports = w.oracle.hosts.portsOf(w.req.Host)
		}
		w.req.Host += pick(w.oracle, w.oracle.ports)
	}
	return w.req.Host
}

// hostValue is what {http.request.host} and {http.request.hostport} stand for.
func (w *walk) hostValue(name string) (value string, known bool) {
	bare := name == "http.request.host"
	if bare && !strings.HasPrefix(w.req.Host, "[") && w.fields.now(w, "Host").equals(field{sent: true}) {
		return hostname(w.req.Host), true // whatever the port
	}
	hosts, known := w.field("Host")
	switch {
	case !known:
		return "{" + name + "}", false
	case bare:
		return hostname(lastOf(hosts)), true
	default:
		return lastOf(hosts), true
	}
}

// tellsPort is the placeholder by which handlers see a port.
const tellsPort = "{http.request.hostport}"

// anyPorts are tried wherever a port is looked at; "" is none.
var anyPorts = []string{"", ":1", ":443", ":65535"}

var digits = regexp.MustCompile("[0-9]+")

// addPorts has those that a text names.
func (c *hostClasses) addPorts(text string) {
	for _, port := range digits.FindAllString(text, -1) {
		c.ports = append(c.ports, ":"+port)
	}
}

// hostShapes are those of a Host that Caddy takes: a name, one in brackets, an address in them, each
// with a port, and what is none of these.
var hostShapes = []condition{
	{expr: `^[^:\[\]]*[^.:\[\]][^:\[\]]*(:[^:\[\]]*)?$`}, {expr: `^\[[^\[\]]*[^.\[\]][^\[\]]*\](:[^:\[\]]*)?$`},
	{expr: `^\[[^\[\]]*:[^\[\]]*\](:[^:\[\]]*)?$`}, {expr: `^[^\[\]]*:[^\[\]]*:[^\[\]]*$`}, {expr: `[\[\]]`},
}

// sentLetters are those of a Host.
var sentLetters = letters{allowed: func(r rune) bool { return r < utf8.RuneSelf && httpguts.ValidHostHeader(string(r)) }}

// addSentAs has a name and a port for each way in which matchers of hosts and of the field Host
// can tell a Host from others. It says whether they are all.
func (c *hostClasses) addSentAs(t *textFinder) (whole bool) {
	texts, whole := t.of(unique(slices.Concat(c.fields, c.sites, hostShapes)), sentLetters)
	known := make(map[string]bool)
	for _, host := range c.hosts {
		for _, port := range c.portsOf(hostOf(host)) {
			known[c.class(hostOf(host)+port)] = true
		}
	}
	for _, text := range texts {
		class, name := c.class(text), siteOf(text)
		port, found := strings.CutPrefix(text, hostOf(name))
		if known[class] || !found || strings.ContainsAny(name, "[]") || !isHost(text) || !isHost(hostOf(name)) {
			continue
		}
		known[class], c.hosts, c.ports = true, append(c.hosts, name), append(c.ports, port)
	}
	// What is left is neither a name nor an address in brackets.
	return whole && !slices.ContainsFunc(texts, func(text string) bool { return isHost(text) && !known[c.class(text)] })
}

// addSent has the name and the port of a Host.
func (c *hostClasses) addSent(host string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		c.names = append(c.names, host)
		return
	}
	c.names, c.ports = append(c.names, name), append(c.ports, ":"+port)
}

// portsOf gives those that stand for all others of a Host: one for each way in which
// matchers can tell them apart.
func (c *hostClasses) portsOf(host string) (all []string) {
	known := make(map[string]bool)
	for _, port := range unique(slices.Concat(anyPorts, c.ports)) {
		if class := c.class(host + port); c.whole || !known[class] {
			known[class], all = true, append(all, port)
		}
	}
	return all
}
