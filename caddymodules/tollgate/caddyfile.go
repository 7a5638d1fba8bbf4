package tollgate

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/redisclient"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("tollgate", parseGlobalOption)
}

func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the option's name
	if existing != nil {
		return nil, d.Err("tollgate is there twice")
	}
	d.Reset()
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "tollgate", Value: caddyconfig.JSON(app, nil)}, nil
}

// FromOptions gives the settings of the global option, for directives that are
// checked against them; without the option, the defaults.
func FromOptions(h httpcaddyfile.Helper) (*App, error) {
	app := new(App)
	option, ok := h.Option("tollgate").(httpcaddyfile.App)
	if !ok {
		return app, nil
	}
	return app, json.Unmarshal(option.Value, app)
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens. Syntax:
//
//	tollgate {
//		redis  <url> | off
//		origin <url>...
//		issuer <url> {
//			audience   <name>...
//			algorithms <algorithm>...
//			jwks_uri   <url> | off
//			jwks_file  <path>
//			leeway     <duration>
//			introspection [<url>] {
//				client_id     <id>
//				client_secret {env.<name>} | {file.<path>}
//				client_key    <path>
//				signed
//				ttl     <duration>
//				timeout <duration>
//			}
//			profile fapi2
//		}
//		dpop {
//			nonce_key    generated | {env.<name>} | {file.<path>}
//			nonce_period <duration>
//		}
//		client_certificate header <name> rfc9440|pem from <cidr>...
//		failures off | {
//			burst    <number>
//			interval <duration>
//		}
//		revocations {
//			stale   closed | open
//			max_age <duration>
//		}
//		assertion {
//			issuer   <url>
//			key_file <path>...
//		}
//		audit <folder> | off {
//			name         <name>
//			signing_key  <path>
//			keep         <duration>
//			segment_size <size>
//			segment_age  <duration>
//			queue        <number>
//			stdout
//			syslog       <host:port>
//			syslog_ca    <path>
//		}
//		rate_limits {
//			nodes     <number>
//			namespace <name>
//			deadline  <duration>
//		}
//		reload_guard [off] {
//			allow <hash>...
//			allow_moved
//			baseline <file>
//		}
//	}
//
// redis is where counters and DPoP proofs are shared between nodes; off, and the
// default, is this process's memory. origin is where callers reach this edge: what a
// DPoP proof has to name. issuer can be there several times. Its keys are fetched, from
// where its metadata says or jwks_uri does, or read from jwks_file; jwks_uri off is for one
// whose tokens are all opaque. introspection asks it about opaque tokens, at the URL or
// where its metadata says, with a secret that the configuration names and does not hold, or
// the private JSON Web Key in client_key. profile fapi2 holds its tokens to the FAPI 2.0
// Security Profile. dpop has proofs bear a nonce of this server's.
// client_certificate is for proxies in front that end the clients' TLS. failures limits
// how many bad tokens of one client address are looked into. revocations says what holds while Redis cannot be
// asked what is revoked. assertion is what identity_assertion tells services of callers
// with: the first key signs, all of them are published. audit is the folder of the log of
// decisions: how long records are kept, what its checkpoints are signed as and with, how
// many records may wait for the disk, and where copies go. rate_limits
// says how many edge nodes there are at least, which key
// prefix they share in Redis, and how long a decision may wait for it. reload_guard refuses
// to load a policy that lets more through than the one that runs, or sends requests
// elsewhere, unless allow names it by the hash that "tollgate policy diff" prints;
// allow_moved is for the latter. baseline has the hash of the policy that a process may
// start with.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "redis":
			err = a.parseRedis(d)
		case "origin":
			err = a.parseOrigins(d)
		case "issuer":
			err = a.parseIssuer(d)
		case "dpop":
			err = a.parseDPoP(d)
		case "revocations":
			err = a.parseRevocations(d)
		case "assertion":
			err = a.parseAssertion(d)
		case "rate_limits":
			err = a.parseRateLimits(d)
		case "reload_guard":
			err = a.parseReloadGuard(d)
		case "failures":
			err = a.parseFailures(d)
		case "audit":
			err = a.parseAudit(d)
		case "client_certificate":
			err = a.parseCertificate(d)
		default:
			err = d.Errf("tollgate: unknown option %q", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return a.checkTogether()
}

// checkTogether looks at what several options say together, when all of them are known.
func (a *App) checkTogether() error {
	if err := a.checkDPoP(); err != nil {
		return ErrorAt(a.DPoP.at, "%w", err)
	}
	for _, issuer := range a.Issuers {
		if err := a.checkProfile([]*Issuer{issuer}); err != nil {
			return ErrorAt(issuer.profileAt, "%w", err)
		}
	}
	return a.judgeAssertion()
}

func (a *App) parseRedis(d *caddyfile.Dispenser) error {
	if a.RedisURL != "" {
		return d.Err("redis is there twice")
	}
	if !d.AllArgs(&a.RedisURL) {
		return d.Err("redis takes one URL, or off") // d.ArgErr repeats a word, which may hold a password
	}
	if a.RedisURL == redisclient.Off {
		return nil
	}
	if _, err := redisclient.Parse(a.RedisURL); err != nil {
		return d.Errf("redis: %w", err)
	}
	return nil
}

func (a *App) parseOrigins(d *caddyfile.Dispenser) error {
	origins := d.RemainingArgs()
	if len(origins) == 0 {
		return d.ArgErr()
	}
	for _, origin := range origins {
		if err := checkOrigin(origin); err != nil {
			return d.Errf("origin %q: %w", origin, err)
		}
	}
	a.Origins = append(a.Origins, origins...)
	return nil
}

// checkOrigin holds an origin to RFC 6454: a scheme, a host, maybe a port.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("not an http or https origin")
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("an origin ends after host and port")
	}
	return nil
}

