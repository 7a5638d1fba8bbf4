package revocation

import (
	"context"
	"errors"
	"time"

	"github.com/open-tollgate/tollgate/internal/token"
)

// defaultSize takes about 40 MB when it is full.
const defaultSize = 1 << 18

// grace is how much longer than said a revocation is kept: issuers are granted a
// minute on "exp", and clocks disagree.
const grace = 2 * time.Minute

// ErrFull says that there is no room for another revocation. To forget one that
// withdraws tokens which are still valid is no alternative.
var ErrFull = errors.New("revocation memory is full")

// Memory holds the revocations that this process knows. Alone, it is all there is
// where one process does everything; else a Follower fills it.
type Memory struct {
	now   func() time.Time
	limit int // of a shard

	tokens, grants, subjects table
}

// NewMemory makes a memory of at most about size revocations of each kind, 262144
// when size is zero or less; now is the clock, time.Now when nil.
func NewMemory(size int, now func() time.Time) *Memory {
	if size <= 0 {
		size = defaultSize
	}
	if now == nil {
		now = time.Now
	}
	m := &Memory{now: now, limit: (size + shards - 1) / shards}
	m.tokens.init()
	m.grants.init()
	m.subjects.init()
	return m
}

// Revoke implements Publisher.
func (m *Memory) Revoke(_ context.Context, r Revocation) error {
	if err := r.check(); err != nil {
		return err
	}
	now := m.now()
	until := r.Until.Add(grace)
	if !now.Before(until) {
		return nil // what it withdraws has expired
	}
	into, n := m.place(r)
	if !into.add(n, entry{before: millis(r.Before), until: until.UnixMilli()}, now.UnixMilli(), m.limit) {
		return ErrFull
	}
	return nil
}

func (m *Memory) place(r Revocation) (*table, name) {
	switch {
	case r.TokenID != "":
		return &m.tokens, name{r.Issuer, r.TokenID}
	case r.GrantID != "":
		return &m.grants, name{r.Issuer, r.GrantID}
	default:
		return &m.subjects, name{r.Issuer, r.Subject}
	}
}

// Revoked implements token.Revocations.
func (m *Memory) Revoked(t *token.Token, _ time.Time) (bool, error) {
	return m.covers(t), nil
}

func (m *Memory) covers(t *token.Token) bool {
	return m.tokens.covers(t.Issuer, t.ID, t.IssuedAt) ||
		m.grants.covers(t.Issuer, t.GrantID, t.IssuedAt) ||
		m.subjects.covers(t.Issuer, t.Subject, t.IssuedAt)
}

// Len is how many revocations are held, among them some that have ended.
func (m *Memory) Len() int {
	return int(m.tokens.count.Load() + m.grants.count.Load() + m.subjects.count.Load())
}

// all gives what has not ended.
func (m *Memory) all() []Revocation {
	var list []Revocation
	collect := func(t *table, revocation func(name) Revocation) {
		t.each(m.now().UnixMilli(), func(n name, e entry) {
			r := revocation(n)
			r.Issuer, r.Before, r.Until = n.issuer, fromMillis(e.before), time.UnixMilli(e.until).Add(-grace)
			list = append(list, r)
		})
	}
	collect(&m.tokens, func(n name) Revocation { return Revocation{TokenID: n.id} })
	collect(&m.grants, func(n name) Revocation { return Revocation{GrantID: n.id} })
	collect(&m.subjects, func(n name) Revocation { return Revocation{Subject: n.id} })
	return list
}
