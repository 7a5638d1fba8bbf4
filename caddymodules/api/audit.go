package api

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/auditlog"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// What an API can say of the audit log.
const (
	auditRequired = "required"
	auditOff      = "off"
)

// parseAudit reads the setting.
func parseAudit(h httpcaddyfile.Helper, handler *Handler) error {
	if handler.Audit != "" {
		return h.Errf("api %s has audit twice", handler.Name)
	}
	if !h.AllArgs(&handler.Audit) {
		return h.ArgErr()
	}
	app, err := tollgate.FromOptions(h)
	if err != nil {
		return err
	}
	if err := handler.judgeAudit(app.Audit != nil); err != nil {
		return h.WrapErr(err)
	}
	h.DeleteN(2)
	return nil
}

func (h *Handler) checkAudit() error { return h.judgeAudit(h.app.Audit != nil) }

func (h *Handler) judgeAudit(configured bool) error {
	switch h.Audit {
	case "", auditOff:
		return nil
	case auditRequired:
		if !configured {
			return fmt.Errorf("api %s: audit required, and the tollgate option has no audit log", h.Name)
		}
		return nil
	default:
		return fmt.Errorf("api %s: audit %q is neither required nor off", h.Name, h.Audit)
	}
}

// auditUnavailable refuses what could not be recorded.
var auditUnavailable = problem.New(http.StatusServiceUnavailable, "audit_unavailable",
	"What is done here has to be recorded, and cannot be right now.").WithRetryAfter(time.Second)

// recording says how a call is recorded.
type recording int

const (
	recordNothing  recording = iota
	recordIfRoom             // may be lost, and is counted then
	recordReserved           // has its room
	recordRefused            // had to be recorded, and there was no room
)

// recording makes sure of the room, if the API asks for that. Where there is no log though
// there has to be one, the edge is about to end.
func (h *Handler) recording() (recording, *auditlog.Log) {
	if h.Audit == auditOff {
		return recordNothing, nil
	}
	log, err := h.app.OpenAuditLog()
	switch {
	case err != nil:
		return recordRefused, nil
	case log == nil:
		return recordNothing, nil
	case h.Audit != auditRequired:
		return recordIfRoom, log
	case log.Reserve() != nil:
		return recordRefused, log
	default:
		return recordReserved, log
	}
}

// writeRecord hands the decision to the audit log.
func (c *call) writeRecord(r *http.Request, status int) {
	if c.log == nil {
		return
	}
	record := auditlog.Record{
		Time: c.started, Kind: auditlog.KindDecision, RequestID: c.requestID, Policy: c.app.PolicyHash(),
		API: c.api, Method: methodLabel(c.method), Status: status, Outcome: "allowed", Answer: c.leftTo(),
	}
	if address, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		record.Address = address
	}
	if t, ok := tollgate.TokenOf(r); ok {
		record.Client, record.Subject, record.TokenID = t.ClientID, t.Subject, t.ID
	}
	if p := c.refused; p != nil {
		record.Rule, record.Reason, record.Outcome = ruleOf(p), p.Reason, "refused"
		if p.Status >= http.StatusInternalServerError {
			record.Outcome = "failed"
		}
	}
	if c.record == recordReserved {
		c.log.AppendReserved(record)
		return
	}
	c.log.Append(record)
}

// leftTo says who has the last word about the answer, where it is not this API. The record
// does not wait for what they say: the access log has that.
func (c *call) leftTo() string {
	switch {
	case c.toErrorRoutes:
		return auditlog.AnswerErrorRoutes
	case c.final && intercepted(c.ResponseWriter):
		return auditlog.AnswerIntercepted
	default:
		return ""
	}
}

// intercepted says whether a handler around the API keeps the answer back, to send it or
// another one. A recorder of Caddy's knows that once there is a status.
func intercepted(w http.ResponseWriter) bool {
	for {
		if recorder, ok := w.(interface{ Buffered() bool }); ok && recorder.Buffered() {
			return true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = wrapper.Unwrap()
	}
}

// tokenReasons are the words of access_token and require.
var tokenReasons = access.Reasons()

// ruleOf names the directive that refused.
func ruleOf(p *problem.Problem) string {
	switch {
	case tollgate.IsDenial(p.Reason):
		return "require"
	case slices.Contains(tokenReasons, p.Reason):
		return "access_token"
	case p.Extra["violated-policies"] != nil:
		return "rate_limit"
	case p.Cause != nil:
		return "service" // an error of what the API leads to
	default:
		return "api"
	}
}
