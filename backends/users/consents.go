package users

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// errAway is the answer while a service does not answer that is needed.
func errAway(cause error) error {
	return problem.New(http.StatusServiceUnavailable, "temporarily_unavailable",
		"Another service of the platform does not answer. Nothing was changed.").WithRetryAfter(time.Second).WithCause(cause)
}

// other makes an answer of another service's error.
func other(err error) error {
	if err == nil || err == errNotFound {
		return err
	}
	return errAway(err)
}

// listConsents shows a user which apps have access to what.
func (s *Service) listConsents(w http.ResponseWriter, r *http.Request) error {
	id, err := ownID(r)
	if err != nil {
		return err
	}
	if _, err := s.store.byID(r.Context(), s.store.db, id); err != nil {
		return err
	}
	consents, err := s.platform.Consents(r.Context(), id)
	if err != nil {
		return other(err)
	}
	rest.WriteTagged(w, r, struct {
		Data []Consent `json:"data"`
	}{append([]Consent{}, consents...)})
	return nil
}

// revokeConsent takes an app's access away: the tokens of that grant, refresh
// tokens too, stop working.
func (s *Service) revokeConsent(w http.ResponseWriter, r *http.Request) error {
	id, err := ownID(r)
	if err != nil {
		return err
	}
	consent := r.PathValue("consent")
	if uuid.Validate(consent) != nil {
		return errNotFound
	}
	if err := s.platform.RevokeConsent(r.Context(), id, consent); err != nil {
		return other(err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
