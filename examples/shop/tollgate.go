package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Tollgate is the shop's side of the payment platform. Everything it asks goes
// to one base URL.
type Tollgate struct {
	base     *url.URL
	client   *http.Client
	oauth    oauth2.Config // its endpoints are filled in by discovery
	machine  machineToken
	pause    func(context.Context, time.Duration) error
	mu       sync.Mutex
	metadata *metadata
}

// metadata is the part of the authorization server's metadata (RFC 8414) that
// the shop needs.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	PAR           string `json:"pushed_authorization_request_endpoint"`
}

// newTollgate prepares the client; it asks for nothing yet, so the shop starts
// even while Tollgate is down.
func newTollgate(cfg config) (*Tollgate, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CACert != "" {
		roots, err := rootsWith(cfg.CACert)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	return &Tollgate{
		base: cfg.Tollgate,
		client: &http.Client{
			Transport: transport,
			Timeout:   10 * time.Second,
			// A token is for the address it was made for: a redirect is an error.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		oauth: oauth2.Config{
			ClientID:     cfg.ClientID,
			ClientSecret: cfg.ClientSecret,
			RedirectURL:  cfg.PublicURL.JoinPath(callbackPath).String(),
			Scopes:       []string{"payments:confirm", "payments:read"},
		},
		pause: sleep,
	}, nil
}

// rootsWith gives the system's certificate authorities and those of the file.
func rootsWith(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca-cert: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-cert %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// config gives the OAuth configuration with its endpoints. The first call that
// succeeds is remembered; a failed one is tried again by the next.
func (t *Tollgate) config(ctx context.Context) (*oauth2.Config, *metadata, error) {
	found, err := t.discover(ctx)
	if err != nil {
		return nil, nil, err
	}
	cfg := t.oauth
	cfg.Endpoint = oauth2.Endpoint{AuthURL: found.Authorization, TokenURL: found.Token, AuthStyle: oauth2.AuthStyleInHeader}
	return &cfg, found, nil
}

func (t *Tollgate) discover(ctx context.Context) (*metadata, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.metadata != nil {
		return t.metadata, nil
	}
	body, err := t.send(ctx, call{method: http.MethodGet, url: t.url("/.well-known/oauth-authorization-server")})
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var found metadata
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if err := t.check(found); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	t.metadata = &found
	return t.metadata, nil
}

// check refuses metadata of somebody else (RFC 8414 section 3.3): the issuer has
// to be the one that was asked, and our secret goes to no other host.
func (t *Tollgate) check(found metadata) error {
	if found.Issuer != t.base.String() {
		return fmt.Errorf("the issuer is %q, expected %q", found.Issuer, t.base)
	}
	for _, endpoint := range []string{found.Authorization, found.Token, found.PAR} {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != t.base.Scheme || u.Host != t.base.Host {
			return errors.New("an endpoint is missing or at another host")
		}
	}
	return nil
}

func (t *Tollgate) url(path string) string { return t.base.JoinPath(path).String() }

// withClient makes golang.org/x/oauth2 use our HTTP client, with its timeout and
// its certificate authorities.
func (t *Tollgate) withClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, t.client)
}
