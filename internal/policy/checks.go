package policy

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Checks gives all rules of the lint.
func Checks() []Check {
	return []Check{
		{"public-write", Error, "Anybody can change something", "An operation that changes something is public: no token says who did it.",
			"Add access_token, or allow GET and HEAD alone.", publicWrite},
		{"outside-api", Error, "A route is outside any api", "What is outside an api has no policy: no token, no canonical path, no 404 for what is not listed.",
			"Put it into an api block, and say public if it is meant for everybody.", outsideAPI},
		{"weak-algorithm", Error, "Tokens may be signed by an algorithm that the profile forbids", "FAPI 2.0 section 5.4 allows PS256, ES256 and EdDSA. RS256 invites padding attacks; HS256 shares the key.",
			"List ES256, PS256 or EdDSA in the issuer's algorithms.", weakAlgorithm},
		{"no-audience", Error, "An issuer has no audience", "Without one, a token for any other service would be accepted here.",
			"Name the API in the issuer's audience.", noAudience},
		{"write-without-scope", Error, "A change needs no scope", "Every token of the issuer may do it, whatever it was given for.",
			"Add require with a scope.", writeWithoutScope},
		{"money-unbound", Warning, "Money moves with a token that works for whoever has it", "A stolen bearer token is as good as the user's own.",
			"Add sender_constrained, dpop or mtls to a require, or profile fapi2.", moneyUnbound},
		{"no-limit", Warning, "Nothing limits how often", "One caller can use all of the service, or guess without end.",
			"Add rate_limit with a zone for these requests.", noLimit},
		{"money-without-idempotency", Warning, "Nothing makes sure of an idempotency key", "A caller that retries after a lost answer pays twice, unless the service knows the request again.",
			"Match header Idempotency-Key * in the operation, or suppress this where the service refuses requests without it.", moneyWithoutKey},
		{"limit-by-choice", Error, "A limit counts by what the caller chooses", "Who sends another value each time is never limited.",
			"Count by {http.auth.client.id}, {http.auth.user.id} or {client_ip}.", limitByChoice},
		{"cost-by-choice", Warning, "The caller says what a request costs", "Who says 0 is not counted, unless the service holds the caller to the number.",
			"Tell the cost as a number, or by a field of the answer (cost response); or suppress this where the service compares.", costByChoice},
		{"upstream-by-choice", Error, "The caller says which service is asked", "Who names another service reaches what the edge can reach: the admin API, other tenants, the cloud's metadata.",
			"Route by a matcher to services that are written out.", upstreamByChoice},
		{"folder-by-choice", Error, "The caller says which folder files come from", "Who names another folder reads what the edge can read: its keys, this configuration.",
			"Write the root out, or match what may be asked for and have a root for each.", folderByChoice},
		{"path-by-choice", Error, "The caller says past the path what is asked for", "Matchers, scopes and limits look at the path; what a header, a cookie or a parameter puts in its place, none of them has seen.",
			"Rewrite to paths that are written out, or to parts of the path.", pathByChoice},
		{"host-by-choice", Error, "The caller says which host a service takes itself for", "A service that has several tenants, or makes links of the Host, takes the caller's word for it.",
			"Set Host to a name that is written out, or leave it to Caddy.", hostByChoice},
		{"open-redirect", Error, "The caller says where a redirect leads", "A link to this host leads to any other: who trusts the name is sent to a copy of it.",
			"Redirect to hosts that are written out; keep what the caller says behind the first slash.", openRedirect},
		{"secret-told", Warning, "An answer tells what only the edge knows", "What is in its environment and its files is for the edge: who is answered keeps it.",
			"Leave the placeholder out; or suppress this where the value is meant for everybody.", secretTold},
		{"template-by-choice", Error, "A template runs what the caller says", "Templates read the environment and files, and send requests: so does who writes a part of one.",
			"Leave templates out where the answer repeats the request, and include what is written out.", templateByChoice},
		{"proxy-is-anybody", Error, "Everybody is taken for a proxy", "Who is believed says which address a request comes from, and so whom limits, failures and client_ip are about.",
			"List the addresses of the proxies in trusted_proxies.", proxyIsAnybody},
		{"open-limit-on-money", Error, "A limit on money lets everything pass while Redis is away", "Who can disturb Redis has no limit.",
			"Say on_failure share or closed.", openLimit},
		{"client-by-choice", Warning, "The caller says which address he has", "The first address of X-Forwarded-For counts, and most proxies add theirs behind what the caller has sent: limits, failures and client_ip go by what he likes.",
			"Say trusted_proxies_strict, or name a field in client_ip_headers that the proxy sets by itself.", clientByChoice},
		{"certificate-header-untrusted", Error, "Certificates come in a header, from proxies that are too many", "Whoever is in the range can claim any certificate.",
			"List the addresses of the proxies alone, and set trusted_proxies of the server to the same.", certificateHeader},
		{"plain-upstream", Warning, "A service off this machine is reached by plain HTTP", "Tokens and answers can be read and changed on the way.",
			"Use https:// for the upstream, or bind the service to loopback.", plainUpstream},
		{"insecure-upstream", Error, "The certificate of a service is not verified", "Anybody on the way can be the service.",
			"Remove tls_insecure_skip_verify and trust the service's authority.", insecureUpstream},
		{"admin-reachable", Error, "The admin API is reachable from elsewhere", "Who reaches it replaces this whole configuration.",
			"Listen on localhost or a unix socket, route nothing there, and load configurations rather than have them fetched.", adminReachable},
		{"old-tls", Error, "TLS below 1.2 is allowed", "TLS 1.0 and 1.1 are broken, and FAPI 2.0 forbids them.",
			"Leave protocols out, or say tls1.2 or tls1.3.", oldTLS},
		{"plain-listener", Warning, "APIs are served on plain HTTP", "Tokens go over the wire in clear.",
			"Serve https, or bind to loopback behind a proxy on the same machine.", plainListener},
		{"early-data", Warning, "Requests are taken as early data", "What comes before the TLS handshake is over can be sent again by whoever saw it: HTTP/3 takes it, if nothing else is said.",
			"Say protocols h1 h2, or 0rtt off (allow_0rtt false).", earlyData},
		{"guesses-unlimited", Warning, "Nothing limits bad tokens", "An address can try tokens and proofs without end, each of which costs a signature.",
			"Leave failures out, or give it a number.", guessesUnlimited},
		{"stale-revocations", Warning, "Revoked tokens pass while Redis is away", "Who can disturb Redis brings a revoked token back to life.",
			"Leave stale out, or say closed.", staleRevocations},
		{"credentials-logged", Error, "Tokens are written to the access log", "Who reads the log can use them until they expire.",
			"Leave log_credentials out.", credentialsLogged},
		{"loose-sni", Error, "A host can be had with the TLS of another", "Where one host asks for client certificates, who connects to another one and then asks for it shows none.",
			"Leave strict_sni_host out, or on.", looseSNI},
		{"plain-redis", Warning, "Redis is reached in clear over a network", "Who is on the way can take revocations away, and read and change counts and used proofs.",
			"Use rediss://, or bind Redis to loopback.", plainRedis},
		{"no-audit", Warning, "Decisions are not recorded in the audit log", "Nobody can prove later what was let through, or refused.",
			"Add audit DIR to the tollgate global option, and audit required to APIs that move money.", noAudit},
		{"not-analysed", Note, "Something cannot be analysed", "What the model does not understand counts as open here, and is not covered by diff.",
			"Use path, path_regexp, method, header and query matchers in place of expressions.", notAnalysed},
		{"handled-refusal", Error, "An error route leads to a service", "What is refused with an error reaches a service all the same, without its policy.",
			"Answer errors with respond alone.", handledRefusal},
	}
}

