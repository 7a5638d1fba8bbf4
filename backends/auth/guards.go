package auth

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

// hashS256 is a SHA-256 in base64url: a code_challenge (RFC 7636 section 4.2) or
// the thumbprint of a key (RFC 9449 section 10).
var hashS256 = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// maxEcho bounds what comes back to the client as it sent it.
const maxEcho = 1024

// guardPushed judges a pushed request before it is kept. Nothing that is asked
// for later can go beyond it: the authorization endpoint takes no parameters.
func (s *Server) guardPushed(ctx context.Context, as *goidc.AuthnSession, _ *goidc.Client) error {
	invalid := func(description string) error { return refusal.New(goidc.ErrorCodeInvalidRequest, description) }
	switch p := as.AuthorizationParameters; {
	case p.CodeChallengeMethod != goidc.CodeChallengeMethodSHA256 || !hashS256.MatchString(p.CodeChallenge):
		// Without a method it would be plain (RFC 7636 section 4.3).
		return invalid("PKCE is required: code_challenge_method S256 and its code_challenge.")
	case p.ResponseMode != "" && p.ResponseMode != goidc.ResponseModeQuery:
		return invalid("Only response_mode query is supported.")
	case p.DPoPJKT != "" && !hashS256.MatchString(p.DPoPJKT):
		return invalid("dpop_jkt is not the SHA-256 thumbprint of a key.")
	case p.RequestObject != "":
		return invalid("Request objects are not supported.")
	case p.IDTokenHint != "":
		return invalid("id_token_hint is not supported.")
	case len(p.State) > maxEcho || len(p.Nonce) > maxEcho || len(p.LoginHint) > maxEcho:
		return invalid("state, nonce or login_hint is too long.")
	case !knownPrompt(p.Prompt):
		return invalid("prompt must be none, login or consent.")
	}
	if err := guardScopes(as.Scopes, len(as.AuthDetails) > 0); err != nil {
		return err
	}
	return guardPushedDetails(callOf(ctx), as)
}

func knownPrompt(prompt goidc.PromptType) bool {
	if prompt == "" || prompt == goidc.PromptTypeNone {
		return true
	}
	for p := range strings.FieldsSeq(string(prompt)) {
		if p != string(goidc.PromptTypeLogin) && p != string(goidc.PromptTypeConsent) {
			return false
		}
	}
	return true
}

func guardScopes(asked string, withPayment bool) error {
	names := strings.Fields(asked)
	switch {
	case !userMay(names):
		return refusal.New(goidc.ErrorCodeInvalidScope, "A scope is not one that a user can consent to.")
	case len(names) == 0 && !withPayment:
		return refusal.New(goidc.ErrorCodeInvalidScope, "Ask for a scope or for authorization_details.")
	case slices.Contains(names, scopeConfirm) && !withPayment:
		return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "The scope "+scopeConfirm+" needs authorization_details of the payment.")
	}
	return nil
}

// guardPushedDetails holds what the library kept against what was sent.
func guardPushedDetails(c *call, as *goidc.AuthnSession) error {
	if len(as.AuthDetails) != len(c.details) {
		return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "The authorization_details are malformed.")
	}
	for i, detail := range as.AuthDetails {
		kept, err := parsePayment(detail)
		if err != nil || kept != c.details[i] {
			return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "The authorization_details are malformed.")
		}
		if kept.DebtorAccount != "" {
			return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "The debtorAccount is the user's to choose.")
		}
	}
	return nil
}

// What a session tells the grant, and the grant its tokens. JSON would turn a
// number into a float, so the time is a string.
const (
	keyAuthTime = "auth_time"
	keyACR      = "acr"
)

