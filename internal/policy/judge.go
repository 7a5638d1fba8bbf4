package policy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Judge decides what a request's token and counts are good for.
type Judge struct {
	// Now is the time that tokens are judged at.
	Now time.Time
	// Counts are those of the requests before. They stay as they are: the outcome has those
	// after it. Nil: nobody counts.
	Counts Counts
}

// refusal is why a token is not good enough.
type refusal struct {
	status    int
	reason    string
	challenge string
}

// token judges as access_token does, in its order.
func (j *Judge) token(w *walk, h *AccessToken) *refusal {
	if j == nil {
		return nil
	}
	if u, err := parseTarget(w.req.Target); err == nil && lenient(u.RawQuery).Has("access_token") {
		return &refusal{http.StatusBadRequest, "token_in_query", `Bearer error="invalid_request"`}
	}
	t := w.req.Token
	dpop := w.config.Tollgate.HasDPoP()
	switch {
	case t == nil:
		return unauthorized("no_credentials", w.challenge("", ""))
	case w.req.SentAs == DPoP && !dpop:
		return unauthorized("unsupported_scheme", w.challenge("", ""))
	}
	if reason := h.verify(t, j.Now); reason != "" {
		return unauthorized(reason, w.challenge("invalid_token", ""))
	}
	if reason := possession(w.req, t); reason != "" {
		return unauthorized(reason, w.challenge("invalid_token", ""))
	}
	return nil
}

func unauthorized(reason, challenge string) *refusal {
	return &refusal{http.StatusUnauthorized, reason, challenge}
}

// challenge is what the answer asks for, without the words for people.
func (w *walk) challenge(code, more string) string {
	scheme := string(Bearer)
	if t := w.req.Token; t != nil && t.JKT && w.config.Tollgate.HasDPoP() {
		scheme = string(DPoP)
	}
	if code == "" {
		return scheme
	}
	return scheme + ` error="` + code + `"` + more
}

// verify judges a token whose signature is its issuer's.
func (h *AccessToken) verify(t *Token, now time.Time) string {
	n := slices.IndexFunc(h.Trust, func(trust Trust) bool {
		return trust.Issuer == t.Issuer && (t.Algorithm == "" && trust.Opaque || t.Algorithm != "" && len(trust.Algorithms) > 0)
	})
	switch {
	case n < 0 && t.Algorithm == "":
		return "malformed"
	case n < 0:
		return "unknown_issuer"
	}
	trust := h.Trust[n]
	switch {
	case t.Algorithm != "" && !slices.Contains(trust.Algorithms, t.Algorithm):
		return "wrong_algorithm"
	case !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(trust.Audiences, a) }):
		return "wrong_audience"
	case !t.Expires.IsZero() && !now.Before(t.Expires.Add(trust.leeway)):
		return "expired"
	case trust.Bound && !t.Bound():
		return "not_sender_constrained"
	}
	return ""
}

// possession judges whether the sender may use the token.
func possession(r *Request, t *Token) string {
	switch {
	case r.SentAs != DPoP && t.JKT:
		return "bound_token_as_bearer"
	case t.X5T && !r.HasCert:
		return "certificate_missing"
	case r.SentAs == DPoP && !t.JKT:
		return "proof_wrong_key"
	}
	return ""
}

// require judges as require does, in its order.
func (j *Judge) require(w *walk, h *Require) *refusal {
	if j == nil {
		return nil
	}
	t := w.req.Token
	if t == nil {
		return &refusal{http.StatusInternalServerError, "no_token_known", ""}
	}
	if h.SenderConstrained && !t.Bound() || h.DPoP && !t.JKT || h.MTLS && !t.X5T {
		return unauthorized("not_sender_constrained", w.challenge("invalid_token", ""))
	}
	if slices.ContainsFunc(h.Scopes, func(s string) bool { return !slices.Contains(t.Scopes, s) }) {
		return &refusal{http.StatusForbidden, "insufficient_scope", w.challenge("insufficient_scope", ` scope="`+strings.Join(h.Scopes, " ")+`"`)}
	}
	if slices.ContainsFunc(h.AuthorizationDetails, func(d string) bool { return !slices.Contains(t.Details, d) }) {
		return &refusal{http.StatusForbidden, "insufficient_details", w.challenge("insufficient_scope", "")}
	}
	for name, values := range h.Claims {
		if !claimMatches(t.claim(name), values) {
			return &refusal{http.StatusForbidden, "claim_mismatch", ""}
		}
	}
	if !h.stepUp(t, j.Now) {
		return unauthorized("insufficient_user_authentication", w.challenge("insufficient_user_authentication", ""))
	}
	return nil
}