func publicWrite(l *linter) {
	l.each(func(r *Rule) {
		if r.API != "" && r.Public && r.Writes() && r.leads() {
			l.found(r.API, r.At, "%s %s is public", anyOr(r.Methods), r.Where())
		}
	})
}

func outsideAPI(l *linter) {
	l.each(func(r *Rule) {
		if r.API == "" && !r.Errors {
			l.found("", r.At, "%s leads to %s and is in no api", r.Where(), r.Target)
		}
	})
}

func weakAlgorithm(l *linter) {
	for _, i := range l.config.Tollgate.Issuers {
		for _, a := range i.Algorithms {
			if !slices.Contains(defaultAlgorithms, a) {
				l.found("", "/apps/tollgate/issuers", "issuer %s may sign with %s", i.URL, a)
			}
		}
	}
}

func noAudience(l *linter) {
	for _, i := range l.config.Tollgate.Issuers {
		if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
			l.found("", "/apps/tollgate/issuers", "issuer %s has no audience", i.URL)
		}
	}
}

func writeWithoutScope(l *linter) {
	l.each(func(r *Rule) {
		if r.API != "" && !r.Public && r.leads() && r.Writes() && len(r.scopes()) == 0 {
			l.found(r.API, r.At, "%s %s needs no scope", anyOr(r.Methods), r.Where())
		}
	})
}

