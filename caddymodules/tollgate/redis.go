package tollgate

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/internal/redisclient"
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

// redisClients keeps the connections over a reload. The key is the URL.
var redisClients = caddy.NewUsagePool()

// redisClient is a pooled client. It dials when it is first used, never before.
type redisClient struct{ redis.UniversalClient }

// Destruct closes the connections when the last configuration that used them is gone.
func (c redisClient) Destruct() error { return c.Close() }

// loadRedis takes the client from the pool, or makes it.
func loadRedis(raw string) (redis.UniversalClient, error) {
	client, _, err := redisClients.LoadOrNew(raw, func() (caddy.Destructor, error) {
		construct, err := redisclient.Parse(raw)
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
