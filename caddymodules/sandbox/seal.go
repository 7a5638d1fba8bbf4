package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
	"github.com/open-tollgate/tollgate/internal/token"
)

// The names of this package's modules.
const (
	probeName   = "sandbox_probe"
	absentName  = "sandbox_absent"
	serviceName = "sandbox"
)

// dynamicUpstream stands for upstreams that are looked up for each request.
const dynamicUpstream = "upstream.invalid:1"

type object = map[string]any

// observed are the handlers that are run as they are, within a probe; of the rest,
// plain are run as they are, and idle changes nothing that could be seen here.
var (
	observed = []string{
		"api", "access_token", "require", "rate_limit", "reverse_proxy", "static_response", "error", "file_server",
		"resource_metadata", "assertion_keys",
	}
	plain = []string{
		"subroute", "invoke", "headers", "rewrite", "vars", "map", "encode", "request_body", "templates", "log_append", "intercept",
		"copy_response", "copy_response_headers", "metrics", "identity_assertion",
	}
	idle = []string{"tracing", "push", "timeouts"}
)

// matchers are those that look at the request and this machine alone.
var matchers = []string{
	"client_ip", "expression", "file", "header", "header_regexp", "host", "method", "not", "path", "path_regexp", "protocol",
	"query", "remote_ip", "tls", "url_pattern", "vars", "vars_regexp",
}

// Options say what becomes of handlers and matchers that nobody here knows.
type Options struct {
	// Run are those that are run as they are: whoever names them knows that they stay
	// within the process.
	Run []string
	// Pass are handlers that requests go past as if they were not there.
	Pass []string
	// Mint makes the keys; one that others use as well saves time. Nil: a new one.
	Mint *mint.Mint
	// Keys are those of issuers. Nil: the mint's.
	Keys func(issuer string) token.KeySource
}

// seal makes a configuration that cannot leave the process: no upstream, no issuer, no
// Redis, no log, no certificate, no storage. What it decides stays as it is.
type sealer struct {
	options Options
	// Notes tell what is not as the configuration says, and could be seen.
	notes []string
	err   error
}

// sealed is what is left of a configuration.
type sealed struct {
	config []byte
	notes  []string
}

func seal(config []byte, world string, options Options) (*sealed, error) {
	var root object
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("not a configuration: %w", err)
	}
	policy.WithoutIDs(root)
	apps, _ := root["apps"].(object)
	web, ok := apps["http"].(object)
	if !ok {
		return nil, errors.New("the configuration has no http app, and so nothing to test")
	}
	s := &sealer{options: options}
	if _, ours := apps[tollgate.WorldID]; ours {
		return nil, fmt.Errorf("app %s is none of a configuration's", tollgate.WorldID)
	}
	delete(web, "metrics")
	servers, _ := web["servers"].(object)
	for name, server := range servers {
		if server, ok := server.(object); ok {
			s.server("/apps/http/servers/"+name, server)
		}
	}
	inside := object{"http": web, tollgate.WorldID: object{"name": world}}
	if settings, ok := apps["tollgate"]; ok {
		inside["tollgate"] = settings
	}
	if s.err != nil {
		return nil, s.err
	}
	return &sealed{config: caddyconfig.JSON(object{"apps": inside}, nil), notes: slices.Compact(slices.Sorted(slices.Values(s.notes)))}, nil
}

// server closes what a server listens with. Its connections are made up: no timeout, no
// listener and no certificate has a part in them.
func (s *sealer) server(at string, server object) {
	for _, name := range []string{
		"listener_wrappers", "packet_conn_wrappers", "read_timeout", "read_header_timeout", "read_idle_timeout", "write_timeout",
		"write_idle_timeout", "read_min_rate", "write_min_rate", "max_write_chunk", "enable_full_duplex", "metrics",
	} {
		delete(server, name)
	}
	server["logs"] = object{}
	https, _ := server["automatic_https"].(object)
	if https == nil {
		https = object{}
	}
	https["disable_certificates"] = true
	server["automatic_https"] = https
	if proxies, ok := server["trusted_proxies"].(object); ok && proxies["source"] != "static" {
		s.notes = append(s.notes, fmt.Sprintf("%s: trusted_proxies of source %v are not asked for: no proxy is trusted", at, proxies["source"]))
		delete(server, "trusted_proxies")
	}
	s.connections(server)
	s.walk(at, server)
}

