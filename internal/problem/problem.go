// Package problem holds every refusal that Tollgate speaks: RFC 9457 problem
// details with a stable type, and the challenges of RFC 6750 and RFC 9449.
package problem

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of a problem details object (RFC 9457 section 3).
const ContentType = "application/problem+json"

// typePrefix makes a stable type of a code. The codes are documented in
// docs/errors.md; a type is an identifier, not a page to fetch.
const typePrefix = "urn:tollgate:problem:"

// Problem is a refusal. It is an error, so that a handler can return it, and it
// carries the headers that its RFC asks for.
type Problem struct {
	Type   string // absolute URI; made from Code when empty
	Code   string // short, stable, machine-readable: "insufficient_scope"
	Title  string // the same words for each problem of a type
	Status int
	Detail string // what happened here; never text of the request, never a secret
	Errors []FieldError
	// Extra holds further members, such as "violated-policies".
	Extra map[string]any
	// Header holds header fields that belong to the answer: WWW-Authenticate, Retry-After, Allow.
	Header http.Header
	// Reason is a word of a fixed vocabulary for metrics and logs.
	Reason string
	// Cause is for the log only; it never reaches the caller.
	Cause error
}

// FieldError says which part of a request body is wrong: Pointer is a JSON
// pointer (RFC 6901), or the name of a header or query parameter.
type FieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// New makes a problem whose title is the status text.
func New(status int, code, detail string) *Problem {
	return &Problem{Code: code, Title: http.StatusText(status), Status: status, Detail: detail, Reason: code}
}

// Error gives the code, the detail and the cause: for logs.
func (p *Problem) Error() string {
	s := p.Code
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.Cause != nil {
		s += ": " + p.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// WithHeader gives a copy that also carries the header field.
func (p *Problem) WithHeader(name, value string) *Problem {
	c := *p
	c.Header = p.Header.Clone()
	if c.Header == nil {
		c.Header = make(http.Header, 1)
	}
	c.Header.Add(name, value)
	return &c
}

// WithRetryAfter gives a copy with Retry-After, in whole seconds rounded up, at least one.
func (p *Problem) WithRetryAfter(d time.Duration) *Problem {
	seconds := max(1, int64((d+time.Second-1)/time.Second))
	return p.WithHeader("Retry-After", strconv.FormatInt(seconds, 10))
}

// WithReason gives a copy with the reason for metrics and logs.
func (p *Problem) WithReason(reason string) *Problem {
	c := *p
	c.Reason = reason
	return &c
}

// WithCause gives a copy with a cause for the log.
func (p *Problem) WithCause(err error) *Problem {
	c := *p
	c.Cause = err
	return &c
}

// WithErrors gives a copy with field errors.
func (p *Problem) WithErrors(errs ...FieldError) *Problem {
	c := *p
	c.Errors = append([]FieldError(nil), errs...)
	return &c
}

// WithExtra gives a copy with one more member in the body.
func (p *Problem) WithExtra(name string, value any) *Problem {
	c := *p
	c.Extra = maps.Clone(p.Extra)
	if c.Extra == nil {
		c.Extra = make(map[string]any, 1)
	}
	c.Extra[name] = value
	return &c
}

// Body gives the problem+json document. requestID may be empty.
func (p *Problem) Body(requestID string) []byte {
	doc := make(map[string]any, 7+len(p.Extra))
	maps.Copy(doc, p.Extra)
	doc["type"] = p.Type
	if p.Type == "" {
		doc["type"] = TypeOf(p.Code)
	}
	doc["title"] = p.Title
	doc["status"] = p.Status
	doc["code"] = p.Code
	if p.Detail != "" {
		doc["detail"] = p.Detail
	}
	if requestID != "" {
		doc["request_id"] = requestID
	}
	if len(p.Errors) > 0 {
		doc["errors"] = p.Errors
	}
	body, err := json.Marshal(doc)
	if err != nil {
		// Only a value in Extra that JSON cannot hold gets here: a programming error, and still a refusal.
		return fmt.Appendf(nil, `{"type":"about:blank","status":%d}`, p.Status)
	}
	return append(body, '\n')
}

// exposed are what a script of another origin may read of a challenge, where the
// operator lets it call at all: it cannot answer one that it does not see.
const exposed = "WWW-Authenticate, DPoP-Nonce"

// SetOwnHeader sets the problem's header fields, whoever writes the body.
func (p *Problem) SetOwnHeader(h http.Header) {
	for name, values := range p.Header {
		h[name] = append([]string(nil), values...)
	}
	if len(p.Header.Values("WWW-Authenticate")) > 0 {
		h.Add("Access-Control-Expose-Headers", exposed) // beside the operator's own
	}
	h.Set("Cache-Control", "no-store")
}

// SetHeader sets the problem's header fields, and those that every refusal has.
func (p *Problem) SetHeader(h http.Header) {
	p.SetOwnHeader(h)
	h.Set("Content-Type", ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	h.Del("Content-Encoding")
	h.Del("Etag")
	h.Del("Last-Modified")
}

// Write answers with the problem. The request id is taken from the answer's own
// X-Request-Id field, which whoever is outermost has set by now.
func (p *Problem) Write(w http.ResponseWriter) {
	p.SetHeader(w.Header())
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.Body(w.Header().Get("X-Request-Id"))) // the caller is gone: nobody to tell
}

// TypeOf gives the type of a problem with this code.
func TypeOf(code string) string { return typePrefix + strings.ReplaceAll(code, "_", "-") }
