package jwks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
)

// Set is the key set of one issuer. It is safe for concurrent use.
type Set struct {
	config  Config
	current atomic.Pointer[snapshot]

	mu      sync.Mutex
	running context.Context // nil before Start and after Close
	stop    context.CancelFunc
	done    sync.WaitGroup
	fetcher fetcher // used by the flight alone
	flight  *flight // nil when nothing is being fetched
	failure error   // of the last fetch
	fetches uint64
	failed  uint64 // of the fetches
	misses  misses
}

// flight is a fetch that is under way, for all who wait on it.
type flight struct {
	asked  string        // the unknown key id that caused it, empty when it was due
	landed chan struct{} // closed at the end
	pause  time.Duration // until the next one is due; valid after landed
	failed bool          // valid after landed
}

// New makes a set that knows no key yet. It does not dial: Start does.
func New(c Config) (*Set, error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	return &Set{config: c, fetcher: fetcher{Config: c}, misses: newMisses()}, nil
}

// Start fetches the keys and keeps them fresh, in the background, until Close or
// until ctx ends. Starting what runs already changes nothing.
func (s *Set) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil && s.running.Err() == nil {
		return
	}
	s.running, s.stop = context.WithCancel(ctx)
	s.done.Add(1)
	go s.keepFresh(s.running, s.join(s.running, ""))
}

// Close stops fetching and waits until nothing runs any more. The keys stay readable.
func (s *Set) Close() {
	s.mu.Lock()
	if s.stop != nil {
		s.stop()
	}
	s.running = nil
	s.mu.Unlock()
	s.done.Wait()
}

// keepFresh waits for the flight and launches the next one when it is due.
func (s *Set) keepFresh(ctx context.Context, f *flight) {
	defer s.done.Done()
	retry := minRetry
	for {
		<-f.landed // within the client's timeout, or at once when ctx ends
		pause := f.pause
		if f.failed {
			pause, retry = retry, min(2*retry, maxRetry)
		} else {
			retry = minRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(pause)):
		}
		s.mu.Lock()
		f = s.join(ctx, "")
		s.mu.Unlock()
	}
}

// join gives the flight that is under way, or starts one. s.mu is held.
func (s *Set) join(ctx context.Context, asked string) *flight {
	if s.flight == nil {
		s.flight = &flight{asked: asked, landed: make(chan struct{})}
		s.done.Add(1)
		go s.fly(ctx, s.flight)
	}
	return s.flight
}

// fly fetches once and publishes what came of it.
func (s *Set) fly(ctx context.Context, f *flight) {
	defer s.done.Done()
	fresh, pause, err := s.fetcher.fetch(ctx)
	if err == nil {
		s.current.Store(fresh)
		s.report(fresh)
	} else if ctx.Err() == nil {
		s.config.Logger.Warn("cannot fetch the keys of an issuer", "issuer", s.name(), "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight, s.failure = nil, err
	s.fetches++
	if err != nil {
		s.failed++
	}
	if err == nil && f.asked != "" && fresh.keys[f.asked] == nil {
		s.misses.note(f.asked, s.config.Now())
		s.fetcher.doubt()
	}
	f.pause, f.failed = pause, err != nil
	close(f.landed)
}

// report tells of keys that are left out. Keys for encryption are nothing unusual;
// a set of which nothing can be used refuses every token.
func (s *Set) report(fresh *snapshot) {
	switch left := errors.Join(fresh.left...); {
	case len(fresh.keys) == 0:
		s.config.Logger.Warn("an issuer has no key that can be used", "issuer", s.name(), "left", left)
	case left != nil:
		s.config.Logger.Info("keys of an issuer are left out", "issuer", s.name(), "used", len(fresh.keys), "left", left)
	}
}

func (s *Set) name() string {
	if s.config.Issuer != "" {
		return s.config.Issuer
	}
	return s.config.JWKSURL
}

// snapshot gives the current keys; nil when there are none, or none that may still be trusted.
func (s *Set) snapshot() *snapshot {
	current := s.current.Load()
	if current == nil || s.config.Now().Sub(current.fetched) > staleLimit {
		return nil
	}
	return current
}

// Holds says whether the key is in the set.
func (s *Set) Holds(key *jose.Key) bool {
	current := s.snapshot()
	if current == nil {
		return false
	}
	held, ok := current.keys[key.ID]
	return ok && held.Same(key)
}

// Key gives the key of this id. For one that is not known it may wait on a fetch,
// two seconds at most.
func (s *Set) Key(ctx context.Context, id string) (*jose.Key, error) {
	if key := s.find(id); key != nil {
		return key, nil
	}
	if f := s.ask(id); f != nil {
		wait, cancel := context.WithTimeout(ctx, maxWait)
		defer cancel()
		select {
		case <-f.landed:
		case <-wait.Done():
			return nil, fmt.Errorf("%w: the fetch takes too long", token.ErrKeysUnavailable)
		}
	}
	if key := s.find(id); key != nil {
		return key, nil
	}
	return nil, s.missing()
}

func (s *Set) find(id string) *jose.Key {
	if current := s.snapshot(); current != nil {
		return current.keys[id]
	}
	return nil
}

// ask gives the flight that may bring the key: the one that is under way, or a new
// one if the id is not known to be missing and strangers have caused few lately.
func (s *Set) ask(id string) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	if s.running == nil || s.running.Err() != nil || s.misses.known(id, now) {
		return nil
	}
	if s.flight == nil && !s.misses.allow(now) {
		return nil
	}
	return s.join(s.running, id)
}

// missing says what it means that a key is not there: when the issuer could be
// asked, that it does not exist; otherwise nobody knows.
func (s *Set) missing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return fmt.Errorf("%w: %w", token.ErrKeysUnavailable, s.failure)
	}
	if s.snapshot() == nil {
		return token.ErrKeysUnavailable
	}
	return token.ErrUnknownKey
}

// Info describes a set, for metrics and readiness.
type Info struct {
	// Keys is how many keys can be used now.
	Keys int
	// Fetched is when they were fetched; zero when they never were.
	Fetched time.Time
	// Fetches counts the attempts.
	Fetches uint64
	// Failed counts those of them that failed.
	Failed uint64
	// Failure is why the last attempt failed, nil when it did not.
	Failure error
}

// Info describes the set as it is now.
func (s *Set) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := Info{Fetches: s.fetches, Failed: s.failed, Failure: s.failure}
	if current := s.current.Load(); current != nil {
		info.Fetched = current.fetched
	}
	if usable := s.snapshot(); usable != nil {
		info.Keys = len(usable.keys)
	}
	return info
}

// Ready says whether the keys are there.
func (s *Set) Ready() bool { return s.snapshot() != nil }

// Age is how long ago the keys were fetched; zero when they never were.
func (s *Set) Age() time.Duration {
	current := s.current.Load()
	if current == nil {
		return 0
	}
	return s.config.Now().Sub(current.fetched)
}