func (a *App) parseIssuer(d *caddyfile.Dispenser) error {
	start := d.Token()
	issuer := new(Issuer)
	if !d.AllArgs(&issuer.URL) {
		return d.ArgErr()
	}
	if a.issuer(issuer.URL) != nil {
		return d.Errf("issuer %s is there twice", issuer.URL)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := issuer.parseOption(d); err != nil {
			return err
		}
	}
	if err := issuer.check(); err != nil {
		return ErrorAt(start, "issuer %s: %w", issuer.URL, err)
	}
	if err := issuer.checkFiles(); err != nil {
		return err
	}
	a.Issuers = append(a.Issuers, issuer)
	return nil
}

func (i *Issuer) parseOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "audience":
		return parseList(d, &i.Audiences)
	case "algorithms":
		return i.parseAlgorithms(d)
	case "jwks_uri":
		if i.JWKSURI != "" {
			return d.Err("jwks_uri is there twice")
		}
		if !d.AllArgs(&i.JWKSURI) {
			return d.Err("jwks_uri takes one URL, or off")
		}
		return nil
	case "jwks_file":
		if i.JWKSFile != "" {
			return d.Err("jwks_file is there twice")
		}
		if !d.AllArgs(&i.JWKSFile) {
			return d.ArgErr()
		}
		i.keysAt = d.Token()
		return nil
	case "introspection":
		return i.parseIntrospection(d)
	case "profile":
		i.profileAt = d.Token()
		return ParseProfile(d, &i.Profile)
	case "leeway":
		return i.parseLeeway(d)
	default:
		return d.Errf("issuer: unknown option %q", option)
	}
}

func (i *Issuer) parseAlgorithms(d *caddyfile.Dispenser) error {
	if err := parseList(d, &i.Algorithms); err != nil {
		return err
	}
	unknown := slices.IndexFunc(i.Algorithms, func(name string) bool { return !jose.AlgorithmOf(name).Supported() })
	if unknown >= 0 {
		return d.Errf("algorithms: %q is none that tokens are verified with", i.Algorithms[unknown])
	}
	return nil
}

func (i *Issuer) parseLeeway(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	leeway, err := caddy.ParseDuration(value)
	if err != nil {
		return d.Errf("leeway %q is not a duration", value)
	}
	i.Leeway = caddy.Duration(leeway)
	return nil
}

func parseList(d *caddyfile.Dispenser, list *[]string) error {
	values := d.RemainingArgs()
	if len(values) == 0 {
		return d.ArgErr()
	}
	*list = append(*list, values...)
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*App)(nil)
