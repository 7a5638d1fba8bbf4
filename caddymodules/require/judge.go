package require

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
)

// judge gives the first reason to refuse the token. How its user has authenticated
// comes last: nobody is sent to log in again for what is refused all the same.
func (h *Handler) judge(t *token.Token, now time.Time) *problem.Problem {
	for _, constraint := range h.constraints() {
		if !constraint.Holds(t) {
			return access.NotSenderConstrained(constraint, h.algorithms)
		}
	}
	if slices.ContainsFunc(h.Scopes, func(scope string) bool { return !t.HasScope(scope) }) {
		return access.InsufficientScope(t, h.Scopes)
	}
	for _, kind := range h.AuthorizationDetails {
		if !slices.ContainsFunc(t.Details, func(d token.Detail) bool { return d.Type == kind }) {
			return access.InsufficientDetails(t, kind, h.Scopes...)
		}
	}
	for name, values := range h.Claims {
		if value, _ := t.Claim(name); !matches(value, values) {
			return access.ClaimMismatch(name)
		}
	}
	return access.StepUp{ACR: h.ACR, MaxAge: time.Duration(h.MaxAge)}.Judge(t, now)
}

// constraints are the ways in which a token has to be bound, all of them.
func (h *Handler) constraints() (all []access.Constraint) {
	if h.SenderConstrained {
		all = append(all, access.AnyConstraint)
	}
	if h.DPoP {
		all = append(all, access.DPoPConstraint)
	}
	if h.MTLS {
		all = append(all, access.MutualConstraint)
	}
	return all
}

// matches compares a claim with the values that are wanted: an array has to contain one.
func matches(claim any, wanted []string) bool {
	switch claim := claim.(type) {
	case string:
		return slices.Contains(wanted, claim)
	case json.Number:
		return slices.Contains(wanted, claim.String())
	case bool:
		return slices.Contains(wanted, strconv.FormatBool(claim))
	case []any:
		return slices.ContainsFunc(claim, func(element any) bool {
			_, nested := element.([]any)
			return !nested && matches(element, wanted)
		})
	default:
		return false
	}
}
