package users

import (
	"net/http"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// changePassword takes a new password from somebody who knows the old one. Wrong
// ones count like those of the sign-in page: a stolen token does not let anybody guess.
func (s *Service) changePassword(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	id, err := ownID(r)
	if err != nil {
		return err
	}
	var in struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
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
	done, err := s.passwords.turn(r.Context())
	if err != nil {
		return err
	}
	defer done()
	if err := s.prove(r, u, in.Current); err != nil {
		return err
	}
	hash := hashPassword(in.New)
	if _, err := s.store.change(r.Context(), id, s.now(), func(now *User) error {
		if now.passwordHash != u.passwordHash {
			return rest.Stale() // another change came first
		}
		now.passwordHash = hash
		return nil
	}); err != nil {
		return err
	}
	if err := s.store.clearAttempts(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
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
