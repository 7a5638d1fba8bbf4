package limits

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// calls gives how often clients have asked Redis to decide. What a script calls inside
// counts for nothing: it crosses no network.
func calls(t *testing.T, client *redis.Client, scripts bool) (n int64) {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, stats, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		isScript := name == "evalsha" || name == "eval"
		isPlain := name == "incrby" || name == "expire" || name == "get"
		if scripts && !isScript || !scripts && !isPlain {
			continue
		}
		count, _, _ := strings.Cut(strings.TrimPrefix(stats, "calls="), ",")
		value, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		n += value
	}
	return n
}

// roundTrips measures Redis itself, with a script that does nothing, until the context ends.
func roundTrips(ctx context.Context, client *redis.Client) latencies {
	var times latencies
	script := redis.NewScript("return 1")
	for ctx.Err() == nil {
		at := time.Now()
		if err := script.Run(ctx, client, nil).Err(); err == nil {
			times = append(times, time.Since(at))
		}
		time.Sleep(time.Millisecond)
	}
	return times
}
