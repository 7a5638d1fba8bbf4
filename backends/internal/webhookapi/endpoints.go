package webhookapi

import (
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

const (
	maxURL = 2048 // bytes
	// defaultOverlap is how long a secret goes on signing after a rotation, unless
	// the client says otherwise; maxOverlap is the longest that he can say.
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 7 * 24 * time.Hour
)

// endpointView is an endpoint as the API shows it.
type endpointView struct {
	ID             string `json:"id"`
	URL            string `json:"url"`
	Enabled        bool   `json:"enabled"`
	DisabledReason string `json:"disabled_reason,omitempty"`
	// Secret is shown once: when it is made.
	Secret string `json:"secret,omitempty"`
	// OldSecretsExpireAt is told with a new secret.
	OldSecretsExpireAt *time.Time `json:"old_secrets_expire_at,omitempty"`
	CreatedAt          time.Time  `json:"created_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
}

func viewOf(e outbox.Registration) endpointView {
	return endpointView{
		ID: e.ID, URL: e.URL, Enabled: e.Enabled(), DisabledReason: e.DisabledReason, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
}

// badURL says what is wrong with an endpoint's URL.
func (s *server) badURL(raw string) string {
	if len(raw) > maxURL || !utf8.ValidString(raw) {
		return fmt.Sprintf("must have at most %d bytes", maxURL)
	}
	if err := s.checkURL(raw); err != nil {
		return err.Error()
	}
	return ""
}

// create adds an endpoint. There is no Idempotency-Key: to repeat the answer, the
// secret would have to be kept in clear. A URL is taken once, so that a retry adds
// nothing; whoever missed the secret rotates it.
func (s *server) create(w http.ResponseWriter, r *http.Request, client string) error {
	var in struct {
		URL string `json:"url"`
	}
	if p := service.ReadJSON(r, &in); p != nil {
		return p
	}
	var wrong rest.Faults
	wrong.Add("/url", s.badURL(in.URL))
	if err := wrong.Err(); err != nil {
		return err
	}
	e, secret, err := s.endpoints.Add(r.Context(), client, in.URL)
	if err != nil {
		return err
	}
	v := viewOf(e)
	v.Secret = secret
	w.Header().Set("Location", "/api/webhook-endpoints/"+e.ID)
	writeSecret(w, http.StatusCreated, e, v)
	return nil
}

// writeSecret answers with a secret: nobody on the way may keep it.
func writeSecret(w http.ResponseWriter, status int, e outbox.Registration, v endpointView) {
	w.Header().Set("ETag", rest.VersionTag(e.Version))
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, status, v)
}

func (s *server) list(w http.ResponseWriter, r *http.Request, client string) error {
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	found, err := s.endpoints.List(r.Context(), client, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	views := make([]endpointView, len(found))
	for i, e := range found {
		views[i] = viewOf(e)
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, func(v endpointView) string { return v.ID }))
	return nil
}

func (s *server) read(w http.ResponseWriter, r *http.Request, client string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	e, err := s.endpoints.Get(r.Context(), client, id)
	if err != nil {
		return err
	}
	if rest.NotModified(w, r, rest.VersionTag(e.Version)) {
		return nil
	}
	service.WriteJSON(w, http.StatusOK, viewOf(e))
	return nil
}

func (s *server) change(w http.ResponseWriter, r *http.Request, client string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in struct {
		URL     *string `json:"url"`
		Enabled *bool   `json:"enabled"`
	}
	if p := service.ReadJSON(r, &in, "application/merge-patch+json"); p != nil {
		return p
	}
	var wrong rest.Faults
	if in.URL != nil {
		wrong.Add("/url", s.badURL(*in.URL))
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	e, err := s.endpoints.Update(r.Context(), client, id, outbox.Change{URL: in.URL, Enabled: in.Enabled},
		func(e outbox.Registration) error { return rest.CheckIfMatch(r, e.Version) })
	if err != nil {
		return err
	}
	s.wake()
	rest.SetValidators(w.Header(), rest.VersionTag(e.Version))
	service.WriteJSON(w, http.StatusOK, viewOf(e))
	return nil
}

func (s *server) remove(w http.ResponseWriter, r *http.Request, client string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.endpoints.Remove(r.Context(), client, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// rotate gives an endpoint a new secret. The body is optional.
func (s *server) rotate(w http.ResponseWriter, r *http.Request, client string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	overlap := int64(defaultOverlap / time.Second)
	in := struct {
		Overlap *int64 `json:"overlap_seconds"`
	}{&overlap}
	if p := readOptional(r, &in); p != nil {
		return p
	}
	var wrong rest.Faults
	if in.Overlap == nil || *in.Overlap < 0 || *in.Overlap > int64(maxOverlap/time.Second) {
		wrong.Add("/overlap_seconds", fmt.Sprintf("must be from 0 to %d", int64(maxOverlap/time.Second)))
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	e, secret, err := s.endpoints.Rotate(r.Context(), client, id, time.Duration(*in.Overlap)*time.Second)
	if err != nil {
		return err
	}
	v := viewOf(e)
	end := e.UpdatedAt.Add(time.Duration(*in.Overlap) * time.Second)
	v.Secret, v.OldSecretsExpireAt = secret, &end
	writeSecret(w, http.StatusOK, e, v)
	return nil
}

// readOptional reads a body that may be left out.
func readOptional(r *http.Request, v any) *problem.Problem {
	if r.ContentLength == 0 {
		return nil
	}
	return service.ReadJSON(r, v)
}
