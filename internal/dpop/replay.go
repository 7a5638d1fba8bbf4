package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ReplayKey stands for one proof: a hash of the key, the URI and the "jti".
type ReplayKey [sha256.Size]byte

// ReplayStore remembers the proofs that have been used.
type ReplayStore interface {
	// Use marks the proof as used for the window. Of any number of calls with one
	// key, on any number of nodes, exactly one is told that it was fresh. An error
	// means that nobody can tell, and the proof must not pass.
	Use(ctx context.Context, key ReplayKey, window time.Duration) (fresh bool, err error)
}

// ErrFull says that the memory has no room for another proof. Forgetting one that
// could still be replayed is no alternative.
var ErrFull = errors.New("replay memory is full")

// defaultMemory takes about 30 MB, enough for 3,700 proofs a second.
const defaultMemory = 1 << 18

// Memory is a ReplayStore for a single node.
type Memory struct {
	now  func() time.Time
	size int

	mu   sync.Mutex
	seen map[ReplayKey]struct{}
	// queue holds what is in seen, oldest first. Windows hardly differ, so the
	// oldest is the first to end; one that ends earlier merely stays a little longer.
	queue []used
}

// used is a proof, and until when it is remembered.
type used struct {
	key ReplayKey
	end time.Time
}

// NewMemory makes a memory of at most size proofs, 262144 when size is zero or
// less; now is the clock, time.Now when nil.
func NewMemory(size int, now func() time.Time) *Memory {
	if size <= 0 {
		size = defaultMemory
	}
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, size: size, seen: make(map[ReplayKey]struct{})}
}

// Use marks the proof as used.
func (m *Memory) Use(_ context.Context, key ReplayKey, window time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if _, again := m.seen[key]; again {
		return false, nil
	}
	if len(m.seen) >= m.size {
		return false, ErrFull
	}
	m.seen[key] = struct{}{}
	m.queue = append(m.queue, used{key, now.Add(window)})
	return true, nil
}

// expire forgets what can no longer be replayed.
func (m *Memory) expire(now time.Time) {
	ended := 0
	for ended < len(m.queue) && !now.Before(m.queue[ended].end) {
		delete(m.seen, m.queue[ended].key)
		ended++
	}
	m.queue = m.queue[ended:]
}

// redisTimeout bounds what a request waits for Redis.
const redisTimeout = time.Second

// Redis is a ReplayStore that any number of nodes share.
type Redis struct{ client redis.UniversalClient }

// NewRedis makes a store of the client, which stays the caller's to close.
func NewRedis(client redis.UniversalClient) *Redis { return &Redis{client: client} }

// Use marks the proof as used, in one command: SET NX PX.
func (s *Redis) Use(ctx context.Context, key ReplayKey, window time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	name := "dpop:" + base64.RawURLEncoding.EncodeToString(key[:])
	return s.client.SetNX(ctx, name, 1, window).Result()
}
