package tollgate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/internal/introspect"
	"github.com/open-tollgate/tollgate/internal/keyfile"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Introspection is how an issuer is asked about tokens that are not JWTs (RFC 7662).
type Introspection struct {
	// Endpoint is where to ask; empty: the issuer's metadata says.
	Endpoint string `json:"endpoint,omitempty"`
	// ClientID is what the issuer knows this edge by.
	ClientID string `json:"client_id"`
	// ClientSecret names the secret of client_secret_basic: {env.NAME} or {file.PATH}.
	ClientSecret string `json:"client_secret,omitempty"`
	// ClientKey is the file of a private JSON Web Key with an alg, for private_key_jwt.
	ClientKey string `json:"client_key,omitempty"`
	// Signed wants answers that the issuer has signed (RFC 9701), with the keys and
	// algorithms of its tokens, and takes no others.
	Signed bool `json:"signed,omitempty"`
	// TTL is how long a good token is good without asking again, five minutes at most:
	// 30 seconds when zero.
	TTL caddy.Duration `json:"ttl,omitempty"`
	// Timeout bounds one question, ten seconds at most: 3 seconds when zero.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	credentialsAt caddyfile.Token // where the secret or the key is named in the Caddyfile
}

// parseIntrospection reads: introspection [<url>] and a block.
func (i *Issuer) parseIntrospection(d *caddyfile.Dispenser) error {
	start := d.Token()
	if i.Introspection != nil {
		return d.Err("introspection is there twice")
	}
	n := new(Introspection)
	if d.NextArg() {
		n.Endpoint = d.Val()
	}
	if d.NextArg() {
		return d.Err("introspection takes one URL at most")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := n.parseOption(d); err != nil {
			return err
		}
	}
	if err := n.check(i.URL); err != nil {
		return ErrorAt(start, "%w", err)
	}
	i.Introspection = n
	return nil
}

func (n *Introspection) parseOption(d *caddyfile.Dispenser) error {
	option := d.Val()
	if option == "signed" {
		if d.NextArg() {
			return d.ArgErr()
		}
		n.Signed = true
		return nil
	}
	texts := map[string]*string{"client_id": &n.ClientID, "client_secret": &n.ClientSecret, "client_key": &n.ClientKey}
	durations := map[string]*caddy.Duration{"ttl": &n.TTL, "timeout": &n.Timeout}
	text, isText := texts[option]
	duration, isDuration := durations[option]
	if !isText && !isDuration {
		return d.Errf("introspection: unknown option %q", option)
	}
	var value string
	if !d.AllArgs(&value) {
		return d.Errf("introspection: %s takes one value", option) // d.ArgErr repeats a word, which may be a secret
	}
	if isDuration {
		return parsePositive(d, option, value, duration)
	}
	if *text != "" {
		return d.Errf("introspection: %s is there twice", option)
	}
	*text = value
	if option != "client_id" {
		n.credentialsAt = d.Token()
	}
	if option == "client_secret" {
		if err := checkReference(value); err != nil {
			return d.Errf("introspection: client_secret %w", err)
		}
	}
	return nil
}

// parsePositive reads a duration that is not zero, which would stand for the default.
func parsePositive(d *caddyfile.Dispenser, option, value string, to *caddy.Duration) error {
	duration, err := caddy.ParseDuration(value)
	if err != nil || duration <= 0 {
		return d.Errf("%s %q is not a duration", option, value)
	}
	*to = caddy.Duration(duration)
	return nil
}

// check says what is wrong with the settings, whatever the secrets are.
func (n *Introspection) check(issuer string) error {
	if n.ClientID == "" {
		return errors.New("introspection: no client_id")
	}
	if (n.ClientSecret == "") == (n.ClientKey == "") {
		return errors.New("introspection: one of client_secret and client_key is needed")
	}
	if n.ClientSecret != "" {
		if err := checkReference(n.ClientSecret); err != nil {
			return fmt.Errorf("introspection: client_secret %w", err)
		}
	}
	stand, err := introspect.Secret(n.ClientID, "any secret") // for those that are read later
	if err != nil {
		return err
	}
	_, err = introspect.New(n.config(token.Issuer{URL: issuer, Audiences: []string{"any"}}, stand))
	return err
}

// checkFile looks into the file that is named, as far as whoever adapts the Caddyfile can.
func (n *Introspection) checkFile(issuer string) error {
	if n.ClientKey == "" {
		if err := checkReferenced(n.ClientSecret); err != nil {
			return fmt.Errorf("introspection: client_secret %w", err)
		}
		return nil
	}
	_, _, err := n.readCredentials(issuer)
	return err
}

