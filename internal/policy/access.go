package policy

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// demand is all that a walk asked of a token.
type demand struct {
	public   bool
	trust    []Trust
	requires []*Require
}

func demandOf(o *Outcome) demand {
	d := demand{public: o.tokens == nil, requires: o.requires}
	if o.tokens != nil {
		d.trust = o.tokens.Trust
	}
	return d
}

// equals says whether the two are written alike: nearly all are, and need no more thought.
func (d demand) equals(other demand) bool {
	return d.public == other.public &&
		slices.EqualFunc(d.trust, other.trust, Trust.equals) &&
		slices.EqualFunc(d.requires, other.requires, (*Require).equals)
}

func (t Trust) equals(other Trust) bool {
	return t.Issuer == other.Issuer && t.Opaque == other.Opaque && t.Bound == other.Bound &&
		slices.Equal(t.Audiences, other.Audiences) && slices.Equal(t.Algorithms, other.Algorithms)
}

func (h *Require) equals(other *Require) bool {
	return slices.Equal(h.Scopes, other.Scopes) && slices.Equal(h.ACR, other.ACR) && slices.Equal(h.AuthorizationDetails, other.AuthorizationDetails) &&
		h.SenderConstrained == other.SenderConstrained && h.DPoP == other.DPoP && h.MTLS == other.MTLS && h.MaxAge == other.MaxAge &&
		maps.EqualFunc(h.Claims, other.Claims, slices.Equal[[]string])
}

// admits says whether a token is good enough, sent as it has to be.
func (d demand) admits(t *Token, now time.Time) bool {
	if d.public {
		return true
	}
	if t == nil || (&AccessToken{Trust: d.trust}).verify(t, now) != "" {
		return false
	}
	j, w := &Judge{Now: now}, &walk{config: new(Config), req: &Request{Token: t}}
	return !slices.ContainsFunc(d.requires, func(r *Require) bool { return j.require(w, r) != nil })
}

// beyond gives a token that is good enough for this demand and not for the other one, or
// nothing where there is none. Both are conjunctions of independent demands, so it is
// enough to look at each alone: a token that does no more than this one asks for, but for
// one thing in which it just fails the other.
func (d demand) beyond(other demand, now time.Time) (t *Token, found bool) {
	if other.public {
		return nil, false
	}
	if d.public {
		return nil, true // no token at all
	}
	for _, base := range d.least(now) {
		for _, candidate := range d.variants(base, other, now) {
			if d.admits(candidate, now) && !other.admits(candidate, now) {
				return candidate, true
			}
		}
	}
	return nil, false
}

// least gives a token for each issuer, audience and algorithm, and each way of being
// bound, that has nothing but what is asked for.
func (d demand) least(now time.Time) []*Token {
	var all []*Token
	for _, trust := range d.trust {
		algorithms := slices.Clone(trust.Algorithms)
		if trust.Opaque {
			algorithms = append(algorithms, "")
		}
		for _, audience := range trust.Audiences {
			for _, algorithm := range algorithms {
				for _, bound := range [][2]bool{{}, {true, false}, {false, true}, {true, true}} {
					t := &Token{Issuer: trust.Issuer, Audience: []string{audience}, Algorithm: algorithm, Subject: "user", Client: "client", JKT: bound[0], X5T: bound[1]}
					d.fill(t, now)
					if d.admits(t, now) {
						all = append(all, t)
					}
				}
			}
		}
	}
	return all
}

// fill gives the token what is asked for: scopes, details, claims, a login.
func (d demand) fill(t *Token, now time.Time) {
	t.Claims = make(map[string]any)
	wanted := make(map[string][][]string)
	for _, r := range d.requires {
		t.Scopes = append(t.Scopes, r.Scopes...)
		t.Details = append(t.Details, r.AuthorizationDetails...)
		for name, values := range r.Claims {
			wanted[name] = append(wanted[name], values)
		}
		if len(r.ACR) > 0 {
			t.ACR = firstCommon(d.requires)
		}
		if r.MaxAge > 0 {
			t.AuthTime = now.Add(-d.maxAge() / 2)
		}
	}
	t.Scopes, t.Details = unique(t.Scopes), unique(t.Details)
	for name, sets := range wanted {
		t.Claims[name] = pickEach(sets, nil)
	}
}

func (d demand) maxAge() time.Duration {
	var least time.Duration
	for _, r := range d.requires {
		if age := time.Duration(r.MaxAge); age > 0 && (least == 0 || age < least) {
			least = age
		}
	}
	return least
}

// firstCommon gives a context class that all of the requires take.
func firstCommon(requires []*Require) string {
	var common []string
	first := true
	for _, r := range requires {
		switch {
		case len(r.ACR) == 0:
		case first:
			common, first = r.ACR, false
		default:
			common = intersect(common, r.ACR)
		}
	}
	if len(common) == 0 {
		return ""
	}
	return common[0]
}

// pickEach gives a claim with a value of each set, none of them one to avoid if that can be.
func pickEach(sets [][]string, avoid []string) any {
	var values []any
	for _, set := range sets {
		if len(set) == 0 {
			continue // no claim is enough for it, and the edge does not load it
		}
		n := slices.IndexFunc(set, func(v string) bool { return !slices.Contains(avoid, v) })
		values = append(values, any(set[max(n, 0)]))
	}
	if len(values) == 1 {
		return values[0]
	}
	return values
}

// variants change one thing of the token each, within what this demand allows.
func (d demand) variants(base *Token, other demand, now time.Time) []*Token {
	all := []*Token{base}
	change := func(f func(*Token)) {
		t := *base
		t.Claims = maps.Clone(base.Claims)
		f(&t)
		all = append(all, &t)
	}
	own := make(map[string][][]string)
	var classes []string
	for _, r := range d.requires {
		for name, values := range r.Claims {
			own[name] = append(own[name], values)
		}
		classes = append(classes, r.ACR...)
	}
	for _, class := range append(classes, "", stranger) {
		change(func(t *Token) { t.ACR = class })
	}
	change(func(t *Token) { t.AuthTime = time.Time{} })
	for _, r := range other.requires {
		change(func(t *Token) { t.AuthTime = now.Add(-time.Duration(r.MaxAge) - time.Second) })
		for name, values := range r.Claims {
			if sets := own[name]; len(sets) > 0 {
				change(func(t *Token) { t.Claims[name] = pickEach(sets, values) })
			}
		}
	}
	return all
}

// String tells the token for people.
func (t *Token) String() string {
	if t == nil {
		return "no token"
	}
	parts := []string{"a token of " + t.Issuer, "aud " + strings.Join(t.Audience, " ")}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("alg", t.Algorithm)
	add("scope", strings.Join(t.Scopes, " "))
	add("acr", t.ACR)
	add("authorization_details", strings.Join(t.Details, " "))
	if !t.AuthTime.IsZero() {
		add("auth_time", t.AuthTime.UTC().Format(time.RFC3339))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Claims)) {
		add(name, compact(t.Claims[name]))
	}
	if t.JKT {
		parts = append(parts, "bound to a DPoP key")
	}
	if t.X5T {
		parts = append(parts, "bound to a certificate")
	}
	return strings.Join(parts, ", ")
}
