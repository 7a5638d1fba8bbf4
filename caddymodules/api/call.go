package api

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/auditlog"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// Canonical names of the header fields that every request and answer carries.
const (
	requestIDHeader     = "X-Request-Id"
	interactionIDHeader = "X-Fapi-Interaction-Id" // OpenID FAPI: echoed, or minted
)

// call is one request while it is answered. It is the response writer that the
// routes get, so that no backend can replace the ids of the answer.
type call struct {
	caddyhttp.ResponseWriterWrapper

	app           *tollgate.App
	api           string
	method        string
	requestID     string
	interactionID string
	started       time.Time
	status        int
	final         bool // the status is sent
	returned      bool // the routes came to an end, rather than to a panic
	toErrorRoutes bool // they answer
	refused       *problem.Problem
	record        recording
	log           *auditlog.Log // that gets its record; nil: none
}

func beginCall(app *tollgate.App, api string, w http.ResponseWriter, r *http.Request) *call {
	// The caller's X-Request-Id is never taken over: two callers that send the same one,
	// or a line of text, would spoil the trail that logs follow. It can send
	// x-fapi-interaction-id, which is held to be a UUID.
	id, refused := refusedID(r)
	if !refused {
		id = newID()
	}
	c := &call{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		app:                   app, api: api, method: r.Method, requestID: id, interactionID: id, started: time.Now(),
	}
	if given := r.Header[interactionIDHeader]; len(given) == 1 && isUUID(given[0]) {
		c.interactionID = given[0]
	}
	c.forwardIDs(w.Header()) // for handle_errors, which does not answer through this writer
	c.describe(r)
	return c
}

// newID mints a UUIDv7: sortable by time, as logs are read.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// refusedID gives the id of a request that another API has refused, in the error routes that
// the answer was left to: who looks for it finds what each of them has decided.
func refusedID(r *http.Request) (string, bool) {
	ctx := r.Context()
	if ctx.Value(caddyhttp.ErrorCtxKey) == nil {
		return "", false
	}
	repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return "", false
	}
	id, _ := repl.GetString("http.api.request_id")
	return id, isUUID(id)
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// describe makes the call known to the access log and to placeholders:
// {http.api.name}, {http.api.request_id} and {http.api.interaction_id}.
func (c *call) describe(r *http.Request) {
	ctx := r.Context()
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("api", c.api))
		extra.Set(zap.String("request_id", c.requestID))
		extra.Set(zap.String("interaction_id", c.interactionID))
		extra.Set(zap.String("policy", c.app.PolicyHash()))
	}
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(c.placeholder)
	}
}

func (c *call) placeholder(key string) (any, bool) {
	switch key {
	case "http.api.name":
		return c.api, true
	case "http.api.request_id":
		return c.requestID, true
	case "http.api.interaction_id":
		return c.interactionID, true
	default:
		return nil, false
	}
}

// forwardIDs sets both ids, whatever was there.
func (c *call) forwardIDs(h http.Header) {
	h[requestIDHeader] = []string{c.requestID}
	h[interactionIDHeader] = []string{c.interactionID}
}

// WriteHeader sets the ids again, over those that a backend may have sent.
func (c *call) WriteHeader(status int) {
	if !c.final {
		c.status = status
		c.final = status >= http.StatusOK || status == http.StatusSwitchingProtocols
		c.forwardIDs(c.Header())
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write sends a 200 first where nobody said otherwise, as net/http does.
func (c *call) Write(body []byte) (int, error) {
	c.begin()
	return c.ResponseWriter.Write(body)
}

// ReadFrom is Write for a body that the kernel can copy.
func (c *call) ReadFrom(body io.Reader) (int64, error) {
	c.begin()
	return c.ResponseWriterWrapper.ReadFrom(body)
}

func (c *call) begin() {
	if !c.final {
		c.WriteHeader(http.StatusOK)
	}
}

// observe counts the call, once it is over, also when a handler aborts it by panicking.
func (c *call) observe(r *http.Request) {
	status := c.status
	switch {
	case status == 0 && c.returned:
		status = http.StatusOK // what a handler that writes nothing has answered
	case status == 0:
		status = statusClientClosed // the connection was cut without an answer
	}
	requests.WithLabelValues(c.api, methodLabel(c.method), strconv.Itoa(status)).Inc()
	durations.WithLabelValues(c.api).Observe(time.Since(c.started).Seconds())
	c.writeRecord(r, status)
}
