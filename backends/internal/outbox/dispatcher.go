package outbox

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/fault"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/webhook"
)

const (
	// lease is how long a delivery belongs to the worker that took it: well above
	// the time of one try, since a lease that runs out means a second one.
	lease = time.Minute
	// poll finds what other instances committed and what became due.
	poll = time.Second
	// minPause is how long an endpoint that said 429 or 503 is left alone at least.
	minPause = 30 * time.Second
	// keyPause is how long an endpoint is left alone whose secret does not open.
	keyPause = 15 * time.Second
)

// Schedule is the published schedule: the time from each try to the next. When
// it has run out, the delivery has failed.
var Schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Config is what a Dispatcher is made of.
type Config struct {
	DB     *database.DB
	Vault  *vault.Vault // opens the endpoints' secrets
	Sender *webhook.Sender
	Logger *slog.Logger
	// Schedule is Schedule when nil.
	Schedule []time.Duration
	// Now is the clock of the machine when nil.
	Now func() time.Time
	// Tried is called after each try with delivered, refused, gone, busy or
	// unreachable, and with unsigned where there was none because the endpoint's
	// secret does not open. Nil is nothing.
	Tried func(result string)
}

// Dispatcher carries events to endpoints. Several instances share the work
// through the database.
type Dispatcher struct {
	Config
	queue *queue
	wake  chan struct{}
	tries sync.WaitGroup
	// sealed is when to look again at endpoints whose secret did not open. It
	// belongs to the goroutine of Run.
	sealed map[string]time.Time

	share *share
}

// NewDispatcher makes a dispatcher. Run starts it.
func NewDispatcher(cfg Config) *Dispatcher {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Schedule == nil {
		cfg.Schedule = Schedule
	}
	if cfg.Tried == nil {
		cfg.Tried = func(string) {}
	}
	return &Dispatcher{
		Config: cfg,
		queue:  &queue{db: cfg.DB, now: cfg.Now},
		wake:   make(chan struct{}, 1),
		sealed: make(map[string]time.Time),
		share:  newShare(),
	}
}

// Wake makes the dispatcher look at once: called after the commit of an event.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// Run works until ctx ends, and then lets the tries under way finish.
func (d *Dispatcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	defer d.tries.Wait()
	for {
		if err := d.dispatch(ctx); err != nil && ctx.Err() == nil {
			d.Logger.Error("webhooks: cannot read the queue", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-ticker.C:
		}
	}
}

// dispatch gives new events their places in the feed, and starts as many tries as
// the bounds allow.
func (d *Dispatcher) dispatch(ctx context.Context) error {
	more, err := place(ctx, d.DB)
	if err != nil {
		return err
	}
	if more {
		d.Wake()
	}
	targets, err := d.queue.due(ctx)
	if err != nil {
		return err
	}
	// When there is more than the bounds allow, chance decides: no order of endpoints
	// may let the first ones starve the others.
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	for _, t := range targets {
		free := d.share.free(t.id)
		if free == 0 {
			continue
		}
		// Before anything is claimed: a claim counts as a try, and with the wrong
		// key file every delivery would use up its tries without being sent.
		secrets, ok := d.secretsOf(t)
		if !ok {
			continue
		}
		jobs, err := d.queue.claim(ctx, t.id, free)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			d.start(ctx, t, secrets, j)
		}
	}
	return nil
}

// secretsOf opens an endpoint's secrets. One that does not open is tried again
// after a pause, or whoever wakes the dispatcher would fill the log.
func (d *Dispatcher) secretsOf(t target) (secrets [][]byte, ok bool) {
	if d.Now().Before(d.sealed[t.id]) {
		return nil, false
	}
	for _, sealed := range t.secrets {
		secret, err := d.Vault.Open(t.id, sealed)
		if err != nil {
			d.sealed[t.id] = d.Now().Add(keyPause)
			d.Tried("unsigned")
			d.Logger.Error("webhooks: cannot sign: is this the right key file?", "endpoint", t.id, "error", err)
			return nil, false
		}
		secrets = append(secrets, secret)
	}
	delete(d.sealed, t.id)
	return secrets, true
}

func (d *Dispatcher) start(ctx context.Context, t target, secrets [][]byte, j job) {
	done := d.share.take(t.id)
	d.tries.Go(func() {
		// What was begun is finished and noted, also while the service stops: the
		// sender's own timeout bounds it.
		done(d.try(context.WithoutCancel(ctx), t, secrets, j))
		d.Wake()
	})
}

// try makes one try, notes it, and tells whether the endpoint took the event.
func (d *Dispatcher) try(ctx context.Context, t target, secrets [][]byte, j job) (delivered bool) {
	log := d.Logger.With("event", j.event, "endpoint", t.id, "attempt", j.attempt)
	outcome := d.Sender.Send(ctx, webhook.Message{URL: t.url, ID: j.event, Secrets: secrets, Body: j.payload})
	if outcome.Delivered() {
		fault.At(fault.AfterSend)
	}
	r := d.judge(j, outcome)
	if err := d.queue.note(ctx, t.id, j, r); err != nil {
		log.Error("webhooks: cannot note a try", "error", err)
	}
	d.Tried(word(outcome))
	log.Info("webhook", "state", r.state, "status", outcome.Status, "error", r.err)
	return outcome.Delivered()
}

// judge decides what a try means for its delivery and endpoint.
func (d *Dispatcher) judge(j job, o webhook.Outcome) result {
	now := d.Now()
	r := result{state: "pending", due: now, status: o.Status, gone: o.Gone()}
	if o.Err != nil {
		r.err = o.Err.Error()
	}
	if o.Delivered() {
		r.state = "delivered"
		return r
	}
	if o.Gone() || j.attempt > int64(len(d.Schedule)) {
		r.state = "failed"
		return r
	}
	delay := d.Schedule[j.attempt-1]
	// Up to a tenth later, so that what failed together does not come back together.
	delay += rand.N(delay/10 + 1)
	if o.Busy() {
		rest := max(minPause, o.RetryAfter)
		r.pauseUntil = now.Add(rest)
		delay = max(delay, rest)
	}
	r.due = now.Add(delay)
	return r
}

// word names an outcome for metrics.
func word(o webhook.Outcome) string {
	switch {
	case o.Delivered():
		return "delivered"
	case o.Gone():
		return "gone"
	case o.Busy():
		return "busy"
	case o.Err != nil:
		return "unreachable"
	}
	return "refused"
}
