package main

import (
	"context"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// redisRateLimiter is the go-redis project's limiter.
type redisRateLimiter struct {
	limiter *redis_rate.Limiter
	limits  map[string]redis_rate.Limit
}

func newRedisRate(addr string, known limits) *redisRateLimiter {
	r := &redisRateLimiter{
		limiter: redis_rate.NewLimiter(redis.NewClient(&redis.Options{Addr: addr})),
		limits:  make(map[string]redis_rate.Limit),
	}
	for name, l := range known {
		// As its own PerSecond and PerMinute make them: the burst is the whole rate.
		r.limits[name] = redis_rate.Limit{Rate: l.events, Burst: l.events, Period: l.window}
	}
	return r
}

func (r *redisRateLimiter) allow(ctx context.Context, name, key string) (bool, error) {
	result, err := r.limiter.Allow(ctx, name+":"+key, r.limits[name])
	if err != nil {
		return false, err
	}
	return result.Allowed > 0, nil
}
