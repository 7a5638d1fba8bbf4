package policy

import (
	"fmt"
	"slices"
)

// What a configuration does not decide: what is revoked, what answers, what was used
// before. A model cannot know it; what it would change is said beside each answer.

// MayAlso says how else the edge may answer a request of this outcome, and because of what.
func (c *Config) MayAlso(o *Outcome) []string {
	tokens := o.tokens
	if slices.Contains([]string{"no_credentials", "unsupported_scheme", "token_in_query"}, o.Reason) {
		tokens = nil // nobody looks into one
	}
	return c.mayAlso(o.api, tokens, o.zones, len(o.Upstreams)+len(o.Asked) > 0, o.api != nil && o.bounded)
}

func (c *Config) mayAlso(api *API, tokens *AccessToken, zones []*Zone, forwards, bounded bool) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if api != nil && api.Audit == "required" {
		say("503 audit_unavailable while the audit log cannot take the record")
	}
	if tokens != nil {
		all = append(all, c.tokenMay(tokens)...)
	}
	for _, z := range zones {
		if text := c.zoneMay(z); text != "" {
			say("%s", text)
		}
	}
	if forwards {
		say("502 bad_gateway, 503 service_unavailable or 504 gateway_timeout where the service does not answer as it should")
	}
	if bounded {
		say("413 content_too_large where the body is larger than request_body takes")
	}
	return unique(all)
}

func (h *API) limitsBody() (found bool) {
	VisitRoutes(h.Routes, func(h Handler) {
		pass, ok := h.(*Pass)
		found = found || ok && pass.What == "request_body"
	})
	return found
}

// tokenMay is about the token: of whoever asks, not of the configuration.
func (c *Config) tokenMay(h *AccessToken) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	s := &c.Tollgate
	for _, trust := range h.Trust {
		n := slices.IndexFunc(s.Issuers, func(i *Issuer) bool { return i.URL == trust.Issuer })
		if len(trust.Algorithms) > 0 && (n < 0 || s.Issuers[n].JWKSFile == "") {
			say("503 keys_unavailable while the keys of %s are out of reach and the token's is not known", trust.Issuer)
		}
		if trust.Opaque {
			say("401 inactive where %s says that an opaque token is not good, 503 introspection_unavailable while it says nothing", trust.Issuer)
		}
	}
	if s.HasRedis() {
		say("401 revoked where the token, or what it was granted by, was revoked")
		if s.Revocations == nil || s.Revocations.Stale != "open" {
			say("503 revocations_unavailable while nobody knows what is revoked")
		}
	}
	if s.HasDPoP() {
		say("401 proof_replayed where a DPoP proof was used before, 429 proof_too_many where its key has sent too many")
		if s.HasRedis() {
			say("503 replay_unavailable while the memory of used proofs is out of reach")
		}
		if s.DPoP != nil && s.DPoP.NonceKey != "" {
			say("401 proof_nonce_wanted where a DPoP proof has no nonce that was given out lately")
		}
	}
	if s.Failures == nil || !s.Failures.Off {
		say("429 too_many_failures where the address has sent too many bad tokens or proofs")
	}
	return all
}

// zoneMay is about what counts: the counts themselves, and Redis.
func (c *Config) zoneMay(z *Zone) string {
	switch {
	case z.Shadow:
		return ""
	case !c.Tollgate.HasRedis():
		return fmt.Sprintf("429 quota_exceeded where zone %s is full; each node counts alone", z.Name)
	case z.OnFailure == "open":
		return fmt.Sprintf("429 quota_exceeded where zone %s is full; it lets everything pass while Redis is away", z.Name)
	case z.OnFailure == "closed":
		return fmt.Sprintf("429 quota_exceeded where zone %s is full, 503 rate_limit_unavailable while Redis is away", z.Name)
	default:
		return fmt.Sprintf("429 quota_exceeded where zone %s is full, 503 temporary_reduced_capacity where Redis is away and this node's share is used up", z.Name)
	}
}
