package revocation

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/token"
)

const (
	defaultMaxAge = time.Minute
	// minRetry and maxRetry bound the pause after Redis was out of reach.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// Policy is what holds for tokens while nobody knows what has been revoked lately.
type Policy string

// The policies.
const (
	// Closed refuses every token: the answer is 503.
	Closed Policy = "closed"
	// Open goes by what is known.
	Open Policy = "open"
)

// Config is what a Follower is made of.
type Config struct {
	// Client stays the caller's to close.
	Client redis.UniversalClient
	// Prefix begins the names in Redis, "tollgate" when empty.
	Prefix string
	// Size bounds the revocations of each kind, 262144 when zero.
	Size int
	// MaxAge is how long ago Redis may have been read; a minute when zero.
	MaxAge time.Duration
	// WhenStale holds when that is exceeded, and when there are more revocations than
	// Size allows; Closed when empty.
	WhenStale Policy
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Logger hears when Redis is out of reach; silent when nil.
	Logger *slog.Logger
}

// ErrStale says that Redis has not been read for too long.
var ErrStale = errors.New("revocations have not been read for too long")

// Follower knows what any node has published. It is safe for concurrent use.
type Follower struct {
	config Config
	keys   keys
	memory *Memory
	start  time.Time
	// read is when Redis was last read, after start; it follows the monotonic clock.
	read atomic.Int64
	// incomplete is until when a revocation is missing for want of room, in Unix milliseconds.
	incomplete atomic.Int64
	unreadable atomic.Uint64
	loaded     atomic.Bool

	mu      sync.Mutex
	failure error
	stop    context.CancelFunc // nil when it is not running
	done    sync.WaitGroup
}

// NewFollower checks the configuration and makes a Follower of it. It does not dial:
// Start does.
func NewFollower(c Config) (*Follower, error) {
	if c.Client == nil {
		return nil, errors.New("revocations: no Redis to follow")
	}
	if c.WhenStale == "" {
		c.WhenStale = Closed
	}
	if c.WhenStale != Closed && c.WhenStale != Open {
		return nil, errors.New("revocations: when they are stale the policy is closed or open")
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultMaxAge
	}
	if c.MaxAge < time.Second || c.MaxAge > resync {
		return nil, errors.New("revocations: the greatest age is not within a second and five minutes")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Follower{config: c, keys: keysOf(c.Prefix), memory: NewMemory(c.Size, c.Now), start: c.Now()}, nil
}

// Start follows in the background, until Close or until ctx ends. Starting what runs
// already changes nothing.
func (f *Follower) Start(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		return
	}
	ctx, f.stop = context.WithCancel(ctx)
	f.done.Go(func() { f.run(ctx) })
}

// Close stops following and waits until nothing runs any more, half a second at most
// while Redis answers. What is known stays known.
func (f *Follower) Close() {
	f.mu.Lock()
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
	f.mu.Unlock()
	f.done.Wait()
}

// run holds one session with Redis after the other.
func (f *Follower) run(ctx context.Context) {
	pause := minRetry
	for {
		loaded, err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		f.note(err)
		if err == nil {
			continue // the time for a full load has come
		}
		if loaded {
			pause = minRetry
		}
		f.config.Logger.Warn("cannot follow the revocations", "error", err, "age", f.Age())
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause - rand.N(pause/2)): // many nodes do this at the same time
		}
		pause = min(2*pause, maxRetry)
	}
}

func (f *Follower) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
}

// touch notes that Redis has been read just now.
func (f *Follower) touch() { f.read.Store(int64(f.config.Now().Sub(f.start))) }

// take puts a revocation into the memory, as it came from Redis.
func (f *Follower) take(text string) {
	r, err := decode(text)
	if err != nil {
		f.unreadable.Add(1)
		f.config.Logger.Error("a revocation cannot be read: is another version publishing?", "error", err)
		return
	}
	if err := f.memory.Revoke(context.Background(), r); err != nil { // it is full: nothing else is left
		f.incomplete.Store(max(f.incomplete.Load(), r.Until.Add(grace).UnixMilli()))
		f.config.Logger.Error("a revocation cannot be held", "error", err)
	}
}

// Revoked implements token.Revocations. What is known to be revoked is refused
// however old the news are.
func (f *Follower) Revoked(t *token.Token, now time.Time) (bool, error) {
	if f.memory.covers(t) {
		return true, nil
	}
	if f.config.WhenStale == Open {
		return false, nil
	}
	return false, f.stale(now)
}

// stale says why what is known may not be all.
func (f *Follower) stale(now time.Time) error {
	if !f.loaded.Load() || f.age(now) > f.config.MaxAge {
		return ErrStale
	}
	if now.UnixMilli() < f.incomplete.Load() {
		return ErrFull
	}
	return nil
}

func (f *Follower) age(now time.Time) time.Duration {
	return now.Sub(f.start) - time.Duration(f.read.Load())
}

// Age is how long ago Redis was read; since the beginning when it never was.
func (f *Follower) Age() time.Duration { return f.age(f.config.Now()) }

// Ready says whether all that was published before has been read.
func (f *Follower) Ready() bool { return f.loaded.Load() }

// Info describes a follower, for metrics and readiness.
type Info struct {
	// Entries is how many revocations are held.
	Entries int
	Age     time.Duration
	// Stale is why what is known may not be all; nil when it is.
	Stale error
	// Unreadable counts entries of the stream that could not be read.
	Unreadable uint64
	// Failure is why Redis could not be read; nil when it could.
	Failure error
}

// Info describes the follower as it is now.
func (f *Follower) Info() Info {
	now := f.config.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	return Info{
		Entries: f.memory.Len(), Age: f.age(now), Stale: f.stale(now),
		Unreadable: f.unreadable.Load(), Failure: f.failure,
	}
}