// guardGrant judges a grant before it is kept.
func (s *Server) guardGrant(ctx context.Context, grantType goidc.GrantType, g *goidc.Grant) error {
	switch grantType {
	case goidc.GrantClientCredentials:
		return guardOwnGrant(callOf(ctx), g)
	case goidc.GrantAuthorizationCode:
		// The session's other notes, such as the browser, are not the grant's business; the
		// store looks at the login, and does not keep it.
		notes := make(map[string]any)
		maps.Copy(notes, g.Store)
		maps.DeleteFunc(notes, func(key string, _ any) bool { return key != keyAuthTime && key != keyACR && key != noteLogin })
		g.Store = notes
		if g.Subject == "" || !userMay(strings.Fields(g.Scopes)) || !subset(g.Scopes, g.AuthParams.Scopes) {
			return errors.New("a consent grants what was not asked for, or nobody gave it")
		}
	}
	return nil
}

// guardOwnGrant is for client credentials: scopes that a client may have for
// itself, and no authorization_details, which only a user can give.
func guardOwnGrant(c *call, g *goidc.Grant) error {
	if len(g.AuthDetails) > 0 || len(c.details) > 0 {
		return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "authorization_details need a user's consent; client credentials have none.")
	}
	names := strings.Fields(c.form.Get("scope"))
	if len(names) == 0 {
		return refusal.New(goidc.ErrorCodeInvalidScope, "Name the scopes that the token is for.")
	}
	if !clientMay(names) {
		return refusal.New(goidc.ErrorCodeInvalidScope, "A scope is not one that a client can have for itself; it needs a user's consent.")
	}
	return nil
}

// guardToken is the last look at a token before it leaves. Whatever the token
// request asked for, a token carries no more than its grant, and a client of the
// kind fapi2 gets no token that is not bound to a key.
func (s *Server) guardToken(ctx context.Context, t *goidc.Token, g *goidc.Grant) error {
	c, err := s.store.Client(ctx, t.ClientID)
	if err != nil {
		return err
	}
	switch {
	case c.Kind == store.FAPI2 && t.JWKThumbprint == "":
		return refusal.New(refusal.InvalidDPoPProof, "This client gets DPoP-bound tokens only.")
	case !subset(t.Scopes, g.Scopes):
		return refusal.New(goidc.ErrorCodeInvalidScope, "A scope was not granted.")
	case !subset(t.Scopes, strings.Join(c.Scopes, " ")):
		return refusal.New(goidc.ErrorCodeInvalidScope, "A scope is no longer registered for the client.")
	case len(t.AuthDetails) > 0 && compareDetails(ctx, t.AuthDetails, g.AuthDetails) != nil:
		return refusal.New(goidc.ErrorCodeInvalidAuthDetails, "The authorization_details were not granted.")
	}
	t.AuthDetails = g.AuthDetails // for the token response: what was approved, not what was repeated
	return nil
}

// tokenClaims are the claims that the library does not set. The map is spelled
// out because it may overwrite any claim, iss, sub and cnf included.
func (s *Server) tokenClaims(_ context.Context, t *goidc.Token, g *goidc.Grant) map[string]any {
	// By its grant_id, all that came of one consent can be revoked at the edge at once.
	claims := map[string]any{goidc.ClaimAudience: []string{s.audienceOf(t)}, "grant_id": g.ID}
	if len(g.AuthDetails) > 0 {
		// As approved, with the debtor account, also where the client repeated less.
		claims[goidc.ClaimAuthDetails] = g.AuthDetails
	}
	maps.Copy(claims, authentication(g))
	return claims
}

// audienceOf keeps services and APIs apart: no token is for both.
func (s *Server) audienceOf(t *goidc.Token) string {
	if forServices(strings.Fields(t.Scopes)) {
		return internalAudience
	}
	return s.audience
}

func idTokenClaims(_ context.Context, g *goidc.Grant) map[string]any { return authentication(g) }

// authentication says how and when the user signed in; a client's own grant says nothing.
func authentication(g *goidc.Grant) map[string]any {
	text, _ := g.Store[keyAuthTime].(string)
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return map[string]any{goidc.ClaimAuthTime: at, goidc.ClaimACR: g.Store[keyACR]}
}
