package auth

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/internal/redisclient"
	"github.com/open-tollgate/tollgate/internal/revocation"
)

const (
	// revocationMatters is how long after the revocation of a grant one of its tokens
	// can still be valid, whatever lifetime was set when it was issued.
	revocationMatters = keyRetention
	// publishPoll finds what other instances, and those that were killed, have committed.
	publishPoll = time.Second
	// publishLook is how often Redis is asked whether it still has what it was given.
	publishLook = time.Minute
	// publishBatch bounds what is read from the database at a time.
	publishBatch = 200
	// minPublishPause and maxPublishPause bound the pause after Redis was out of reach.
	minPublishPause = 100 * time.Millisecond
	maxPublishPause = 5 * time.Second
)

// publisher tells the edges which grants are revoked. The queue is the grants
// themselves: a revocation that is committed is published, however often this
// process or Redis dies before. Several instances may publish the same; a
// revocation has one text, and to the edges twice is once.
type publisher struct {
	store   *store.Store
	client  redis.UniversalClient
	stream  *revocation.Stream
	issuer  string
	now     func() time.Time
	logger  *slog.Logger
	metrics *metrics
	wakeUp  chan struct{}
	lookAt  time.Time // when Redis is asked next what it still has
}

// newPublisher gives nil where there is no Redis: nobody follows there.
func newPublisher(s *Server, redisURL string) (*publisher, error) {
	if redisURL == "" || redisURL == redisclient.Off {
		return nil, nil
	}
	client, err := redisclient.New(redisURL)
	if err != nil {
		return nil, err
	}
	p := &publisher{
		store: s.store, client: client, stream: revocation.NewStream(client, ""), issuer: s.issuer,
		now: s.now, logger: s.logger, metrics: s.metrics, wakeUp: make(chan struct{}, 1),
	}
	s.store.OnRevoke(p.wake)
	s.metrics.watch(p.backlog)
	return p, nil
}

// wake has the publisher look at once.
func (p *publisher) wake() {
	select {
	case p.wakeUp <- struct{}{}:
	default: // it is about to look anyway
	}
}

// PublishRevocations hands revocations to the edges through Redis, until ctx ends.
// Without Redis it only waits.
func (s *Server) PublishRevocations(ctx context.Context) error {
	if s.publisher == nil {
		<-ctx.Done()
		return nil
	}
	return s.publisher.run(ctx)
}

func (p *publisher) run(ctx context.Context) error {
	p.lookAt = time.Time{}
	pause := minPublishPause
	for {
		err := p.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			pause = minPublishPause
			p.rest(ctx, publishPoll, p.wakeUp)
			continue
		}
		p.complain(ctx, err)
		// Not woken: with Redis away, each revocation would try it once more.
		p.rest(ctx, pause-rand.N(pause/2), nil)
		pause = min(2*pause, maxPublishPause)
	}
}

// rest returns after the time, when woken, or when ctx ends.
func (p *publisher) rest(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-timer.C:
	}
}

func (p *publisher) since() time.Time { return p.now().Add(-revocationMatters) }

// round publishes what waits. Now and then it looks first whether Redis has lost
// what was published before.
func (p *publisher) round(ctx context.Context) error {
	if now := p.now(); !now.Before(p.lookAt) {
		if err := p.look(ctx); err != nil {
			return err
		}
		p.lookAt = now.Add(publishLook)
	}
	for {
		waiting, err := p.store.Unpublished(ctx, p.since(), publishBatch)
		if err != nil {
			return err
		}
		for _, grant := range waiting {
			if err := p.publish(ctx, grant); err != nil {
				p.lookAt = time.Time{} // it may come back without what it had
				return err
			}
		}
		if len(waiting) < publishBatch {
			return nil
		}
	}
}

func (p *publisher) publish(ctx context.Context, grant store.RevokedGrant) error {
	if err := p.stream.Revoke(ctx, p.revocationOf(grant)); err != nil {
		p.metrics.published.WithLabelValues("failed").Inc()
		return err
	}
	p.metrics.published.WithLabelValues("published").Inc()
	p.metrics.publishing.Observe(p.now().Sub(grant.At).Seconds())
	return p.store.NotePublished(ctx, grant.ID)
}

// revocationOf depends on what is in the database alone, so that it is the same text
// each time.
func (p *publisher) revocationOf(grant store.RevokedGrant) revocation.Revocation {
	return revocation.OfGrant(p.issuer, grant.ID, grant.At)
}

// look has everything published again if Redis has lost the oldest that it was given, as
// one that came back empty, or the newest, as one that was behind. The edges give back what
// they know, but those that start now know nothing.
func (p *publisher) look(ctx context.Context) error {
	ends, err := p.store.Published(ctx, p.since())
	if err != nil {
		return err
	}
	for _, end := range ends {
		holds, err := p.stream.Holds(ctx, p.revocationOf(end))
		if err != nil {
			return err
		}
		if !holds {
			return p.publishAgain(ctx)
		}
	}
	return nil
}

func (p *publisher) publishAgain(ctx context.Context) error {
	again, err := p.store.ForgetPublished(ctx, p.since())
	if err == nil {
		p.logger.Warn("Redis has lost revocations: publishing them again", "grants", again)
	}
	return err
}

func (p *publisher) complain(ctx context.Context, err error) {
	waiting, lag := p.backlog(ctx)
	p.logger.Warn("cannot publish revocations", "error", err, "waiting", waiting, "lag", lag.String())
}

// backlog says how many revocations wait and for how long the oldest does; -1 when
// the database does not answer.
func (p *publisher) backlog(ctx context.Context) (waiting int64, lag time.Duration) {
	waiting, oldest, err := p.store.Backlog(ctx, p.since())
	if err != nil {
		return -1, -1
	}
	if waiting == 0 {
		return 0, 0
	}
	return waiting, max(0, p.now().Sub(oldest))
}

func (p *publisher) close() error { return p.client.Close() }
