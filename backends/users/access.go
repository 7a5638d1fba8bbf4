package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// noteEnding leaves it to be done that the user's apps and browsers lose access. It
// commits with the new password: no crash comes between the two.
func (s store) noteEnding(ctx context.Context, tx *sql.Tx, user string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO access_endings (user_id, since) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET since = excluded.since`,
		user, now.UnixMicro())
	return err
}

// ending is a user whose access is to end.
type ending struct {
	user  string
	since int64
}

// endings gives those that wait, the oldest first.
func (s store) endings(ctx context.Context) (list []ending, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT user_id, since FROM access_endings ORDER BY since LIMIT $1`, closeBatch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e ending
		if err := rows.Scan(&e.user, &e.since); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// endAccess revokes everything that the user has granted. One that was noted again
// meanwhile is done again.
func (s *Service) endAccess(ctx context.Context, e ending) error {
	if err := s.platform.RevokeAll(ctx, e.user); err != nil {
		return err
	}
	_, err := s.store.db.ExecContext(ctx, `DELETE FROM access_endings WHERE user_id = $1 AND since <= $2`, e.user, e.since)
	return err
}

// finishEndings does what changes of passwords have left to be done.
func (s *Service) finishEndings(ctx context.Context) error {
	list, err := s.store.endings(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, e := range list {
		if err := s.endAccess(ctx, e); err != nil {
			failed = errors.Join(failed, fmt.Errorf("ending the access of %s: %w", e.user, err))
		}
	}
	return failed
}
