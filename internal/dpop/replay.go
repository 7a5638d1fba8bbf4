package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ReplayKey stands for one proof.
type ReplayKey struct {
	// Holder is a hash of the thumbprint of the key that signed it.
	Holder [sha256.Size]byte
	// Proof is a hash of that thumbprint, the URI and the "jti".
	Proof [sha256.Size]byte
}

// newReplayKey makes one hash of the three: without a separator that none of them
// can hold, two different triples could run together.
func newReplayKey(jkt, target, id string) ReplayKey {
	inner := sha256.Sum256([]byte(id))
	return ReplayKey{
		Holder: sha256.Sum256([]byte(jkt)),
		Proof:  sha256.Sum256(slices.Concat(inner[:], []byte(jkt), []byte{0}, []byte(target))),
	}
}

// ReplayStore remembers the proofs that have been used.
type ReplayStore interface {
	// Use marks the proof as used for the window. Of any number of calls with one
	// key, on any number of nodes, exactly one is told that it was fresh. An error
	// means that nobody can tell, and the proof must not pass.
	Use(ctx context.Context, key ReplayKey, window time.Duration) (fresh bool, err error)
}

var (
	// ErrFull says that the memory has no room for another proof. Forgetting one that
	// could still be replayed is no alternative.
	ErrFull = errors.New("replay memory is full")
	// ErrHolderFull says the same of the room that one key may take.
	ErrHolderFull = errors.New("replay memory of this key is full")
)

// whyUnused gives the reason to refuse a proof that a store could not take.
func whyUnused(err error) Reason {
	if errors.Is(err, ErrHolderFull) {
		return TooMany
	}
	return ReplayUnavailable
}

const (
	// defaultMemory takes about 45 MB, enough for 3,700 proofs a second.
	defaultMemory = 1 << 18
	// shares is how many keys it takes to fill a memory. With fewer, one busy client
	// would refuse all others; with more, honest ones could be too busy. A share of
	// the default is 230 proofs a second.
	shares = 16
)

// Memory is a ReplayStore for a single node.
type Memory struct {
	now   func() time.Time
	size  int
	share int // of size, for one key

	mu   sync.Mutex
	seen map[[sha256.Size]byte]struct{}
	held map[[sha256.Size]byte]int // how many of them a holder has
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
// less, and of a sixteenth of that for one key; now is the clock, time.Now when nil.
func NewMemory(size int, now func() time.Time) *Memory {
	if size <= 0 {
		size = defaultMemory
	}
	if now == nil {
		now = time.Now
	}
	return &Memory{
		now: now, size: size, share: (size + shares - 1) / shares,
		seen: make(map[[sha256.Size]byte]struct{}), held: make(map[[sha256.Size]byte]int),
	}
}

// Use marks the proof as used.
func (m *Memory) Use(_ context.Context, key ReplayKey, window time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if _, again := m.seen[key.Proof]; again {
		return false, nil
	}
	if m.held[key.Holder] >= m.share {
		return false, ErrHolderFull
	}
	if len(m.seen) >= m.size {
		return false, ErrFull
	}
	m.seen[key.Proof] = struct{}{}
	m.held[key.Holder]++
	m.queue = append(m.queue, used{key, now.Add(window)})
	return true, nil
}

// expire forgets what can no longer be replayed.
func (m *Memory) expire(now time.Time) {
	ended := 0
	for ended < len(m.queue) && !now.Before(m.queue[ended].end) {
		m.forget(m.queue[ended].key)
		ended++
	}
	m.queue = m.queue[ended:]
}

func (m *Memory) forget(key ReplayKey) {
	delete(m.seen, key.Proof)
	if m.held[key.Holder]--; m.held[key.Holder] == 0 {
		delete(m.held, key.Holder)
	}
}

// redisTimeout bounds what a request waits for Redis.
const redisTimeout = time.Second

// Redis is a ReplayStore that any number of nodes share. It has no bound of its own
// for one key: each proof takes about 150 bytes of its memory for the window.
type Redis struct{ client redis.UniversalClient }

// NewRedis makes a store of the client, which stays the caller's to close.
func NewRedis(client redis.UniversalClient) *Redis { return &Redis{client: client} }

// Use marks the proof as used, in one command: SET NX PX.
func (s *Redis) Use(ctx context.Context, key ReplayKey, window time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	name := "dpop:" + base64.RawURLEncoding.EncodeToString(key.Proof[:])
	return s.client.SetNX(ctx, name, 1, window).Result()
}
