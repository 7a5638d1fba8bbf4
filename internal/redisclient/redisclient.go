// Package redisclient makes Redis clients from URLs: one spelling for the edge, its
// commands and the services, and one set of options.
package redisclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func init() { redis.SetLogger(silent{}) } // a program with a log of its own may set another

// Off is what an operator writes for "no Redis": an environment variable cannot leave
// a line of a configuration out.
const Off = "off"

// New makes a client for a URL. It dials when it is first used.
func New(raw string) (redis.UniversalClient, error) {
	if raw == "" || raw == Off {
		return nil, errors.New("no redis URL")
	}
	construct, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return construct(), nil
}

// Parse gives the constructor of a client for the URL, or an error that does
// not repeat the URL, which may hold a password.
//
// A URL with master_name asks Sentinel; one with addr lists the nodes of a
// cluster, and cluster=true says so for a single seed node. Of rediss, ca_file names who
// signs the server's certificate, cert_file and key_file this client's.
func Parse(raw string) (func() redis.UniversalClient, error) {
	target, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	query := target.Query()
	secure, err := takeTLS(target.Scheme, query)
	if err != nil {
		return nil, err
	}
	cluster := query.Has("addr") || query.Get("cluster") == "true"
	if !query.Has("master_name") && cluster {
		query.Del("cluster")
	}
	target.RawQuery = query.Encode() // without what is ours: go-redis refuses what it does not know
	raw = target.String()
	switch {
	case query.Has("master_name"):
		return parseSentinel(raw, secure)
	case cluster:
		return parseCluster(raw, secure)
	default:
		return parseSingle(raw, secure)
	}
}

// noRetries keeps the client from sending a command twice: a debit whose answer was
// lost would count twice. With it goes ContextTimeoutEnabled, without which a
// request would wait for the socket's timeout, not for its own deadline.
const noRetries = -1

func parseSingle(raw string, secure func(*tls.Config)) (func() redis.UniversalClient, error) {
	options, err := redis.ParseURL(raw)
	if err != nil {
		return nil, withoutURL(err)
	}
	options.MinIdleConns = 0 // would dial at once, and validate must not
	options.MaxRetries, options.ContextTimeoutEnabled = noRetries, true
	options.DisableIdentity = true // CLIENT SETINFO, which a user would need a right for
	if options.TLSConfig != nil {
		secure(options.TLSConfig)
	}
	options.MaintNotificationsConfig = noMaintNotifications()
	return func() redis.UniversalClient { return redis.NewClient(options) }, nil
}

func parseSentinel(raw string, secure func(*tls.Config)) (func() redis.UniversalClient, error) {
	options, err := redis.ParseFailoverURL(raw)
	if err != nil {
		return nil, withoutURL(err)
	}
	options.MinIdleConns = 0
	options.MaxRetries, options.ContextTimeoutEnabled = noRetries, true
	options.DisableIdentity = true // CLIENT SETINFO, which a user would need a right for
	if options.TLSConfig != nil {
		secure(options.TLSConfig)
	}
	return func() redis.UniversalClient { return redis.NewFailoverClient(options) }, nil
}

func parseCluster(raw string, secure func(*tls.Config)) (func() redis.UniversalClient, error) {
	options, err := redis.ParseClusterURL(raw)
	if err != nil {
		return nil, withoutURL(err)
	}
	options.MinIdleConns = 0
	options.MaxRetries, options.ContextTimeoutEnabled = noRetries, true
	options.DisableIdentity = true // CLIENT SETINFO, which a user would need a right for
	if options.TLSConfig != nil {
		secure(options.TLSConfig)
	}
	options.MaintNotificationsConfig = noMaintNotifications()
	return func() redis.UniversalClient { return redis.NewClusterClient(options) }, nil
}

// noMaintNotifications switches a feature of Redis Enterprise off, which costs a
// round trip and a log line on each connection to any other server.
func noMaintNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// withoutURL drops the URL that net/url repeats in its errors.
func withoutURL(err error) error {
	if parse, ok := errors.AsType[*url.Error](err); ok {
		return parse.Err
	}
	return err
}

// silent takes what go-redis would print to standard error, which is each failed dial.
// That Redis is out of reach is said louder by whoever needs it.
type silent struct{}

// Printf drops a line.
func (silent) Printf(context.Context, string, ...any) {}
