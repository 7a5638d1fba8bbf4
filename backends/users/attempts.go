package users

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"
)

const (
	freeFailures = 5 // wrong passwords in a row before the first pause
	firstLock    = 30 * time.Second
	longestLock  = 15 * time.Minute
	// attemptsMemory is how long a wrong password counts.
	attemptsMemory = 24 * time.Hour
	sweepInterval  = time.Hour
)

// lockAfter gives the pause after so many failures: it doubles each time, up to
// an end. Somebody who goes on guessing at each end keeps the user out all the
// same: telling the user's own browser from a stranger's is not built yet
// (docs/auditors.md says so).
func lockAfter(failures int) time.Duration {
	if failures < freeFailures {
		return 0
	}
	lock := firstLock
	for range failures - freeFailures {
		if lock *= 2; lock >= longestLock {
			return longestLock
		}
	}
	return lock
}

// unknownSubject names the attempts on a name that nobody has, by its keyed hash.
// Those lock too: else the lock would tell who has an account.
func (s store) unknownSubject(username string) string {
	return "unknown:" + hex.EncodeToString(s.keys.hashOf(username)[:16])
}

// beginAttempt counts an attempt as failed before the password is looked at, so
// that a hundred guesses at once do not all pass as the first one. A success
// takes the count back by clearAttempts. While the subject is locked nothing is
// counted, and wait says for how long it still is.
func (s store) beginAttempt(ctx context.Context, subject string, now time.Time) (wait time.Duration, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		var failures int
		var lockedUntil, lastAt int64
		// The update that changes nothing locks the row and gives it.
		err := tx.QueryRowContext(ctx, `
			INSERT INTO password_attempts (subject, failures, locked_until, last_at) VALUES ($1, 0, 0, $2)
			ON CONFLICT (subject) DO UPDATE SET failures = password_attempts.failures
			RETURNING failures, locked_until, last_at`, subject, now.UnixMicro()).Scan(&failures, &lockedUntil, &lastAt)
		if err != nil {
			return err
		}
		if wait = time.UnixMicro(lockedUntil).Sub(now); wait > 0 {
			return nil
		}
		wait = 0
		if now.Sub(time.UnixMicro(lastAt)) > attemptsMemory {
			failures = 0
		}
		failures++
		_, err = tx.ExecContext(ctx,
			"UPDATE password_attempts SET failures = $2, locked_until = $3, last_at = $4 WHERE subject = $1",
			subject, failures, now.Add(lockAfter(failures)).UnixMicro(), now.UnixMicro())
		return err
	})
	return wait, err
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// clearAttempts forgets the failures of somebody who has proved to be the user.
func clearAttempts(ctx context.Context, q execer, subject string) error {
	_, err := q.ExecContext(ctx, "DELETE FROM password_attempts WHERE subject = $1", subject)
	return err
}

// Sweep removes attempts that no longer count, now and then, until ctx ends. The
// names of strangers would pile up otherwise.
func (s *Service) Sweep(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		if err := s.store.forgetAttempts(ctx, s.now().Add(-attemptsMemory)); err != nil && ctx.Err() == nil {
			s.log.Warn("old password attempts not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (s store) forgetAttempts(ctx context.Context, before time.Time) error {
	_, err := s.db.ExecContext(ctx, "DELETE FROM password_attempts WHERE last_at < $1", before.UnixMicro())
	return err
}
