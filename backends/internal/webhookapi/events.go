package webhookapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// eventView is an event as the API shows it: what the webhook said, under its id.
type eventView struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Subject   string          `json:"subject"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
	// Deliveries are left out of lists.
	Deliveries *[]deliveryView `json:"deliveries,omitempty"`
}

// deliveryView says what became of an event at one endpoint.
type deliveryView struct {
	EndpointID    string     `json:"endpoint_id"`
	State         string     `json:"state"`
	Attempts      int64      `json:"attempts"`
	LastStatus    int64      `json:"last_status,omitempty"`
	LastError     string     `json:"last_error,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	FinishedAt    *time.Time `json:"finished_at,omitempty"`
}

func viewOfEvent(e outbox.Told) eventView {
	return eventView{ID: e.ID, Type: e.Type, Subject: e.Subject, Timestamp: e.CreatedAt, Data: e.Data}
}

func viewOfDelivery(d outbox.Delivery) deliveryView {
	v := deliveryView{EndpointID: d.Endpoint, State: d.State, Attempts: d.Attempts, LastStatus: d.LastStatus, LastError: d.LastError}
	if d.FinishedAt.IsZero() {
		v.NextAttemptAt = &d.Due
	} else {
		v.FinishedAt = &d.FinishedAt
	}
	return v
}

// feedView is a page of the feed. Unlike in other lists there is always a cursor
// once there was an event: the reader comes back with it for what happens next.
type feedView struct {
	Data       []eventView `json:"data"`
	NextCursor string      `json:"next_cursor,omitempty"`
	HasMore    bool        `json:"has_more"`
}

var typePattern = regexp.MustCompile(`^[a-z_]{1,40}(\.[a-z_]{1,40})*$`)

// readFilter reads the query parameters type and subject.
func readFilter(r *http.Request) (outbox.Filter, error) {
	query := r.URL.Query()
	filter := outbox.Filter{Type: query.Get("type"), Subject: query.Get("subject")}
	var wrong []problem.FieldError
	if filter.Type != "" && !typePattern.MatchString(filter.Type) {
		wrong = append(wrong, problem.FieldError{Pointer: "type", Detail: "must be a type of event, such as payment.succeeded"})
	}
	if filter.Subject != "" && uuid.Validate(filter.Subject) != nil {
		wrong = append(wrong, problem.FieldError{Pointer: "subject", Detail: "must be the id of a payment"})
	}
	if len(wrong) > 0 {
		return filter, problem.New(http.StatusBadRequest, "invalid_parameter", "A query parameter is not valid.").WithErrors(wrong...)
	}
	return filter, nil
}

// listEvents is the feed, oldest first, for who was not told or wants to be sure.
func (s *server) listEvents(w http.ResponseWriter, r *http.Request, client string) error {
	page, err := rest.ReadPage(r)
	if err != nil {
		return err
	}
	filter, err := readFilter(r)
	if err != nil {
		return err
	}
	events, err := s.feed.List(r.Context(), client, page.After, filter, page.Limit+1)
	if err != nil {
		return err
	}
	v := feedView{Data: []eventView{}, NextCursor: r.URL.Query().Get("cursor"), HasMore: len(events) > page.Limit}
	for _, e := range events[:min(len(events), page.Limit)] {
		v.Data = append(v.Data, viewOfEvent(e))
		id := uuid.MustParse(e.ID) // the ids are our own
		v.NextCursor = base64.RawURLEncoding.EncodeToString(id[:])
	}
	rest.WriteTagged(w, r, v)
	return nil
}

func (s *server) readEvent(w http.ResponseWriter, r *http.Request, client string) error {
	v, err := s.event(r, client)
	if err != nil {
		return err
	}
	rest.WriteTagged(w, r, v)
	return nil
}

func (s *server) event(r *http.Request, client string) (eventView, error) {
	id, err := pathID(r)
	if err != nil {
		return eventView{}, err
	}
	e, deliveries, err := s.feed.Get(r.Context(), client, id)
	if err != nil {
		return eventView{}, err
	}
	v, views := viewOfEvent(e), make([]deliveryView, len(deliveries))
	for i, d := range deliveries {
		views[i] = viewOfDelivery(d)
	}
	v.Deliveries = &views
	return v, nil
}

// redeliver sends an event again, under its own id. The body is optional.
func (s *server) redeliver(w http.ResponseWriter, r *http.Request, client string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var in struct {
		Endpoint *string `json:"endpoint_id"`
	}
	if p := readOptional(r, &in); p != nil {
		return p
	}
	endpoint := ""
	if in.Endpoint != nil {
		var wrong rest.Faults
		if endpoint = *in.Endpoint; uuid.Validate(endpoint) != nil {
			wrong.Add("/endpoint_id", "must be the id of an endpoint")
		}
		if err := wrong.Err(); err != nil {
			return err
		}
	}
	if err := s.feed.Redeliver(r.Context(), client, id, endpoint); err != nil {
		return err
	}
	v, err := s.event(r, client)
	if err != nil {
		return err
	}
	s.wake()
	w.Header().Set("Location", "/api/events/"+id)
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, http.StatusAccepted, v)
	return nil
}