func (n *Introspection) config(issuer token.Issuer, credentials introspect.Credentials) introspect.Config {
	return introspect.Config{
		Issuer: issuer, Endpoint: n.Endpoint, Credentials: credentials,
		TTL: time.Duration(n.TTL), Timeout: time.Duration(n.Timeout),
	}
}

// readCredentials gives the credentials, and a digest of them that tells them from others.
func (n *Introspection) readCredentials(issuer string) (c introspect.Credentials, digest [sha256.Size]byte, err error) {
	if n.ClientKey == "" {
		secret, err := resolve(n.ClientSecret)
		if err != nil {
			return nil, digest, fmt.Errorf("introspection: client_secret %w", err)
		}
		c, err = introspect.Secret(n.ClientID, secret)
		return c, sha256.Sum256([]byte(secret)), err
	}
	document, err := keyfile.Read(n.ClientKey)
	if err != nil {
		return nil, digest, fmt.Errorf("introspection: client_key %s: %w", n.ClientKey, err)
	}
	if c, err = introspect.PrivateKey(n.ClientID, issuer, document); err != nil {
		return nil, digest, fmt.Errorf("introspection: client_key %s: %w", n.ClientKey, err)
	}
	return c, sha256.Sum256(document), nil
}

// introspectors keep what issuers have said of tokens over a reload that changes
// nothing about it. The key is everything that decides what passes, as with verifiers.
var introspectors = caddy.NewUsagePool()

type introspection struct {
	rules, revocations string
	credentials        [sha256.Size]byte
}

// introspector is a pooled client. Its connections are its own.
type introspector struct {
	*introspect.Client
	transport *http.Transport
}

// Destruct closes the connections that wait for a next question.
func (i introspector) Destruct() error {
	i.transport.CloseIdleConnections()
	return nil
}

// idleConnections is how many of them are kept: enough for a busy moment.
const idleConnections = 32

// loadIntrospector gives the client that asks the issuer.
func (a *App) loadIntrospector(i *Issuer) (*introspect.Client, error) {
	rules, err := json.Marshal(i)
	if err != nil {
		return nil, err
	}
	credentials, digest, err := a.credentials(i)
	if err != nil {
		return nil, fmt.Errorf("issuer %s: %w", i.URL, err)
	}
	revoked, source := a.revoked()
	key := a.own(introspection{string(rules) + i.digest, source, digest})
	pooled, _, err := introspectors.LoadOrNew(key, func() (caddy.Destructor, error) {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = idleConnections
		settings := i.settings(nil) // answers are plain
		if i.Introspection.Signed {
			settings.Keys = i.keys
		}
		config := i.Introspection.config(settings, credentials)
		config.Client, config.Revocations, config.Report = &http.Client{Transport: transport}, revoked, i.reportQuestion
		if a.world != nil {
			config.Client, config.Now = &http.Client{Transport: a.world}, a.clock()
		}
		client, err := introspect.New(config)
		return introspector{client, transport}, err
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, func() { a.release(introspectors, key) })
	client := pooled.(introspector).Client
	a.introspectors = append(a.introspectors, asked{i.URL, client})
	return client, nil
}

func (a *App) credentials(i *Issuer) (c introspect.Credentials, digest [sha256.Size]byte, err error) {
	if a.world == nil {
		return i.Introspection.readCredentials(i.URL)
	}
	c, err = i.Introspection.standIn()
	return c, digest, err
}

// asked is a client, and whom it asks.
type asked struct {
	issuer string
	client *introspect.Client
}

// prepare has it looked up where to ask, so that no request waits for that.
func (a *App) prepareIntrospection(ctx context.Context) {
	for _, asked := range a.introspectors {
		go func() {
			if err := asked.client.Prepare(ctx); err != nil && ctx.Err() == nil {
				a.logger.Warn("cannot look up where to ask about opaque tokens",
					zap.String("issuer", asked.issuer), zap.Error(err))
			}
		}()
	}
}

// asking gives the one of the issuers that is asked about opaque tokens, nil when none
// is. Such a token does not say whose it is, and to show it to one issuer after the
// other would give it away.
func asking(issuers []*Issuer) (one *Issuer, err error) {
	for _, issuer := range issuers {
		switch {
		case issuer.Introspection == nil:
		case one == nil:
			one = issuer
		default:
			return nil, fmt.Errorf("an opaque token does not say whose it is, and both %s and %s have introspection: choose by access_token { issuer <url> }", one.URL, issuer.URL)
		}
	}
	return one, nil
}
