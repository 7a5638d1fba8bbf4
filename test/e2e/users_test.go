package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// operator runs one of the operator's commands on the demo's data and reads what it prints.
func (d *demo) operator(t *testing.T, stdin string, result any, program string, args ...string) {
	t.Helper()
	args = append(args, "--database", filepath.Join(d.dir, program+".db"), "--secret-file", filepath.Join(d.dir, program+".key"))
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, stderr.String())
	}
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatal(err)
	}
}

// privacyApp is a client in which users manage their data.
func privacyApp(t *testing.T, d *demo, id, scope string) client {
	t.Helper()
	app := client{RedirectURIs: []string{"http://localhost:9/callback"}}
	d.operator(t, "", &app, "auth", "client", "add", "--id", id, "--name", "Privacy app", "--kind", "standard",
		"--redirect-uri", "http://localhost:9/callback", "--grant", "authorization_code,refresh_token", "--scope", strings.ReplaceAll(scope, " ", ","))
	return app
}

// granted walks the code flow as the user and gives what the token endpoint answers.
func (d *demo) granted(t *testing.T, app client, scope, username, password string) answer {
	t.Helper()
	c, b := d.http(t), newBrowser(t, d)
	b.stopAt = app.RedirectURIs[0]
	p := b.get(d.pushed(t, c, app, scope))
	p = p.submit("Sign in", url.Values{"username": {username}, "password": {password}})
	code := p.submit("approve", nil).redirect().Query().Get("code")
	a := d.form(t, c, "/oauth/token", app, url.Values{
		"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {app.RedirectURIs[0]}, "code_verifier": {pkceVerifier},
	})
	if a.status != http.StatusOK {
		t.Fatalf("code: %d %s", a.status, a.body)
	}
	return a
}

// TestUsersRuleOverTheirData walks what a user does with their own data, through
// the edge, the authorization server and payments.
func TestUsersRuleOverTheirData(t *testing.T) {
	t.Parallel()
	d := shared(t)
	c := d.http(t)
	const old, password = "a password to be changed", "the password that came after"
	name := "privacy-" + uuid.NewString()[:8]
	var user struct{ ID string }
	d.operator(t, old, &user, "users", "add", "--username", name, "--name", "Petra Privat", "--email", name+"@example.com", "--password-file", "-")
	const scope = "profile:read profile:export profile:delete password:write consents:read consents:write"
	manager := privacyApp(t, d, name+"-manager", scope)
	other := privacyApp(t, d, name+"-other", "profile:read")

	reading := d.granted(t, other, "profile:read", name, old)
	token := d.granted(t, manager, scope, name, old).text(t, "access_token")
	call := func(method, path string, body any) answer {
		t.Helper()
		return d.call(t, c, request{method: method, path: "/api/users/me" + path, token: token, body: body})
	}
	if a := call("POST", "/password", map[string]any{"current_password": old, "new_password": password, "keep_access": true}); a.status != http.StatusNoContent {
		t.Fatalf("password: %d %s", a.status, a.body)
	}

	var list struct {
		Data []struct {
			ID       string
			ClientID string `json:"client_id"`
			Scopes   []string
		}
	}
	consents := call("GET", "/consents", nil)
	if err := json.Unmarshal(consents.body, &list); err != nil || consents.status != http.StatusOK || len(list.Data) != 2 {
		t.Fatalf("consents: %d %s", consents.status, consents.body)
	}
	var consent string
	for _, given := range list.Data {
		if given.ClientID == other.ClientID {
			consent = given.ID
		}
	}
	if a := call("DELETE", "/consents/"+consent, nil); a.status != http.StatusNoContent {
		t.Fatalf("revoking: %d %s", a.status, a.body)
	}
	refresh := d.form(t, c, "/oauth/token", other, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {reading.text(t, "refresh_token")}})
	if refresh.status != http.StatusBadRequest || refresh.text(t, "error") != "invalid_grant" {
		t.Errorf("the refresh token of a consent that is revoked: %d %s", refresh.status, refresh.body)
	}
	if err := json.Unmarshal(call("GET", "/consents", nil).body, &list); err != nil || len(list.Data) != 1 {
		t.Errorf("%d consents after one was revoked, %v", len(list.Data), err)
	}

	export := call("GET", "/export", nil)
	if export.status != http.StatusOK || export.text(t, "profile.email") != name+"@example.com" {
		t.Errorf("export: %d %s", export.status, export.body)
	}

	var account any
	d.operator(t, "", &account, "payments", "account", "open", "--owner", user.ID, "--name", "Everyday", "--currency", "EUR", "--deposit", "1")
	refused(t, call("DELETE", "", nil), http.StatusConflict, "money_open")
}

