package policy

import (
	"slices"
	"strings"
	"time"
)

// serverRules are those of a server.
var serverRules = byName{
	"listen": shown, "strict_sni_host": shown, // by server
	"routes": shown, "named_routes": shown, "errors": inside(byName{"routes": shown}),
	"tls_connection_policies": connectionPolicies,
	"trusted_proxies":         changed("the addresses of clients are believed from other proxies"),
	"logs":                    accessLogs,
	"protocols":               growsFrom("protocols that are spoken", []string{"h1", "h2", "h3"}),
	"allow_0rtt":              opens("requests are taken as early data, which can be replayed", true),
	"max_header_bytes":        higher("more is read of the fields of a request", 16<<10),
	"read_timeout":            longer("a request may take longer to come in", forEver),
	"read_header_timeout":     longer("the fields of a request may take longer to come in", time.Minute),
	"read_idle_timeout":       longer("a request may stop for longer while it comes in", time.Minute),
	"write_timeout":           longer("a caller may take longer to read an answer", forEver),
	"write_idle_timeout":      longer("a caller may stop for longer while it reads an answer", time.Minute),
	"idle_timeout":            longer("a connection without requests stays for longer", 5*time.Minute),
	"read_min_rate":           lower("a request may come in slower", 0),
	"write_min_rate":          lower("a caller may read an answer slower", 0),
}

// server compares what two servers of the same listeners have in common; one that is
// nil is not there.
func (d *differ) server(old, new *Server) {
	switch {
	case old == nil:
		d.tell(Widened, "/apps/http/servers/"+new.Name, "a server is new", nil, new.addresses())
		return
	case new == nil:
		d.tell(Narrowed, "/apps/http/servers/"+old.Name, "a server is gone", old.addresses(), nil)
		return
	}
	at := "/apps/http/servers/" + new.Name
	d.listens(at+"/listen", old, new)
	d.flag(at, "plain HTTP", !old.TLS, !new.TLS)
	d.rank(at+"/strict_sni_host", "strict_sni_host", rankOf(!old.strictSNI()), rankOf(!new.strictSNI()), onOff(old.strictSNI()), onOff(new.strictSNI()))
	d.setting(at, old.settings, new.settings, inside(serverRules))
}

func (s *Server) addresses() string { return strings.Join(s.Listen, " ") }

// listens compares where a server can be reached.
func (d *differ) listens(at string, old, new *Server) {
	elsewhere := func(s *Server) bool {
		return slices.ContainsFunc(s.Listen, func(a string) bool { return !isLocal(a) })
	}
	further := func(all, than []string) bool {
		return slices.ContainsFunc(all, func(address string) bool { return !covered(address, than) })
	}
	d.rank(at, "listens beyond this machine", rankOf(elsewhere(old)), rankOf(elsewhere(new)), old.addresses(), new.addresses())
	if further(new.Listen, old.Listen) {
		d.tell(Widened, at, "listens on more", old.addresses(), new.addresses())
	}
	if further(old.Listen, new.Listen) {
		d.tell(Narrowed, at, "listens on less", old.addresses(), new.addresses())
	}
}

// speaksHTTP3 says whether one of the listeners does: each has protocols of its own, or
// those of the server, which are all where nothing is said.
func (s *Server) speaksHTTP3() bool {
	speaks := func(of any, others bool) bool {
		own, _ := texts(of)
		return slices.Contains(own, "h3") || others && (len(own) == 0 || slices.Contains(own, ""))
	}
	all := speaks(s.settings["protocols"], true)
	lists, _ := s.settings["listen_protocols"].([]any)
	return len(lists) == 0 && all || slices.ContainsFunc(lists, func(own any) bool { return speaks(own, all) })
}

// strictSNI says whether the Host has to be the name of the TLS connection: Caddy sees to
// it where client certificates are asked for, unless it is switched off.
func (s *Server) strictSNI() bool {
	if on, isSet := s.settings["strict_sni_host"].(bool); isSet {
		return on
	}
	return s.asksClients()
}

// accessLogs tells whether there is one. What it leaves out, and what else it has, has no order.
func accessLogs(d *differ, at string, was, is any) bool {
	if was != nil && is != nil {
		return false
	}
	d.rank(at, "the access log", rankOf(was == nil), rankOf(is == nil), onOff(was != nil), onOff(is != nil))
	log, _ := is.(map[string]any)
	return is == nil || log != nil && log["should_log_credentials"] != true
}

// apis compares what no request shows of APIs that are in both.
func (d *differ) apis() {
	before := make(map[string]*API)
	for _, api := range d.old.APIs() {
		before[api.Name] = api
	}
	for _, api := range d.new.APIs() {
		if was := before[api.Name]; was != nil {
			d.api(was, api)
		}
	}
}

func (d *differ) api(was, is *API) {
	old, before := d.old.recorded(was)
	new, after := d.new.recorded(is)
	d.rankOf(is.Name, is.At, "less of its decisions is sure to be in the audit log", old, new, before, after)
	d.rankOf(is.Name, is.At, "websocket", rankOf(was.WebSocket), rankOf(is.WebSocket), onOff(was.WebSocket), onOff(is.WebSocket))
	d.grown(is.Name, is.At, "header fields that callers can send", missing(is.Strip, was.Strip), missing(was.Strip, is.Strip))
}

// recorded says how much of an API's decisions may be missing in the audit log.
func (c *Config) recorded(api *API) (rank int64, text string) {
	switch {
	case c.Tollgate.Audit == nil || api.Audit == "off":
		return 2, "not recorded"
	case api.Audit == "required":
		return 0, "required"
	default:
		return 1, "recorded"
	}
}
