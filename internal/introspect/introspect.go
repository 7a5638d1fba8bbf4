// Package introspect asks an issuer about access tokens that say nothing themselves
// (RFC 7662, RFC 9701), and remembers the answers for a short time. Anything but a
// plain yes about a token for us is a refusal.
package introspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/outbound"
	"github.com/open-tollgate/tollgate/internal/token"
)

const (
	defaultTTL     = 30 * time.Second
	defaultBadTTL  = 5 * time.Second
	maxTTL         = 5 * time.Minute
	defaultTimeout = 3 * time.Second
	maxTimeout     = 10 * time.Second
	defaultSize    = 16 << 10
	defaultFlights = 128
)

// Config is what a Client is made of.
type Config struct {
	// Issuer is who is asked. With Keys, its answers have to be signed (RFC 9701);
	// without, they have to be plain: neither passes for the other.
	Issuer token.Issuer
	// Endpoint is the introspection endpoint; when empty, the issuer's metadata names it
	// (RFC 8414, then OpenID).
	Endpoint string
	// Credentials are ours at the issuer.
	Credentials Credentials
	// TTL is how long a good token is good without asking again, and BadTTL how long a
	// bad one is bad: 30 and 5 seconds when zero, 5 minutes at most. It is also how
	// long a token may outlive its revocation at the issuer.
	TTL, BadTTL time.Duration
	// Timeout bounds one question: 3 seconds when zero.
	Timeout time.Duration
	// CacheSize bounds the good tokens that are remembered, and the bad ones: 16384
	// when zero.
	CacheSize int
	// MaxFlights bounds the questions that are under way: 128 when zero.
	MaxFlights int
	// Client makes the requests; a default one when nil. Its timeout and redirect
	// policy are replaced.
	Client *http.Client
	// Revocations are asked about each token, as in token.Config.
	Revocations token.Revocations
	// Report is told of each question whether it brought an answer, for metrics; nil: nobody is.
	Report func(answered bool)
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// check completes the configuration.
func (c Config) check() (Config, error) {
	if err := c.Issuer.Check(); err != nil {
		return c, err
	}
	if err := c.checkEndpoint(); err != nil {
		return c, err
	}
	if c.Credentials == nil {
		return c, errors.New("introspection: no credentials, and the endpoint wants some (RFC 7662 section 2.1)")
	}
	if c.CacheSize < 0 || c.MaxFlights < 0 {
		return c, errors.New("introspection: a bound is negative")
	}
	for _, d := range []struct {
		value        *time.Duration
		usual, limit time.Duration
	}{{&c.TTL, defaultTTL, maxTTL}, {&c.BadTTL, defaultBadTTL, maxTTL}, {&c.Timeout, defaultTimeout, maxTimeout}} {
		if *d.value < 0 || *d.value > d.limit {
			return c, fmt.Errorf("introspection: %v is not within 0 and %v", *d.value, d.limit)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultSize
	}
	if c.MaxFlights == 0 {
		c.MaxFlights = defaultFlights
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Report == nil {
		c.Report = func(bool) {}
	}
	c.Client = outbound.Restrict(c.Client, c.Timeout)
	return c, nil
}

func (c Config) checkEndpoint() error {
	if c.Endpoint == "" {
		if err := outbound.CheckURL(c.Issuer.URL); err != nil {
			return fmt.Errorf("introspection: where to ask is not said, and cannot be looked up: %w", err)
		}
		return nil
	}
	if err := outbound.CheckURL(c.Endpoint); err != nil {
		return fmt.Errorf("introspection endpoint: %w", err)
	}
	return nil
}

// Client asks one issuer. It is safe for concurrent use.
type Client struct {
	config     Config
	signatures *token.Signatures // nil: answers are plain
	endpoint   *endpoint
	good, bad  *cache
	flights    singleflight.Group
	aloft      chan struct{} // one for each question that is under way

	asked, failed atomic.Uint64
}

// New checks the configuration and makes a Client of it. It does not dial.
func New(c Config) (*Client, error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	client := &Client{
		config: c, endpoint: newEndpoint(c), good: newCache(c.CacheSize), bad: newCache(c.CacheSize),
		aloft: make(chan struct{}, c.MaxFlights),
	}
	if c.Issuer.Keys != nil {
		client.signatures, err = token.NewSignatures(c.Issuer.Keys, c.Issuer.Algorithms)
	}
	return client, err
}

// Verify gives the token that raw stands for, or a *token.Error.
func (c *Client) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if raw == "" || len(raw) > jose.MaxSize {
		return nil, refuse(token.Malformed, nil)
	}
	name := nameOf(raw)
	v, known := c.remembered(name)
	if !known && c.anothers(raw) {
		return nil, refuse(token.UnknownIssuer, errAnothers)
	}
	if !known {
		v = c.join(ctx, name, raw)
	}
	return c.judge(v)
}

var errAnothers = errors.New("a JWT that names another issuer")

// anothers says whether the token is a JWT that names another issuer: whoever is asked
// about a token can use it.
func (c *Client) anothers(raw string) bool {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := jose.DecodeSegment(parts[1])
	if err != nil {
		return false
	}
	claims, err := jose.ParseObject(payload)
	named, ok := claims["iss"].(string)
	return err == nil && ok && named != c.config.Issuer.URL
}

// Recall answers as Verify does if the answer is remembered, and gives nothing, not
// even an error, if it is not.
func (c *Client) Recall(raw string) (*token.Token, error) {
	v, known := c.remembered(nameOf(raw))
	if !known {
		return nil, nil
	}
	return c.judge(v)
}

// judge applies what may have changed since the answer.
func (c *Client) judge(v verdict) (*token.Token, error) {
	if v.refusal != nil {
		return nil, v.refusal
	}
	if err := token.CheckRevoked(c.config.Revocations, v.token, c.config.Now()); err != nil {
		return nil, err
	}
	return v.token, nil
}

func (c *Client) remembered(n name) (verdict, bool) {
	now := c.config.Now()
	if v, ok := c.good.find(n, now); ok {
		return v, true
	}
	return c.bad.find(n, now)
}

// join asks, together with everybody who asks about the same token now. A caller who
// leaves does not take the others' answer along.
func (c *Client) join(ctx context.Context, n name, raw string) verdict {
	landed := c.flights.DoChan(string(n[:]), func() (any, error) { return c.fly(n, raw), nil })
	select {
	case result := <-landed:
		return result.Val.(verdict)
	case <-ctx.Done():
		return verdict{refusal: refuse(token.IntrospectionUnavailable, ctx.Err())}
	}
}

var errBusy = errors.New("too many questions are under way")

// fly asks once and remembers the answer, unless there was none.
func (c *Client) fly(n name, raw string) verdict {
	if v, known := c.remembered(n); known {
		return v // an earlier flight landed between the caller's look and this one
	}
	select {
	case c.aloft <- struct{}{}:
		defer func() { <-c.aloft }()
	default:
		return verdict{refusal: refuse(token.IntrospectionUnavailable, errBusy)}
	}
	c.asked.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
	defer cancel()
	t, err := c.ask(ctx, raw)
	now := c.config.Now()
	if err == nil {
		end := t.ExpiresAt.Add(c.config.Issuer.Leeway)
		if ttl := now.Add(c.config.TTL); ttl.Before(end) {
			end = ttl
		}
		c.config.Report(true)
		v := verdict{token: t, end: end}
		c.good.add(n, v)
		return v
	}
	v := verdict{refusal: err, end: now.Add(c.config.BadTTL)}
	var refused *token.Error
	if errors.As(err, &refused) && refused.Reason.Unavailable() {
		c.failed.Add(1)
		c.config.Report(false)
		return v
	}
	c.config.Report(true)
	c.bad.add(n, v)
	return v
}

// Info describes a client, for metrics.
type Info struct {
	// Asked counts the questions, Failed those that brought no answer.
	Asked, Failed uint64
	// Good and Bad are how many answers are held, among them some that have ended.
	Good, Bad int
}

// Info describes the client as it is now.
func (c *Client) Info() Info {
	return Info{Asked: c.asked.Load(), Failed: c.failed.Load(), Good: c.good.len(), Bad: c.bad.len()}
}

func nameOf(raw string) name { return sha256.Sum256([]byte(raw)) }

func refuse(reason token.Reason, err error) error { return &token.Error{Reason: reason, Err: err} }
