package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

var errMethod = errors.New("method not allowed")

// oauthError is an error answer of RFC 6749 section 5.2.
type oauthError struct {
	status      int
	Code        goidc.ErrorCode `json:"error"`
	Description string          `json:"error_description,omitempty"`
}

// spoken puts the library's codes into those of the RFCs, and its generic words
// into ones that say what to look at. Causes stay in the log: they may hold text
// of the request, or tell an attacker which of the reasons it was.
var spoken = map[goidc.ErrorCode]oauthError{
	goidc.ErrorCodeInvalidRequest:       {http.StatusBadRequest, goidc.ErrorCodeInvalidRequest, "A parameter is missing, not known here or malformed."},
	goidc.ErrorCodeInvalidClient:        {http.StatusUnauthorized, goidc.ErrorCodeInvalidClient, "The client is not known, or did not authenticate in the way it is registered for."},
	goidc.ErrorCodeInvalidGrant:         {http.StatusBadRequest, goidc.ErrorCodeInvalidGrant, "The code or refresh token is not known, expired, used or revoked, or client_id, redirect_uri, code_verifier or DPoP key are not those it was issued for."},
	goidc.ErrorCodeExpiredToken:         {http.StatusBadRequest, goidc.ErrorCodeInvalidGrant, "The grant is revoked."},
	goidc.ErrorCodeUnauthorizedClient:   {http.StatusBadRequest, goidc.ErrorCodeUnauthorizedClient, "The client is not registered for this grant type."},
	goidc.ErrorCodeUnsupportedGrantType: {http.StatusBadRequest, goidc.ErrorCodeUnsupportedGrantType, "Supported are authorization_code, refresh_token and client_credentials."},
	goidc.ErrorCodeInvalidScope:         {http.StatusBadRequest, goidc.ErrorCodeInvalidScope, "A scope is not known, not registered for the client or not granted."},
	goidc.ErrorCodeInvalidAuthDetails:   {http.StatusBadRequest, goidc.ErrorCodeInvalidAuthDetails, "The authorization_details are malformed, not allowed for the client or not granted."},
	goidc.ErrorCodeAccessDenied:         {http.StatusForbidden, goidc.ErrorCodeAccessDenied, "The client may not do this."},
	goidc.ErrorCodeInvalidToken:         {http.StatusUnauthorized, goidc.ErrorCodeInvalidToken, "The access token is not valid here."},
	refusal.InvalidDPoPProof:            {http.StatusBadRequest, refusal.InvalidDPoPProof, "A DPoP proof is missing, or its signature, htm, htu, iat, jti or key is wrong."},
	refusal.ServerError:                 {http.StatusInternalServerError, refusal.ServerError, "Something went wrong here."},
	refusal.Unavailable:                 {http.StatusServiceUnavailable, refusal.Unavailable, "Try again in a moment."},
}

// explain gives the answer for what a request was refused for.
func explain(err error) oauthError {
	if errors.Is(err, errMethod) {
		return oauthError{http.StatusMethodNotAllowed, goidc.ErrorCodeInvalidRequest, "This endpoint takes POST."}
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return spoken[refusal.Unavailable]
	}
	if own, ok := refusal.Own(err); ok {
		status := http.StatusBadRequest // those that only go to the client by redirect have none of their own
		if known, ok := spoken[own.Code]; ok {
			status = known.status
		}
		return oauthError{status, own.Code, own.Description}
	}
	var e goidc.Error
	if !errors.As(err, &e) {
		return spoken[refusal.ServerError]
	}
	if isProofError(err) {
		return spoken[refusal.InvalidDPoPProof]
	}
	if answer, known := spoken[e.Code]; known {
		return answer
	}
	return spoken[refusal.ServerError]
}

// isProofError recognises what the library says of a DPoP proof, which it files
// under other codes. Its words are those of v0.23.0; a test holds on to each.
func isProofError(err error) bool {
	text := err.Error()
	return strings.Contains(text, "invalid DPoP proof") || strings.Contains(text, "the DPoP proof") ||
		strings.Contains(text, "a DPoP proof is required")
}

func (e oauthError) write(w http.ResponseWriter) {
	switch e.status {
	case http.StatusUnauthorized:
		// RFC 9110 section 11.6.1 wants a challenge with each 401.
		if w.Header().Get("WWW-Authenticate") == "" {
			w.Header().Set("WWW-Authenticate", problem.NewChallenge("Basic").With("realm", "tollgate").String())
		}
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Cache-Control", "no-store")
	service.WriteJSON(w, e.status, e)
}

// speak answers for the library's refusal.
func (s *Server) speak(w http.ResponseWriter, c *call, a *answer) {
	if c.cause == nil {
		// The library's router refused it: no error was handled.
		a.copyTo(w)
		return
	}
	e := explain(c.cause)
	if c.path == introspectPath && e.Code == goidc.ErrorCodeAccessDenied {
		// RFC 7662 section 2.2: a token that is none of the caller's business is not active to it.
		service.WriteJSON(w, http.StatusOK, map[string]bool{"active": false})
		return
	}
	e.write(w)
}

// maxLogged bounds what goes into the log and may be text of the request.
const maxLogged = 300

func (s *Server) logRefusal(ctx context.Context, c *call, err error) {
	level := slog.LevelInfo
	if explain(err).status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.logger.Log(ctx, level, "refused", "path", c.path, "client_id", brief(c.clientID), "cause", brief(err.Error()))
}

func brief(text string) string { return text[:min(len(text), maxLogged)] }

// handleError is where the library tells the cause of a refusal.
func (s *Server) handleError(ctx context.Context, err error) {
	c := callOf(ctx)
	c.refused(err)
	s.logRefusal(ctx, c, err)
}