func (h *Require) stepUp(t *Token, now time.Time) bool {
	if len(h.ACR) > 0 && !slices.Contains(h.ACR, t.ACR) {
		return false
	}
	return h.MaxAge == 0 || !t.AuthTime.IsZero() && now.Sub(t.AuthTime) <= time.Duration(h.MaxAge)
}

// claim gives a claim by name, the registered ones too.
func (t *Token) claim(name string) any {
	if value, ok := t.Claims[name]; ok {
		return value
	}
	switch name {
	case "iss":
		return t.Issuer
	case "sub":
		return t.Subject
	case "client_id":
		return t.Client
	case "scope":
		return strings.Join(t.Scopes, " ")
	case "acr":
		return t.ACR
	case "aud":
		list := make([]any, len(t.Audience))
		for n, a := range t.Audience {
			list[n] = a
		}
		return list
	}
	return nil
}

func claimMatches(claim any, wanted []string) bool {
	switch claim := claim.(type) {
	case string:
		return slices.Contains(wanted, claim)
	case json.Number:
		return slices.Contains(wanted, claim.String())
	case float64:
		return slices.Contains(wanted, strconv.FormatFloat(claim, 'f', -1, 64))
	case bool:
		return slices.Contains(wanted, strconv.FormatBool(claim))
	case []any:
		return slices.ContainsFunc(claim, func(element any) bool {
			_, nested := element.([]any)
			return !nested && claimMatches(element, wanted)
		})
	default:
		return false
	}
}

// ownVars are those that Caddy sets by itself.
var ownVars = []string{"client_ip", "trusted_proxy", "start_time", "uuid"}

// value gives what a placeholder stands for; itself where that is not known.
func (w *walk) value(name string) (value string, known bool) {
	if w.steered != "" && (name == "http.vars.client_ip" || strings.HasPrefix(name, "http.auth.")) {
		return "{" + name + "}", false
	}
	if rest, ok := strings.CutPrefix(name, "http.auth."); ok {
		return w.tokenValue(rest), true
	}
	if field, ok := strings.CutPrefix(name, "http.request.header."); ok {
		values, known := w.field(field)
		return strings.Join(values, ","), known
	}
	if value, ok := w.uriValue(name); ok {
		return value, w.lost == "" && (w.lostQuery == "" || strings.HasPrefix(name, pathPlaceholder))
	}
	if strings.HasPrefix(name, capturePrefix) {
		value, found := w.capture(name)
		return value, found || w.unset(name)
	}
	if variable, ok := strings.CutPrefix(name, "http.vars."); ok && !slices.Contains(ownVars, variable) {
		return plain(w.vars[variable]), !hasPlaceholder(w.vars[variable]) // nothing, where it was not set
	}
	switch name {
	case "http.vars.client_ip":
		return addressText(w.client()), true
	case "http.request.remote.host":
		return addressText(w.remote()), true
	case "http.request.host", "http.request.hostport":
		if w.staleHost {
			return "{" + name + "}", false
		}
		return w.hostValue(name)
	case "http.request.method":
		return w.currentMethod(), w.lostMethod == "" && !w.staleMethod
	case "http.api.name":
		return w.out.API, true // it stays set behind the API
	case "http.error.status_code":
		if w.toldStatus > 0 {
			return strconv.Itoa(w.toldStatus), true
		}
	case "http.error.message":
		if text, told := w.told(name); told {
			return text, !hasPlaceholder(text)
		}
	}
	for _, prefix := range []string{"env.", "file.", "system."} {
		if strings.HasPrefix(name, prefix) { // the same for each request, and there, or it does not load
			return "{" + name + "}", true
		}
	}
	return "{" + name + "}", false
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (w *walk) tokenValue(name string) string {
	t := w.req.Token
	switch {
	case w.out.tokens == nil:
		return "" // nobody is known in a public API
	case w.judge == nil:
		return "{http.auth." + name + "}"
	case t == nil:
		return ""
	}
	switch name {
	case "user.id":
		return t.Subject
	case "client.id":
		return t.Client
	}
	claim, _ := strings.CutPrefix(name, "token.")
	switch value := t.claim(claim).(type) {
	case string:
		return value
	case nil:
		return ""
	default:
		return compact(value)
	}
}
