package tollgate

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
)

func init() {
	redis.SetLogger(redisLog{})
}

// redisLog takes what go-redis would print to standard error, which is each failed
// dial. That Redis is out of reach is said louder by whoever needs it.
type redisLog struct{}

// Printf logs a line.
func (redisLog) Printf(_ context.Context, format string, values ...any) {
	caddy.Log().Named("redis").Debug(fmt.Sprintf(format, values...))
}

// redisOff is what an operator writes for "no Redis, this process's memory": an
// environment variable cannot leave a line of the Caddyfile out.
const redisOff = "off"

// redisClients keeps the connections over a reload. The key is the URL.
var redisClients = caddy.NewUsagePool()

// redisClient is a pooled client. It dials when it is first used, never before.
type redisClient struct{ redis.UniversalClient }

// Destruct closes the connections when the last configuration that used them is gone.
func (c redisClient) Destruct() error { return c.Close() }

// parseRedis gives the constructor of a client for the URL, or an error that does
// not repeat the URL, which may hold a password.
//
// A URL with master_name asks Sentinel; one with addr lists the nodes of a
// cluster, and cluster=true says so for a single seed node.
func parseRedis(raw string) (func() redis.UniversalClient, error) {
	target, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	query := target.Query()
	switch {
	case query.Has("master_name"):
		return parseSentinel(raw)
	case query.Has("addr") || query.Get("cluster") == "true":
		query.Del("cluster") // ours: go-redis refuses what it does not know
		target.RawQuery = query.Encode()
		return parseCluster(target.String())
	default:
		return parseSingle(raw)
	}
}

// noRetries keeps the client from sending a command twice: a debit whose answer was
// lost would count twice. With it goes ContextTimeoutEnabled, without which a
// request would wait for the socket's timeout, not for its own deadline.
const noRetries = -1

func parseSingle(raw string) (func() redis.UniversalClient, error) {
	options, err := redis.ParseURL(raw)
	if err != nil {
		return nil, withoutURL(err)
	}
	options.MinIdleConns = 0 // would dial at once, and validate must not
	options.MaxRetries, options.ContextTimeoutEnabled = noRetries, true
	options.MaintNotificationsConfig = noMaintNotifications()
	return func() redis.UniversalClient { return redis.NewClient(options) }, nil
}

func parseSentinel(raw string) (func() redis.UniversalClient, error) {
	options, err := redis.ParseFailoverURL(raw)
	if err != nil {
		return nil, withoutURL(err)
	}
	options.MinIdleConns = 0
	options.MaxRetries, options.ContextTimeoutEnabled = noRetries, true
	return func() redis.UniversalClient { return redis.NewFailoverClient(options) }, nil
}

func parseCluster(raw string) (func() redis.UniversalClient, error) {
	options, err := redis.ParseClusterURL(raw)
	if err != nil {
		return nil, withoutURL(err)
	}
	options.MinIdleConns = 0
	options.MaxRetries, options.ContextTimeoutEnabled = noRetries, true
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

// NewRedis makes a client of its own for a URL as the redis option takes it. It dials
// when it is first used.
func NewRedis(raw string) (redis.UniversalClient, error) {
	if raw == "" || raw == redisOff {
		return nil, errors.New("no redis URL")
	}
	construct, err := parseRedis(raw)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return construct(), nil
}

// loadRedis takes the client from the pool, or makes it.
func loadRedis(raw string) (redis.UniversalClient, error) {
	client, _, err := redisClients.LoadOrNew(raw, func() (caddy.Destructor, error) {
		construct, err := parseRedis(raw)
		if err != nil {
			return nil, err
		}
		return redisClient{construct()}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return client.(redisClient).UniversalClient, nil
}

// pingRedis says early, in the log, that Redis is out of reach. It is no reason not
// to start: what needs Redis refuses by itself until it is back.
func (a *App) pingRedis(ctx context.Context) {
	if err := a.redis.Ping(ctx).Err(); err != nil && ctx.Err() == nil {
		a.logger.Error("redis is out of reach", zap.Error(err))
	}
}
