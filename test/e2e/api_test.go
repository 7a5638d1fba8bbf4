package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// answer is what an API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// json gives a member of the body by its path: "amount.value".
func (a answer) json(t *testing.T, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %s", path, a.body)
		}
		v = object[name]
	}
	return v
}

func (a answer) text(t *testing.T, path string) string {
	t.Helper()
	s, ok := a.json(t, path).(string)
	if !ok {
		t.Fatalf("%s is no string in %s", path, a.body)
	}
	return s
}

// request is a call of the API through the edge.
type request struct {
	method, path, token, key string
	body                     any // marshalled; nil for none
	header                   http.Header
}

func (d *demo) call(t *testing.T, c *http.Client, r request) answer {
	t.Helper()
	var body io.Reader
	if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(r.method, d.BaseURL+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	return do(t, c, req)
}

func do(t *testing.T, c *http.Client, req *http.Request) answer {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: content}
}

// form posts to one of the authorization server's endpoints as a standard client.
func (d *demo) form(t *testing.T, c *http.Client, path string, app client, values url.Values) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, d.BaseURL+path, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(app.ClientID), url.QueryEscape(app.ClientSecret))
	return do(t, c, req)
}

// clientToken gets a token by client credentials.
func (d *demo) clientToken(t *testing.T, c *http.Client, app client, scope string) string {
	t.Helper()
	a := d.form(t, c, "/oauth/token", app, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
	if a.status != http.StatusOK {
		t.Fatalf("client credentials: %d %s", a.status, a.body)
	}
	return a.text(t, "access_token")
}

// createPayment makes one that waits for consent.
func (d *demo) createPayment(t *testing.T, c *http.Client, token string, cents int64) answer {
	t.Helper()
	a := d.call(t, c, request{method: "POST", path: "/api/payments", token: token, key: uuid.NewString(), body: map[string]any{
		"amount": map[string]any{"value": cents, "currency": "EUR"}, "description": "A test", "end_to_end_id": uuid.NewString(),
	}})
	if a.status != http.StatusCreated {
		t.Fatalf("creating a payment: %d %s", a.status, a.body)
	}
	return a
}

// consent logs the first user in and approves; it gives the URL that the browser is sent back to.
func (d *demo) consent(t *testing.T, b *browser, authorizeURL, redirectURI string) *url.URL {
	t.Helper()
	b.stopAt = redirectURI
	p := b.get(authorizeURL)
	if p.asksForLogin() {
		p = login(t, d, p)
	}
	return p.submit("approve", nil).redirect()
}

// pkceVerifier is fixed: nobody attacks the tests' own codes.
const (
	pkceVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	pkceChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
)

// pushed pushes an authorization request and gives the URL for the browser.
func (d *demo) pushed(t *testing.T, c *http.Client, app client, scope string, details ...any) string {
	t.Helper()
	values := url.Values{
		"response_type": {"code"}, "redirect_uri": {app.RedirectURIs[0]}, "scope": {scope}, "state": {"s-1"},
		"code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"},
	}
	if len(details) > 0 {
		b, err := json.Marshal(details)
		if err != nil {
			t.Fatal(err)
		}
		values.Set("authorization_details", string(b))
	}
	a := d.form(t, c, "/oauth/par", app, values)
	if a.status != http.StatusCreated {
		t.Fatalf("PAR: %d %s", a.status, a.body)
	}
	return d.BaseURL + "/oauth/authorize?" + url.Values{"client_id": {app.ClientID}, "request_uri": {a.text(t, "request_uri")}}.Encode()
}

// userToken walks the code flow as the shop's own back end would, for one payment.
func (d *demo) userToken(t *testing.T, c *http.Client, app client, payment answer) string {
	t.Helper()
	authorize := d.pushed(t, c, app, "payments:confirm payments:read", payment.json(t, "authorization_details"))
	back := d.consent(t, newBrowser(t, d), authorize, app.RedirectURIs[0])
	if back.Query().Get("iss") != d.Issuer || back.Query().Get("state") != "s-1" {
		t.Fatalf("the answer lacks iss (RFC 9207) or state: %s", back)
	}
	a := d.form(t, c, "/oauth/token", app, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {app.RedirectURIs[0]}, "code_verifier": {pkceVerifier},
	})
	if a.status != http.StatusOK {
		t.Fatalf("code: %d %s", a.status, a.body)
	}
	return a.text(t, "access_token")
}

// confirm is the call that pays.
func (d *demo) confirm(t *testing.T, c *http.Client, payment answer, token, key string) answer {
	t.Helper()
	return d.call(t, c, request{method: "POST", path: "/api/payments/" + payment.text(t, "id") + "/confirm", token: token, key: key})
}
