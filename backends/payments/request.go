package payments

import (
	"database/sql"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// byClient tells a client's own token from a user's: with client credentials the
// client is the subject (RFC 9068 section 2.2).
func byClient(t *token.Token) bool { return t.Subject == t.ClientID }

var errClientOnly = problem.New(http.StatusForbidden, "client_token_required",
	"This operation takes a client's own token, not a user's.")

var errUserOnly = problem.New(http.StatusForbidden, "user_token_required",
	"This operation takes a user's token, not a client's own.")

// pathID gives the id that the path names. One that is not of our making is not
// found, and never reaches the database: PostgreSQL takes no NUL in a text.
func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if uuid.Validate(id) != nil {
		return "", errNotFound
	}
	return id, nil
}

// once does the work of a POST under its Idempotency-Key and answers. A retry is
// answered with the bytes of the first time. The caller's token has been checked
// before, and belongs to the fingerprint: nobody gets another user's answer.
func (s *Server) once(w http.ResponseWriter, r *http.Request, body []byte, work func(*sql.Tx) (idempotency.Response, error)) (replayed bool, err error) {
	key, refusal := idempotency.Key(r)
	if refusal != nil {
		return false, refusal
	}
	t := tokencheck.From(r.Context())
	resp, err := s.keys.Do(r.Context(), idempotency.Request{
		Client:      t.ClientID,
		Method:      r.Method,
		Route:       r.Pattern,
		Key:         key,
		Fingerprint: idempotency.Fingerprint(t.Subject, r.URL.Path, string(body)),
	}, work)
	if err != nil {
		return false, err
	}
	resp.Write(w)
	return resp.Replayed, nil
}

// post reads the body of a POST, which says itself what is wrong with it, and does the
// work once.
func post[In interface{ validate() error }](s *Server, w http.ResponseWriter, r *http.Request,
	work func(*sql.Tx, In) (idempotency.Response, error)) (replayed bool, err error) {
	var in In
	body, err := readBody(r, &in)
	if err != nil {
		return false, err
	}
	if err := in.validate(); err != nil {
		return false, err
	}
	return s.once(w, r, body, func(tx *sql.Tx) (idempotency.Response, error) { return work(tx, in) })
}

// respond makes the answer to a POST. What has no version has no tag.
func respond(status int, view any, tag, location string) (idempotency.Response, error) {
	body, err := json.Marshal(view)
	if err != nil {
		return idempotency.Response{}, err
	}
	header := http.Header{
		"Content-Type":  {"application/json"},
		"Cache-Control": {"no-store"},
	}
	if tag != "" {
		header.Set("ETag", tag)
	}
	if location != "" {
		header.Set("Location", location)
	}
	return idempotency.Response{Status: status, Header: header, Body: append(body, '\n')}, nil
}
