package auth

import (
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
)

const (
	maxForm      = 64 << 10
	maxParameter = 16 << 10
)

// machine stands in front of the endpoints that clients call: it judges the
// request as a whole, lets the library answer, and puts that answer into the
// words of the RFCs.
func (s *Server) machine(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{path: path}
		if err := s.admit(w, r, c); err != nil {
			s.logRefusal(r.Context(), c, err)
			explain(err).write(w)
			return
		}
		answer := newAnswer()
		s.library.ServeHTTP(answer, withCall(r, c))
		if answer.status < http.StatusBadRequest {
			answer.copyTo(w)
			return
		}
		s.speak(w, c, answer)
	})
}

// admit reads the form and refuses what the library lets through.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := readForm(w, r, c); err != nil {
		return err
	}
	if err := readCredentials(r, c, s.issuer); err != nil {
		return err
	}
	if err := checkProof(r.Header); err != nil {
		return err
	}
	return readParameters(c)
}

// readForm takes one form with each parameter once (RFC 6749 section 3.2); of two
// values the library would take the first, and somebody else may take the other.
func readForm(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method != http.MethodPost {
		return errMethod
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return refusal.New(goidc.ErrorCodeInvalidRequest, "The body must be application/x-www-form-urlencoded.")
	}
	if r.URL.RawQuery != "" {
		return refusal.New(goidc.ErrorCodeInvalidRequest, "Parameters belong into the body, not into the URL.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return refusal.New(goidc.ErrorCodeInvalidRequest, "The body is not a well-formed form, or too large.")
	}
	c.form = r.PostForm
	return checkParameters(c.form)
}

func checkParameters(form url.Values) error {
	for name, values := range form {
		if len(values) != 1 {
			return refusal.New(goidc.ErrorCodeInvalidRequest, "A parameter is there more than once.")
		}
		if len(values[0]) > maxParameter || !utf8.ValidString(values[0]) || !utf8.ValidString(name) ||
			strings.ContainsRune(values[0], 0) {
			return refusal.New(goidc.ErrorCodeInvalidRequest, "A parameter is too long, or not text in UTF-8.")
		}
	}
	return nil
}

// readParameters parses what the library drops in silence when it is malformed.
func readParameters(c *call) error {
	if raw, present := c.form["authorization_details"]; present {
		details, err := parseDetailsParameter(raw[0])
		if err != nil {
			return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "authorization_details: "+err.Error()+".")
		}
		c.details = details
	}
	if raw, present := c.form["max_age"]; present {
		if n, err := strconv.Atoi(raw[0]); err != nil || n < 0 {
			return refusal.New(goidc.ErrorCodeInvalidRequest, "max_age is not a number of seconds.")
		}
	}
	return nil
}
