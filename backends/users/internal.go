package users

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/service"
)

// person is what the platform's own services see of a user.
type person struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
}

func personOf(u User) *person {
	return &person{ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email}
}

// The results of a password check.
const (
	resultOK      = "ok"
	resultRefused = "refused"
	resultLocked  = "locked"
)

// verdict is the answer to a password check.
type verdict struct {
	Result     string  `json:"result"`
	User       *person `json:"user,omitempty"`
	RetryAfter int64   `json:"retry_after,omitempty"` // seconds
}

// checkPassword answers the authorization server's POST /internal/password-checks.
func (s *Service) checkPassword(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	var in struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if p := service.ReadJSON(r, &in); p != nil {
		return p
	}
	answer, err := s.judge(r.Context(), normaliseUsername(in.Username), in.Password)
	if err != nil {
		return err
	}
	s.metrics.checked(answer.Result)
	s.log.Info("password checked", "result", answer.Result, "request_id", w.Header().Get("X-Request-Id"))
	service.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// judge does the same work for a name that nobody has as for one that somebody
// has: one look-up, one attempt counted, one hash.
func (s *Service) judge(ctx context.Context, username, password string) (verdict, error) {
	// The turn comes first: a request that is sent away as too busy must not
	// count as a wrong password.
	done, err := s.passwords.turn(ctx)
	if err != nil {
		return verdict{}, err
	}
	defer done()
	c, err := s.claimantOf(ctx, username)
	if err != nil {
		return verdict{}, err
	}
	wait, err := s.store.beginAttempt(ctx, c.subject, s.now())
	if err != nil {
		return verdict{}, err
	}
	if wait > 0 {
		return verdict{Result: resultLocked, RetryAfter: int64((wait + time.Second - 1) / time.Second)}, nil
	}
	if len(password) > maxPassword {
		password = "" // no user has one as long; hashing it would be work for nothing
	}
	matches, current, err := verifyPassword(c.hash, password)
	if err != nil {
		return verdict{}, err
	}
	if !c.known || !matches {
		return verdict{Result: resultRefused}, nil
	}
	if !current {
		if err := s.store.setPasswordHash(ctx, c.user.ID, c.hash, hashPassword(password)); err != nil {
			return verdict{}, err
		}
	}
	if err := clearAttempts(ctx, s.store.db, c.subject); err != nil {
		return verdict{}, err
	}
	return verdict{Result: resultOK, User: personOf(c.user)}, nil
}

// claimant is who somebody at the sign-in page says to be.
type claimant struct {
	known   bool
	user    User   // if known
	subject string // whom attempts are counted for
	hash    string // what the password is compared with
}

// claimantOf looks a name up. For one that nobody has, the hash is of a password
// that nobody knows, and as much work as any user's.
func (s *Service) claimantOf(ctx context.Context, username string) (claimant, error) {
	u, err := s.store.byUsername(ctx, s.store.db, username)
	if errors.Is(err, errNotFound) {
		return claimant{subject: s.store.unknownSubject(username), hash: s.passwords.decoy()}, nil
	}
	return claimant{known: true, user: u, subject: u.ID, hash: u.passwordHash}, err
}

// readForServices answers GET /internal/users/{id}.
func (s *Service) readForServices(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	u, err := s.store.byID(r.Context(), s.store.db, r.PathValue("id"))
	if err != nil {
		return err
	}
	service.WriteJSON(w, http.StatusOK, personOf(u))
	return nil
}