func moneyUnbound(l *linter) {
	l.each(func(r *Rule) {
		if l.isMoney(r) && !r.bound() {
			l.found(r.API, r.At, "%s %s takes bearer tokens", anyOr(r.Methods), r.Where())
		}
	})
}

func noLimit(l *linter) {
	l.each(func(r *Rule) {
		if (r.leads() || r.Kind == Files) && !r.limited() {
			l.found(r.API, r.At, "%s %s has no limit", anyOr(r.Methods), r.Where())
		}
	})
}

func moneyWithoutKey(l *linter) {
	l.each(func(r *Rule) {
		creates := len(r.Methods) == 0 || slices.Contains(r.Methods, "POST")
		if l.isMoney(r) && (creates || len(r.sentAs) > 0) && !r.keyed {
			l.found(r.API, r.At, "%s %s", anyOr(r.Methods), r.Where())
		}
	})
}

func openLimit(l *linter) {
	l.each(func(r *Rule) {
		for _, c := range r.zones {
			if c.what.zone.OnFailure == "open" && l.isMoney(r) {
				l.found(r.API, c.what.limit.At, "zone %s is open", c.what.zone.Name)
			}
		}
	})
}

// widestProxies is the shortest prefix that still names single machines.
const widestProxies = 24

func certificateHeader(l *linter) {
	c := l.config.Tollgate.ClientCertificate
	if c == nil {
		return
	}
	for _, text := range c.Proxies {
		prefix, err := netip.ParsePrefix(text)
		if err == nil && (prefix.Addr().Is4() && prefix.Bits() < widestProxies || prefix.Addr().Is6() && prefix.Bits() < 64) {
			l.found("", "/apps/tollgate/client_certificate", "%s is believed from all of %s", c.Header, text)
		}
	}
	for _, s := range l.config.Servers {
		if !s.proxies.any() {
			l.found("", "/apps/http/servers/"+s.Name, "%s comes from proxies, and trusted_proxies of this server names none", c.Header)
		}
	}
}

func plainUpstream(l *linter) {
	l.each(func(r *Rule) {
		if r.proxy == nil || r.proxy.Transport.TLS != nil {
			return
		}
		for _, u := range r.proxy.Upstreams {
			if !isHere(u.Dial) {
				l.found(r.API, r.At, "http://%s", u.Dial)
			}
		}
		if len(r.proxy.Dynamic) > 0 {
			l.found(r.API, r.At, "http:// to addresses that are looked up")
		}
	})
}