// TestANewPasswordEndsTokens has a user change the password: tokens of before are refused
// at the edge, that of the app which changed it too.
func TestANewPasswordEndsTokens(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--redis", "redis://"+testenv.Redis(t))
	c := d.http(t)
	const old, fresh = "a password to be changed", "the password that came after"
	var user struct{ ID string }
	d.operator(t, old, &user, "users", "add", "--username", "petra", "--name", "Petra Privat", "--email", "petra@example.com", "--password-file", "-")
	manager := privacyApp(t, d, "manager", "profile:read password:write")
	other := privacyApp(t, d, "other", "profile:read")
	changing := d.granted(t, manager, "profile:read password:write", "petra", old).text(t, "access_token")
	reading := d.granted(t, other, "profile:read", "petra", old)
	ask := func(token string) answer {
		t.Helper()
		return d.call(t, c, request{method: "GET", path: "/api/users/me", token: token})
	}
	tokens := []string{changing, reading.text(t, "access_token")}
	for _, token := range tokens {
		if a := ask(token); a.status != http.StatusOK {
			t.Fatalf("before: %d %s", a.status, a.body)
		}
	}
	a := d.call(t, c, request{method: "POST", path: "/api/users/me/password", token: changing,
		body: map[string]any{"current_password": old, "new_password": fresh}})
	if a.status != http.StatusNoContent {
		t.Fatalf("password: %d %s", a.status, a.body)
	}
	for _, token := range tokens {
		last := ask(token)
		for until := time.Now().Add(30 * time.Second); last.status == http.StatusOK && time.Now().Before(until); last = ask(token) {
			time.Sleep(50 * time.Millisecond)
		}
		refused(t, last, http.StatusUnauthorized, "invalid_token")
	}
	refresh := d.form(t, c, "/oauth/token", other, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {reading.text(t, "refresh_token")}})
	if refresh.status != http.StatusBadRequest || refresh.text(t, "error") != "invalid_grant" {
		t.Errorf("the refresh token of before: %d %s", refresh.status, refresh.body)
	}
	if a := ask(d.granted(t, other, "profile:read", "petra", fresh).text(t, "access_token")); a.status != http.StatusOK {
		t.Errorf("a token by the new password: %d %s", a.status, a.body)
	}
}

// TestAUserIsErased is the end of an account, at the services that take part.
func TestAUserIsErased(t *testing.T) {
	t.Parallel()
	d := shared(t)
	const password = "a password for a while"
	name := "leaving-" + uuid.NewString()[:8]
	var user struct{ ID string }
	d.operator(t, password, &user, "users", "add", "--username", name, "--name", "Lea Ving", "--email", name+"@example.com", "--password-file", "-")
	app := privacyApp(t, d, name+"-app", "profile:read profile:delete")
	tokens := d.granted(t, app, "profile:read profile:delete", name, password)
	c := d.http(t)
	if a := d.call(t, c, request{method: "DELETE", path: "/api/users/me", token: tokens.text(t, "access_token")}); a.status != http.StatusAccepted {
		t.Fatalf("closing: %d %s", a.status, a.body)
	}
	refresh := d.form(t, c, "/oauth/token", app, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text(t, "refresh_token")}})
	if refresh.status != http.StatusBadRequest {
		t.Errorf("the app keeps its access: %d %s", refresh.status, refresh.body)
	}
	b := newBrowser(t, d)
	p := b.get(d.pushed(t, c, app, "profile:read")).submit("Sign in", url.Values{"username": {name}, "password": {password}})
	if !p.asksForLogin() {
		t.Errorf("somebody whose account is being closed can sign in: %s", p.url)
	}
}
