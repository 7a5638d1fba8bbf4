package users

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// changePassword takes a new password from somebody who knows the old one. Wrong
// ones count like those of the sign-in page: a stolen token does not let anybody guess.
//
// All apps lose access, the one that asks too, and all browsers are signed out: whoever
// had the old password may have signed in. Only the user can say that they have not.
func (s *Service) changePassword(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	id, err := ownID(r)
	if err != nil {
		return err
	}
	var in struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
		Keep    bool   `json:"keep_access"`
	}
	if p := service.ReadJSON(r, &in); p != nil {
		return p
	}
	u, err := s.store.byID(r.Context(), s.store.db, id)
	if err != nil {
		return err
	}
	var wrong rest.Faults
	wrong.Add("/new_password", checkPassword(in.New, u.Username))
	if err := wrong.Err(); err != nil {
		return err
	}
	hash, err := s.proveAndHash(r, u, in.Current, in.New)
	if err != nil {
		return err
	}
	now := s.now()
	if err := s.storePassword(r.Context(), u, hash, in.Keep, now); err != nil {
		return err
	}
	if !in.Keep {
		if err := s.endAccess(r.Context(), ending{id, now.UnixMicro()}); err != nil {
			s.log.Warn("the access of apps has not ended yet", "error", err, "request_id", w.Header().Get("X-Request-Id"))
			service.WriteJSON(w, http.StatusAccepted, map[string]string{"status": "ending_access"})
			return nil
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// proveAndHash hashes a new password for who knows the current one. Its turn ends with it:
// what follows waits for another service, and must not keep others from signing in.
func (s *Service) proveAndHash(r *http.Request, u User, current, fresh string) (hash string, err error) {
	done, err := s.passwords.turn(r.Context())
	if err != nil {
		return "", err
	}
	defer done()
	if err := s.prove(r, u, current); err != nil {
		return "", err
	}
	return hashPassword(fresh), nil
}

// storePassword replaces the hash that was proved, forgets the failures before it, and
// notes what is to follow.
func (s *Service) storePassword(ctx context.Context, u User, hash string, keepAccess bool, now time.Time) error {
	return s.store.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := s.store.changeIn(ctx, tx, u.ID, now, func(stored *User) error {
			if stored.passwordHash != u.passwordHash {
				return rest.Stale() // another change came first
			}
			stored.passwordHash = hash
			return nil
		})
		if err != nil {
			return err
		}
		if err := clearAttempts(ctx, tx, u.ID); err != nil || keepAccess {
			return err
		}
		return s.store.noteEnding(ctx, tx, u.ID, now)
	})
}

// prove refuses who does not know the user's password. The caller holds a turn.
func (s *Service) prove(r *http.Request, u User, password string) error {
	wait, err := s.store.beginAttempt(r.Context(), u.ID, s.now())
	if err != nil {
		return err
	}
	if wait > 0 {
		return problem.New(http.StatusTooManyRequests, "too_many_attempts", "Too many wrong passwords. Wait before you try again.").
			WithRetryAfter(wait)
	}
	if len(password) > maxPassword {
		password = "" // no user has one as long; hashing it would be work for nothing
	}
	matches, _, err := verifyPassword(u.passwordHash, password)
	if err != nil {
		return err
	}
	if !matches {
		return problem.New(http.StatusForbidden, "wrong_password", "The current password is another one.").
			WithErrors(problem.FieldError{Pointer: "/current_password", Detail: "is not the user's"})
	}
	return nil
}