// isLocal says whether an address is on this machine.
func isLocal(address string) bool {
	if strings.HasPrefix(address, "unix/") || strings.HasPrefix(address, "unix+") {
		return true
	}
	if _, rest, found := strings.Cut(address, "/"); found {
		address = rest
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isHere says whether to dial an address is to reach this machine.
func isHere(dial string) bool {
	host, _, err := net.SplitHostPort(dial)
	ip, _ := netip.ParseAddr(host)
	return isLocal(dial) || err == nil && host == "" || ip.IsUnspecified()
}

func insecureUpstream(l *linter) {
	l.each(func(r *Rule) {
		if r.proxy != nil && r.proxy.Transport.TLS != nil && r.proxy.Transport.TLS.Insecure {
			l.found(r.API, r.At, "%s", r.Target)
		}
	})
}

func adminReachable(l *linter) {
	a := &l.config.Admin
	if !a.Disabled && !isLocal(a.where()) {
		l.found("", "/admin", "listens on %s", a.where())
	}
	if a.Remote != nil {
		l.found("", "/admin/remote", "remote administration is on")
	}
	if a.loader() != nil {
		l.found("", "/admin/config/load", "another configuration is fetched, by the loader %s", loaderName(a.loader()))
	}
	l.each(func(r *Rule) {
		if r.proxy == nil || a.Disabled {
			return
		}
		for _, u := range r.proxy.Upstreams {
			if sameService(u.Dial, a.where()) {
				l.found(r.API, r.At, "%s leads to it", r.Where())
			}
		}
	})
}

// sameService says whether a service is what listens at an address of this machine.
func sameService(dial, listen string) bool {
	if dial == listen {
		return true
	}
	if socket := socketOf(listen); socket != "" {
		return socketOf(dial) == socket
	}
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	return port(dial) == port(listen) && port(dial) != dial && isHere(dial)
}

// socketOf gives the file of a Unix socket, without the permissions it is made with.
func socketOf(address string) string {
	network, file, _ := strings.Cut(address, "/")
	if network != "unix" && !strings.HasPrefix(network, "unix+") {
		return ""
	}
	file, _, _ = strings.Cut(file, "|")
	return file
}

func oldTLS(l *linter) {
	for _, s := range l.config.Servers {
		for _, p := range s.Policies {
			if p.MinVersion != "" && p.MinVersion != "tls1.2" && p.MinVersion != "tls1.3" {
				l.found("", "/apps/http/servers/"+s.Name+"/tls_connection_policies", "%s", p.MinVersion)
			}
		}
	}
}

func plainListener(l *linter) {
	l.each(func(r *Rule) {
		if r.API != "" && !r.tls && slices.ContainsFunc(r.server.Listen, func(a string) bool { return !isLocal(a) }) {
			l.found(r.API, "/apps/http/servers/"+r.Server, "on %s", strings.Join(r.server.Listen, " "))
		}
	})
}

func earlyData(l *linter) {
	for _, s := range l.config.Servers {
		if on, isSet := s.settings["allow_0rtt"].(bool); s.TLS && s.speaksHTTP3() && (on || !isSet) {
			l.found("", "/apps/http/servers/"+s.Name+"/allow_0rtt", "HTTP/3 on %s", s.addresses())
		}
	}
}

func guessesUnlimited(l *linter) {
	if f := l.config.Tollgate.Failures; f != nil && f.Off {
		l.found("", "/apps/tollgate/failures", "failures off")
	}
}

func staleRevocations(l *linter) {
	if r := l.config.Tollgate.Revocations; r != nil && r.Stale == "open" && l.config.Tollgate.HasRedis() {
		l.found("", "/apps/tollgate/revocations", "stale open")
	}
}

func credentialsLogged(l *linter) {
	for _, s := range l.config.Servers {
		logs, _ := s.settings["logs"].(map[string]any)
		if on, _ := logs["should_log_credentials"].(bool); on {
			l.found("", "/apps/http/servers/"+s.Name+"/logs", "log_credentials")
		}
	}
}

func looseSNI(l *linter) {
	for _, s := range l.config.Servers {
		if s.asksClients() && !s.strictSNI() {
			l.found("", "/apps/http/servers/"+s.Name+"/strict_sni_host", "strict_sni_host is off, and client certificates are asked for")
		}
	}
}

func plainRedis(l *linter) {
	u, err := url.Parse(l.config.Tollgate.Redis)
	if err != nil || u.Scheme != "redis" {
		return
	}
	for _, address := range append(u.Query()["addr"], u.Host) {
		if !isHere(address) {
			l.found("", "/apps/tollgate/redis", "redis://%s", address)
		}
	}
}

func noAudit(l *linter) {
	if l.config.Tollgate.Audit == nil && len(l.config.APIs()) > 0 {
		l.found("", "/apps/tollgate", "there is no audit log")
	}
	for _, api := range l.config.APIs() {
		if api.Audit == "off" && !api.Public {
			l.found(api.Name, api.At, "audit off")
		}
	}
}

func notAnalysed(l *linter) {
	for _, r := range l.rules {
		for _, open := range r.Open {
			l.found(r.API, r.At, "%s", open)
		}
	}
}

func handledRefusal(l *linter) {
	l.each(func(r *Rule) {
		if r.Errors && (r.Kind == Forwarded || r.Kind == Files) {
			l.found(r.API, r.At, "errors lead to %s", r.Target)
		}
	})
}
