package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// usersClient is the users service as the operator registers it.
func (w *world) usersClient() *app {
	return w.app(Registration{ID: "users-service", Name: "Users", Kind: "standard", Scopes: []string{scopeGrants},
		GrantTypes: []string{"client_credentials"}})
}

func (w *world) internalCall(method, path, token string) reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.issuer+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.do(r)
}

func TestServicesSeeAndRevokeGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, books := w.standard(), w.app(Registration{ID: "books", Kind: "standard", Name: "Book Shop"})
	users := w.usersClient()
	service := users.post(tokenPath, ownForm(scopeGrants)).ok(t).text("access_token")
	path := "/internal/users/" + aliceID + "/grants"
	first, second := shop.tokens(), books.tokens()
	third := books.tokens()

	list, _ := w.internalCall(http.MethodGet, path, service).ok(t).body["data"].([]any)
	if len(list) != 3 {
		t.Fatalf("%d grants: %v", len(list), list)
	}
	oldest, _ := list[2].(map[string]any)
	if oldest["client_id"] != "shop" || oldest["client_name"] != "Corner Shop" || oldest["id"] != w.claimsOf(first.text("access_token"))["grant_id"] ||
		len(oldest["scopes"].([]any)) != 2 || oldest["granted_at"] == nil || oldest["expires_at"] == nil {
		t.Errorf("%v", oldest)
	}
	id, _ := oldest["id"].(string)
	if got := w.internalCall(http.MethodDelete, "/internal/users/somebody/grants/"+id, service); got.status != http.StatusNotFound || !shop.active(first.text("access_token")) {
		t.Errorf("another user's: %d", got.status)
	}
	for range 2 {
		if got := w.internalCall(http.MethodDelete, path+"/"+id, service); got.status != http.StatusNoContent {
			t.Errorf("revoked: %d %v", got.status, got.body)
		}
	}
	if shop.active(first.text("access_token")) || !books.active(second.text("access_token")) {
		t.Error("the wrong grant is revoked")
	}
	shop.post(tokenPath, refreshForm(first.text("refresh_token"))).wants(t, http.StatusBadRequest, "invalid_grant")

	for _, query := range []string{
		"?client=books", "?client_id=", "?client_id=books&client_id=shop", "?client_id=books&x=y",
		"?client_id=books;x", "?client_id=%zz", "?;", // what url.Values leaves out
	} {
		if got := w.internalCall(http.MethodDelete, path+query, service); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, got.status)
		}
	}
	if got := w.internalCall(http.MethodDelete, path+"?client_id="+url.QueryEscape("no\x00text"), service); got.status != http.StatusNotFound {
		t.Errorf("NUL: %d", got.status)
	}
	if got := w.internalCall(http.MethodDelete, path+"?client_id=books", service).ok(t); got.body["revoked"] != 2.0 {
		t.Errorf("%v", got.body)
	}
	if books.active(second.text("access_token")) || books.active(third.text("access_token")) {
		t.Error("a grant of the client is left")
	}
	if got := w.internalCall(http.MethodDelete, path, service).ok(t); got.body["revoked"] != 0.0 {
		t.Errorf("%v", got.body)
	}
	users.post(revokePath, url.Values{"token": {service}}).ok(t)
	if got := w.internalCall(http.MethodGet, path, service); got.status != http.StatusUnauthorized {
		t.Errorf("with a token that the service has revoked: %d", got.status)
	}
}

// Whoever is not a service of the platform neither sees nor revokes.
func TestGrantsAreForServicesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.standard()
	tokens := shop.tokens()
	path := "/internal/users/" + aliceID + "/grants"
	other, err := w.server.internalToken(t.Context(), "internal:users")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"nobody":         {"", http.StatusUnauthorized},
		"a user's token": {tokens.text("access_token"), http.StatusUnauthorized},
		"a client's":     {shop.post(tokenPath, ownForm("payments:create")).ok(t).text("access_token"), http.StatusUnauthorized},
		"nonsense":       {"x.y.z", http.StatusUnauthorized},
		"another scope":  {other, http.StatusForbidden},
	} {
		for _, call := range [][2]string{{http.MethodGet, path}, {http.MethodDelete, path}, {http.MethodDelete, path + "/x"}} {
			if got := w.internalCall(call[0], call[1], c.token); got.status != c.status {
				t.Errorf("%s: %s %s: %d", name, call[0], call[1], got.status)
			}
		}
	}
	if !shop.active(tokens.text("access_token")) {
		t.Error("it was revoked")
	}
	service := w.usersClient().post(tokenPath, ownForm(scopeGrants)).ok(t).text("access_token")
	if aud, _ := w.claimsOf(service)["aud"].([]any); len(aud) != 1 || aud[0] != internalAudience {
		t.Errorf("a service's token is for %v", aud)
	}
	shop.post(tokenPath, ownForm(scopeGrants)).wants(t, http.StatusBadRequest, "invalid_scope")
	if got := shop.post(parPath, shop.pushForm(with("scope", scopeGrants))); got.text("error") != "invalid_scope" {
		t.Errorf("a user was asked for it: %v", got.body)
	}
	for name, reg := range map[string]Registration{
		"with another scope": {Scopes: []string{scopeGrants, "payments:create"}, GrantTypes: []string{"client_credentials"}, Kind: "standard"},
		"the other way":      {Scopes: []string{"payments:create", scopeGrants}, GrantTypes: []string{"client_credentials"}, Kind: "standard"},
		"fapi2":              {Scopes: []string{scopeGrants}, GrantTypes: []string{"client_credentials"}, Kind: "fapi2", GenerateKey: true},
		"with users": {Scopes: []string{scopeGrants}, GrantTypes: []string{"authorization_code", "client_credentials"}, Kind: "standard",
			RedirectURIs: []string{"https://x.example/cb"}},
	} {
		reg.ID, reg.Name = "x", "X"
		if _, err := w.server.registry.AddClient(t.Context(), reg); err == nil || !strings.Contains(err.Error(), scopeGrants) && !strings.Contains(err.Error(), "service") {
			t.Errorf("%s: %v", name, err)
		}
	}
	meta := w.internalCall(http.MethodGet, metadataPath, "").ok(t)
	if names, _ := meta.body["scopes_supported"].([]any); len(names) < 5 || strings.Contains(strings.Join(texts(names), " "), "internal") {
		t.Errorf("published scopes: %v", names)
	}
}

func texts(list []any) []string {
	var all []string
	for _, v := range list {
		text, _ := v.(string)
		all = append(all, text)
	}
	return all
}
