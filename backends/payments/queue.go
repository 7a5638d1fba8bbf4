package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/fault"
)

const (
	// jobLease is how long a payment belongs to the worker that took it: well above
	// the time of one transaction. It is what a worker that dies costs.
	jobLease = 15 * time.Second
	// jobPoll finds what other instances committed and what became due.
	jobPoll = 500 * time.Millisecond
	// workersPerProcess is how many payments one process carries out at once.
	workersPerProcess = 4
	// jobBatch is how many a process takes at a time: few, so that instances share.
	jobBatch = 2 * workersPerProcess
	// maxBackoff bounds the wait after a failure.
	maxBackoff = time.Minute
)

// job is a payment that this process holds the lease of.
type job struct {
	payment string
	attempt int64 // counts this one; also says whose lease it is
}

// workers carry out the payments that were confirmed for later. Instances share the
// work through the database.
type workers struct {
	server *Server
	wake   chan struct{}
}

func newWorkers(s *Server) *workers { return &workers{server: s, wake: make(chan struct{}, 1)} }

// enqueue leaves a payment to the workers. It commits with the payment's state;
// after the commit the caller wakes them.
func enqueue(ctx context.Context, tx *sql.Tx, payment string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO jobs (payment_id, due_at, created_at) VALUES ($1, $2, $2)`, payment, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("payments: enqueueing: %w", err)
	}
	return nil
}

// Wake makes the workers look at once.
func (w *workers) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // they are about to look anyway
	}
}

// Run works until ctx ends. What is being carried out then is finished, and what was
// taken and not begun is handed back.
func (w *workers) Run(ctx context.Context) error {
	ticker := time.NewTicker(jobPoll)
	defer ticker.Stop()
	for {
		more, err := w.round(ctx)
		if err != nil && ctx.Err() == nil {
			w.server.log.Error("payments: cannot read the queue", "error", err)
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-ticker.C:
		}
	}
}

// round takes a batch and works it off. It tells whether there may be more.
func (w *workers) round(ctx context.Context) (more bool, err error) {
	jobs, err := w.claim(ctx)
	if err != nil {
		return false, err
	}
	if len(jobs) > 0 {
		fault.At(fault.AfterClaim)
	}
	next := make(chan job)
	var working sync.WaitGroup
	for range min(workersPerProcess, len(jobs)) {
		working.Go(func() {
			for j := range next {
				// What was begun is finished, also while the service stops.
				w.work(context.WithoutCancel(ctx), j)
			}
		})
	}
	var left []job
	for i, j := range jobs {
		if ctx.Err() != nil {
			left = jobs[i:]
			break
		}
		next <- j
	}
	close(next)
	working.Wait()
	for _, j := range left {
		err = errors.Join(err, w.postpone(context.WithoutCancel(ctx), j, 0))
	}
	return len(jobs) == jobBatch, err
}

// claim takes due payments for the length of a lease.
func (w *workers) claim(ctx context.Context) (jobs []job, err error) {
	db, now, skipLocked := w.server.db, w.server.now(), ""
	if db.Dialect == database.Postgres {
		skipLocked = "FOR UPDATE SKIP LOCKED"
	}
	// Looking takes no lock: on SQLite there is one writer, who is not to be kept
	// from its work by an empty queue.
	var due bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE due_at <= $1)`, now.UnixMicro()).Scan(&due)
	if err != nil || !due {
		return nil, err
	}
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		jobs = nil
		rows, err := tx.QueryContext(ctx, `
			UPDATE jobs SET attempts = attempts + 1, due_at = $1
			WHERE payment_id IN (SELECT payment_id FROM jobs WHERE due_at <= $2 ORDER BY due_at LIMIT $3 `+skipLocked+`)
			RETURNING payment_id, attempts`, now.Add(jobLease).UnixMicro(), now.UnixMicro(), jobBatch)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var j job
			if err := rows.Scan(&j.payment, &j.attempt); err != nil {
				return err
			}
			jobs = append(jobs, j)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("payments: claiming: %w", err)
	}
	return jobs, nil
}

// work carries one payment out. A failure leaves it to be tried again, by whoever
// comes first: nothing but money that moved ends it.
func (w *workers) work(ctx context.Context, j job) {
	err := w.carryOut(ctx, j)
	if err == nil {
		return
	}
	w.server.log.Error("payments: cannot carry out", "payment", j.payment, "attempt", j.attempt, "error", err)
	// The lease alone would bring it back as well.
	if err := w.postpone(ctx, j, backoff(j.attempt)); err != nil {
		w.server.log.Error("payments: cannot hand back", "payment", j.payment, "error", err)
	}
}

// backoff doubles from a second, with jitter.
func backoff(attempt int64) time.Duration {
	delay := min(time.Second<<min(attempt-1, 10), maxBackoff)
	return delay + rand.N(delay/10+1)
}

// carryOut moves the money, notes the payment's state, tells its client and takes
// the job off the queue, all in one transaction. It can run twice, and works once:
// the state of the payment says whether there is something to do.
func (w *workers) carryOut(ctx context.Context, j job) error {
	s := w.server
	var done *payment
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		done = nil
		p, err := forUpdate(ctx, tx, s.db.Dialect, j.payment)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE payment_id = $1`, j.payment); err != nil {
			return err
		}
		if p.Status != Processing {
			return nil // another worker was here, after this one's lease had run out
		}
		now := s.now()
		if err := carryOut(ctx, tx, &p, now); err != nil {
			return err
		}
		if err := s.save(ctx, tx, &p, changed{}, now); err != nil {
			return err
		}
		done = &p
		fault.At(fault.BeforeWorkCommit)
		return nil
	})
	if err != nil || done == nil {
		return err
	}
	fault.At(fault.AfterWorkCommit)
	s.dispatcher.Wake()
	s.metrics.settled(*done)
	return nil
}

// postpone hands a job back, to be due after a while, unless somebody else has it.
func (w *workers) postpone(ctx context.Context, j job, after time.Duration) error {
	return w.server.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET due_at = $1 WHERE payment_id = $2 AND attempts = $3`,
			w.server.now().Add(after).UnixMicro(), j.payment, j.attempt)
		return err
	})
}

// backlog gives how many payments wait for a worker, and for how long the oldest does.
func backlog(ctx context.Context, db *database.DB, now time.Time) (waiting int64, age time.Duration, err error) {
	var oldest sql.NullInt64
	err = db.QueryRowContext(ctx, `SELECT count(*), MIN(created_at) FROM jobs`).Scan(&waiting, &oldest)
	if err == nil && oldest.Valid {
		age = max(0, now.Sub(time.UnixMicro(oldest.Int64)))
	}
	return waiting, age, err
}
