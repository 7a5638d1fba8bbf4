package revocation

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// publishTimeout bounds what a publisher waits for Redis.
	publishTimeout = 2 * time.Second
	// reach is how far the stream goes back. A follower that was away reads the set.
	reach = 15 * time.Minute
	// field is the only one of the stream's entries.
	field = "r"
	// batch is how many entries a command reads or writes.
	batch = 1000
)

//go:embed publish.lua
var publishText string

var publishScript = redis.NewScript(publishText)

// keys are the names in Redis. The braces keep them on one shard of a cluster.
type keys struct{ set, stream string }

func keysOf(prefix string) keys {
	if prefix == "" {
		prefix = "tollgate"
	}
	return keys{set: "{" + prefix + ":revocations}:live", stream: "{" + prefix + ":revocations}:stream"}
}

// Stream publishes revocations through Redis: for the authorization server and for
// operators' commands.
type Stream struct {
	client redis.UniversalClient
	keys   keys
}

// NewStream makes a publisher of the client, which stays the caller's to close. It
// does not dial. prefix begins the names in Redis, "tollgate" when empty; followers
// have the same.
func NewStream(client redis.UniversalClient, prefix string) *Stream {
	return &Stream{client: client, keys: keysOf(prefix)}
}

// Revoke implements Publisher: it returns when Redis has the revocation.
func (s *Stream) Revoke(ctx context.Context, r Revocation) error {
	text, err := encode(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = publishScript.Run(ctx, s.client, []string{s.keys.set, s.keys.stream}, arguments(r, text)...).Err()
	if err != nil {
		return fmt.Errorf("publish a revocation: %w", err)
	}
	return nil
}

// arguments are those of the script. What has ended in Redis is kept as long as in memory.
func arguments(r Revocation, text string) []any {
	return []any{text, r.Until.Add(grace).UnixMilli(), reach.Milliseconds()}
}

// Holds says whether Redis still has the revocation. It may have lost what it was
// given, or failed over to a replica that was behind.
func (s *Stream) Holds(ctx context.Context, r Revocation) (bool, error) {
	text, err := encode(r)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	switch err := s.client.ZScore(ctx, s.keys.set, text).Err(); {
	case errors.Is(err, redis.Nil):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for a revocation: %w", err)
	}
	return true, nil
}
