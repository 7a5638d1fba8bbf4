package store

import (
	"context"
	"errors"
	"time"

	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// ErrReplayed is a jti that was used before.
var ErrReplayed = errors.New("the jti was used before")

// What a jti belongs to. An assertion's and a proof's may be equal by chance.
const (
	Assertion vault.Purpose = "client-assertion"
	Proof     vault.Purpose = "dpop-proof"
)

// ConsumeJTI remembers the jti of a client, or fails with ErrReplayed.
func (s *Store) ConsumeJTI(ctx context.Context, of vault.Purpose, clientID, jti string, keep time.Duration) error {
	_, err := s.write(ctx, `INSERT INTO jtis (hash, expires_at) VALUES ($1, $2)`,
		s.vault.Hash(of, clientID, jti), s.now().Add(keep).UnixMicro())
	if database.IsUnique(err) {
		return ErrReplayed
	}
	return unavailable(err)
}