// connections keeps of the TLS policies that there are some, and what Caddy makes of them.
func (s *sealer) connections(server object) {
	policies, _ := server["tls_connection_policies"].([]any)
	if len(policies) == 0 {
		return
	}
	for _, policy := range policies {
		if p, ok := policy.(object); ok && p["client_authentication"] != nil {
			if _, said := server["strict_sni_host"]; !said {
				server["strict_sni_host"] = true // as Caddy does, which sees no client_authentication any more
			}
		}
	}
	server["tls_connection_policies"] = []any{object{}}
}

// walk goes through everything, and replaces handlers where there are some.
func (s *sealer) walk(at string, value any) {
	switch value := value.(type) {
	case []any:
		for n, element := range value {
			s.walk(fmt.Sprintf("%s/%d", at, n), element)
		}
	case object:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			member, inside := value[name], at+"/"+name
			switch list, isList := member.([]any); {
			case isList && name == "handle":
				for n, handler := range list {
					if handler, ok := handler.(object); ok {
						list[n] = s.handler(fmt.Sprintf("%s/%d", inside, n), handler)
					}
				}
			case isList && (name == "match" || name == "not" || name == "retry_match"):
				s.matchers(inside, list)
			default:
				s.walk(inside, member)
			}
		}
	}
}

func (s *sealer) matchers(at string, sets []any) {
	for _, set := range sets {
		set, ok := set.(object)
		if !ok {
			continue
		}
		for name, value := range set {
			if !slices.Contains(matchers, name) && !slices.Contains(s.options.Run, name) && s.err == nil {
				s.err = fmt.Errorf("%s: matcher %s is not known to stay within the process: --run %s says that it does", at, name, name)
			}
			if inner, ok := value.([]any); ok && name == "not" {
				s.matchers(at, inner)
			}
		}
	}
}

func (s *sealer) handler(at string, handler object) any {
	name, _ := handler["handler"].(string)
	if name == "api" { // known by its name: Caddy repeats it for each of its servers
		apiName, _ := handler["name"].(string)
		at = "api " + apiName
	}
	known := slices.Contains(observed, name) || slices.Contains(plain, name) || slices.Contains(s.options.Run, name) || isBasic(handler)
	switch {
	case slices.Contains(s.options.Pass, name) || slices.Contains(idle, name):
		return object{"handler": absentName, "name": name, "pass": true}
	case !known:
		return object{"handler": absentName, "name": name + " at " + at}
	}
	if name == "reverse_proxy" {
		s.proxy(handler)
	}
	s.walk(at, handler)
	if !slices.Contains(observed, name) {
		return handler
	}
	return object{"handler": probeName, "at": at, "inner": handler}
}

// isBasic says whether the handler is an authentication by passwords in the configuration.
func isBasic(handler object) bool {
	providers, _ := handler["providers"].(object)
	return handler["handler"] == "authentication" && len(providers) == 1 && providers["http_basic"] != nil
}

// proxy has the service of this package answer. What is left out is what asks or looks
// after services.
func (s *sealer) proxy(handler object) {
	scheme := "http"
	if transport, ok := handler["transport"].(object); ok {
		switch {
		case transport["protocol"] == "fastcgi":
			scheme = "fastcgi"
		case transport["tls"] != nil:
			scheme = "https"
		}
	}
	handler["transport"] = object{"protocol": serviceName, "scheme": scheme}
	for _, name := range []string{"health_checks", "circuit_breaker"} {
		delete(handler, name)
	}
	if handler["dynamic_upstreams"] != nil {
		delete(handler, "dynamic_upstreams")
		handler["upstreams"] = []any{object{"dial": dynamicUpstream}}
	}
}
