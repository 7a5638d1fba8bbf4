package tollgate

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token"
)

// What a decision about a request's token can be: the result label.
const (
	Accepted = "accepted" // access_token let it in
	Refused  = "refused"  // access_token did not
	Denied   = "denied"   // a require did not
)

// Decisions counts what was decided about tokens, and why. A package variable, so
// that a reload does not set it back to zero.
var Decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "tollgate_token_decisions_total",
	Help: "Decisions about access tokens, by API, result and reason.",
}, []string{"api", "result", "reason"})

// denials are what a require can say.
var denials = []string{access.Unconstrained, access.ScopeMissing, access.DetailsMissing, access.ClaimRefused, access.StepUpWanted}

// IsDenial says whether a reason is a require's.
func IsDenial(reason string) bool { return slices.Contains(denials, reason) }

// PrepareDecisions makes all series of an API, so that each starts at zero: a rate does
// not see the first of a series that appears with it.
func PrepareDecisions(api string) {
	Decisions.WithLabelValues(api, Accepted, access.Accepted)
	for _, reason := range access.Reasons() {
		// The one reason that both have: a token that is bound to nothing is refused by a profile, and denied by a require.
		if reason == access.Unconstrained || reason != access.Accepted && !slices.Contains(denials, reason) {
			Decisions.WithLabelValues(api, Refused, reason)
		}
	}
	for _, reason := range denials {
		Decisions.WithLabelValues(api, Denied, reason)
	}
}

// tokenVar is the request variable that holds the verified token.
const tokenVar = "tollgate.token"

// SetToken makes the verified token known to the handlers that follow.
func SetToken(r *http.Request, t *token.Token) { caddyhttp.SetVar(r.Context(), tokenVar, t) }

// TokenOf gives the verified token of the request.
func TokenOf(r *http.Request) (t *token.Token, ok bool) {
	t, ok = caddyhttp.GetVar(r.Context(), tokenVar).(*token.Token)
	return t, ok
}
