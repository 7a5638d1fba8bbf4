package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
)

// Config is what the authorization server is made of.
type Config struct {
	Database    string // SQLite file or postgres:// DSN
	SecretFile  string // the master key; made when missing
	Issuer      string // the edge's own origin, such as https://localhost:8443
	Audience    string // of access tokens; the issuer with /api when empty
	UsersURL    string // where the users service answers
	PaymentsURL string // where the payments service answers
	// Redis is the URL of the one that the edges follow, to which revocations are
	// published; empty or "off": they are not.
	Redis string
	// AccessTokenLifetime is in whole seconds, an hour at most; DefaultAccessTokenLifetime when zero.
	AccessTokenLifetime time.Duration
	Logger              *slog.Logger
	Now                 func() time.Time // the wall clock when nil
	Client              *http.Client     // for the two services; one with a timeout when nil
}

// DefaultAccessTokenLifetime is how long an access token is valid if nothing else is
// said. The APIs ask nobody whether a token was revoked, so it is short.
const DefaultAccessTokenLifetime = 5 * time.Minute

const (
	minAccessTokenLifetime = time.Second
	maxAccessTokenLifetime = time.Hour
)

// The values of the protocol. FAPI 2.0 bounds a code and a request_uri.
const (
	codeLifetime         = 60 * time.Second
	requestURILifetime   = 60 * time.Second
	sessionLifetime      = 10 * time.Minute // from the pushed request to the user's answer
	idTokenLifetime      = 10 * time.Minute
	refreshTokenLifetime = 30 * 24 * time.Hour
	internalLifetime     = 60 * time.Second
	clockLeeway          = 10 * time.Second
	// jwtLifetime bounds a client assertion's exp and a DPoP proof's age.
	jwtLifetime = 5 * time.Minute
	// jtiKept is longer than anything of jwtLifetime can be replayed, whatever the clocks say.
	jtiKept = 2*jwtLifetime + 2*clockLeeway
)

const (
	loginIdle = 30 * time.Minute
	loginMax  = 12 * time.Hour
)

const (
	// internalAudience is that of the tokens by which the services know each
	// other. It is a constant, so no client's token can ever carry it.
	internalAudience = tokencheck.InternalAudience
	// internalClient is who the authorization server is to the other services.
	internalClient = "tollgate-auth"
)

// acrPassword is what signing in with a password is worth.
const acrPassword = "urn:tollgate:acr:password"

func storeLifetimes(accessToken time.Duration) store.Lifetimes {
	return store.Lifetimes{
		RequestURI: requestURILifetime, Session: sessionLifetime, AccessToken: accessToken, LoginIdle: loginIdle, LoginMax: loginMax,
	}
}

// complete fills in defaults and refuses what cannot work.
func (c Config) complete() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if c.AccessTokenLifetime == 0 {
		c.AccessTokenLifetime = DefaultAccessTokenLifetime
	}
	if err := checkAccessTokenLifetime(c.AccessTokenLifetime); err != nil {
		return c, fmt.Errorf("access-token-lifetime: %w", err)
	}
	if err := checkIssuer(c.Issuer); err != nil {
		return c, fmt.Errorf("issuer: %w", err)
	}
	if c.Audience == "" {
		c.Audience = c.Issuer + "/api"
	}
	if c.Audience == internalAudience {
		return c, fmt.Errorf("audience: %s is for the services among themselves", internalAudience)
	}
	for name, value := range map[string]string{"users-url": c.UsersURL, "payments-url": c.PaymentsURL} {
		u, err := url.Parse(value)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return c, fmt.Errorf("%s: not an http or https URL", name)
		}
	}
	return c, nil
}

func checkAccessTokenLifetime(d time.Duration) error {
	if d < minAccessTokenLifetime || d > maxAccessTokenLifetime {
		return fmt.Errorf("must be from %v to %v", minAccessTokenLifetime, maxAccessTokenLifetime)
	}
	if d%time.Second != 0 {
		return errors.New("must be whole seconds, as exp is")
	}
	return nil
}

// checkIssuer wants a bare origin as browsers write it. With a path in it, DPoP's
// htu would never match; with another spelling, no client's comparison would.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return errors.New("not a URL")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return errors.New("must be https (http on loopback only)")
	}
	if u.Scheme+"://"+u.Host != issuer || u.User != nil {
		return errors.New("must be an origin: scheme and host, no path, no trailing slash")
	}
	if strings.ToLower(u.Host) != u.Host || u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http" {
		return errors.New("must be in lower case and without the default port")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
