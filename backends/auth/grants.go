package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// scopeGrants is what a service of the platform needs to see and revoke what users
// have granted.
const scopeGrants = "internal:grants"

// userGrant is a user's grant as other services see it.
type userGrant struct {
	ID                   string             `json:"id"`
	ClientID             string             `json:"client_id"`
	ClientName           string             `json:"client_name"`
	Scopes               []string           `json:"scopes"`
	AuthorizationDetails []goidc.AuthDetail `json:"authorization_details"`
	GrantedAt            time.Time          `json:"granted_at"`
	LastUsedAt           time.Time          `json:"last_used_at"`
	ExpiresAt            time.Time          `json:"expires_at"`
}

func userGrantOf(g store.UserGrant) userGrant {
	return userGrant{
		ID: g.ID, ClientID: g.ClientID, ClientName: g.ClientName,
		Scopes: notNil(strings.Fields(g.Scopes)), AuthorizationDetails: append([]goidc.AuthDetail{}, g.Details...),
		GrantedAt: g.GrantedAt.UTC(), LastUsedAt: g.UsedAt.UTC(), ExpiresAt: g.ExpiresAt.UTC(),
	}
}

// listGrants answers GET /internal/users/{user}/grants.
func (s *Server) listGrants(w http.ResponseWriter, r *http.Request) {
	list, err := s.store.UserGrants(r.Context(), r.PathValue("user"))
	if err != nil {
		s.failInternal(w, r, err)
		return
	}
	answer := struct {
		Data []userGrant `json:"data"`
	}{Data: make([]userGrant, 0, len(list))}
	for _, g := range list {
		answer.Data = append(answer.Data, userGrantOf(g))
	}
	service.WriteJSON(w, http.StatusOK, answer)
}

// revokeGrant answers DELETE /internal/users/{user}/grants/{grant}.
func (s *Server) revokeGrant(w http.ResponseWriter, r *http.Request) {
	if err := s.store.RevokeUserGrant(r.Context(), r.PathValue("user"), r.PathValue("grant")); err != nil {
		s.failInternal(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// revokeGrants answers DELETE /internal/users/{user}/grants, with client_id in the
// query for those of one client.
func (s *Server) revokeGrants(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery) // Query would leave out what it cannot read
	client, named := query["client_id"]
	if err != nil || len(query) > 1 || len(query) == 1 && !named || len(client) > 1 || named && client[0] == "" {
		// A misspelt restriction must not become none.
		problem.New(http.StatusBadRequest, "invalid_request", "The one parameter there is is client_id, once and not empty.").Write(w)
		return
	}
	n, err := s.store.RevokeUserGrants(r.Context(), r.PathValue("user"), strings.Join(client, ""))
	if err != nil {
		s.failInternal(w, r, err)
		return
	}
	service.WriteJSON(w, http.StatusOK, map[string]int64{"revoked": n})
}

// known keeps from the database what it would report as a failure of its own.
func known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, text := range []string{r.PathValue("user"), r.PathValue("grant"), r.URL.Query().Get("client_id")} {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				noGrant(w)
				return
			}
		}
		next(w, r)
	}
}

func noGrant(w http.ResponseWriter) {
	problem.New(http.StatusNotFound, "not_found", "The user has no such grant.").Write(w)
}

func (s *Server) failInternal(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, goidc.ErrNotFound) {
		noGrant(w)
		return
	}
	s.logger.ErrorContext(r.Context(), "internal call failed", "route", r.Pattern, "cause", brief(err.Error()))
	problem.New(http.StatusServiceUnavailable, "temporarily_unavailable", "Try again in a moment.").WithRetryAfter(time.Second).Write(w)
}
