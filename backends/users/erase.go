package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

const (
	// DefaultCloseAfter is how long an account is being closed: longer than any
	// access token lives that was issued before, so that when it ends, nothing can
	// move the user's money any more.
	DefaultCloseAfter = 70 * time.Minute
	closeEvery        = 15 * time.Second
	closeBatch        = 100
)

// refusal says what to do about the money that keeps a user from being erased.
func (m Money) refusal() error {
	detail := "A payment of the user is not at its end. Wait until it has succeeded, or was canceled or rejected; then close the account."
	if m.Balance {
		detail = "An account of the user holds money, or money is held there. Spend it, until every balance is zero; then close the account."
	}
	return problem.New(http.StatusConflict, "money_open", detail)
}

// closeAccount begins to erase a user. Nobody can sign in from now on, and every
// app loses access; the data goes when no token of before is valid any more, and
// if there is still no money open. The user's accounts are closed in the same step:
// money that came in later would be nobody's. The ledger keeps its rows: they hold the
// user's id, which leads to nobody then.
func (s *Service) closeAccount(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	id, err := ownID(r)
	if err != nil {
		return err
	}
	if _, err := s.store.byID(r.Context(), s.store.db, id); err != nil {
		return err
	}
	open, err := s.platform.MoneyOpen(r.Context(), id)
	if err != nil {
		return errAway(err)
	}
	if open.Open {
		s.metrics.closed("refused")
		return open.refusal()
	}
	if err := s.store.beginClosing(r.Context(), id, s.now()); err != nil {
		return err
	}
	// The work that follows has begun with what is written: if this fails, the next
	// round of finishClosings revokes.
	if err := s.platform.RevokeAll(r.Context(), id); err != nil {
		s.log.Warn("grants of an account that is being closed are not revoked yet", "error", err)
	}
	service.WriteJSON(w, http.StatusAccepted, map[string]string{"status": "closing"})
	return nil
}

// Finish ends what closings and changes of passwords began, now and then, until ctx ends.
func (s *Service) Finish(ctx context.Context) error {
	ticker := time.NewTicker(closeEvery)
	defer ticker.Stop()
	for {
		// The next round tries again.
		if err := s.finishClosings(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("accounts not closed yet", "error", err)
		}
		if err := s.finishEndings(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("access not ended yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (s *Service) finishClosings(ctx context.Context) error {
	ids, err := s.store.closing(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, c := range ids {
		if err := s.finishClosing(ctx, c); err != nil {
			failed = errors.Join(failed, fmt.Errorf("closing %s: %w", c.id, err))
		}
	}
	return failed
}

func (s *Service) finishClosing(ctx context.Context, c closing) error {
	// Again each time: one that was granted from a page that was open counts too.
	if err := s.platform.RevokeAll(ctx, c.id); err != nil {
		return err
	}
	if s.now().Before(c.since.Add(s.closeAfter)) {
		return nil
	}
	// From here on nothing comes in any more. If what follows fails, the next round
	// finds the accounts closed and goes on.
	open, err := s.platform.CloseAccounts(ctx, c.id)
	if err != nil {
		return err
	}
	if open.Open {
		s.metrics.closed("reopened")
		s.log.Warn("an account stays: money came in while it was being closed", "user", c.id)
		return s.store.reopen(ctx, c.id, s.now())
	}
	if err := s.store.erase(ctx, c.id, s.now()); err != nil {
		return err
	}
	s.metrics.closed("erased")
	s.log.Info("user erased")
	return nil
}

// closing is a user whose account is being closed.
type closing struct {
	id    string
	since time.Time
}

func (s store) beginClosing(ctx context.Context, id string, now time.Time) error {
	_, err := s.db.ExecContext(ctx,
		`UPDATE users SET state = 'closing', version = version + 1, updated_at = $2 WHERE id = $1 AND state = 'active'`, id, now.UnixMicro())
	return err
}

func (s store) closing(ctx context.Context) (list []closing, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, updated_at FROM users WHERE state = 'closing' ORDER BY updated_at LIMIT $1`, closeBatch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c closing
		var since int64
		if err := rows.Scan(&c.id, &since); err != nil {
			return nil, err
		}
		c.since = time.UnixMicro(since)
		list = append(list, c)
	}
	return list, rows.Err()
}

func (s store) reopen(ctx context.Context, id string, now time.Time) error {
	_, err := s.db.ExecContext(ctx,
		`UPDATE users SET state = 'active', version = version + 1, updated_at = $2 WHERE id = $1 AND state = 'closing'`, id, now.UnixMicro())
	return err
}

// erase destroys the user's key, with which what backups hold of the user is lost
// too, and everything personal. The id stays taken.
func (s store) erase(ctx context.Context, id string, now time.Time) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE users SET state = 'erased', key = NULL, username_index = NULL, username = NULL, name = NULL, email = NULL, phone = NULL,
				locale = '', password_hash = '', version = version + 1, updated_at = $2
			WHERE id = $1 AND state = 'closing'`, id, now.UnixMicro())
		if err != nil {
			return err
		}
		return clearAttempts(ctx, tx, id)
	})
}
