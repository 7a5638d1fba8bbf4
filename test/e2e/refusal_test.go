package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/html"
)

// refused checks that an answer is a refusal as Tollgate speaks it.
func refused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s %s, want a problem with status %d", a.status, a.header.Get("Content-Type"), a.body, status)
		return
	}
	if code != "" && a.text(t, "code") != code {
		t.Errorf("got code %s, want %s", a.text(t, "code"), code)
	}
	if a.header.Get("X-Request-Id") == "" || a.header.Get("X-Fapi-Interaction-Id") == "" {
		t.Error("the refusal has no request id or interaction id")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	d := shared(t)
	c := d.http(t)
	service := d.client(t, "demo-service")
	get := func(token string) answer {
		return d.call(t, c, request{method: "GET", path: "/api/payments", token: token})
	}

	t.Run("no token", func(t *testing.T) {
		a := get("")
		refused(t, a, 401, "")
		challenge := strings.Join(a.header.Values("WWW-Authenticate"), ", ")
		if !strings.Contains(challenge, "Bearer") || !strings.Contains(challenge, "DPoP") || strings.Contains(challenge, "error=") {
			t.Errorf("the challenge of RFC 6750 section 3.1 has both schemes and no error code here: %s", challenge)
		}
	})
	t.Run("altered token", func(t *testing.T) {
		token := d.clientToken(t, c, service, "payments:read")
		middle := len(token) / 2
		refused(t, get(token[:middle]+"A"+token[middle+2:]), 401, "invalid_token")
	})
	t.Run("wrong audience", func(t *testing.T) {
		refused(t, get(otherServer(t, d, service, "--audience", "https://elsewhere.example/api")), 401, "invalid_token")
	})
	t.Run("expired", func(t *testing.T) {
		token := otherServer(t, d, service, "--access-token-lifetime", "3s")
		if a := get(token); a.status != 200 {
			t.Fatalf("fresh: %d %s", a.status, a.body)
		}
		// The edge remembers the token now, and must forget it in time.
		for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(250 * time.Millisecond) {
			a := get(token)
			if a.status == 401 {
				refused(t, a, 401, "invalid_token")
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("a token of three seconds passes after 90 s")
			}
		}
	})
	t.Run("missing scope", func(t *testing.T) {
		a := d.call(t, c, request{method: "POST", path: "/api/payments", key: uuid.NewString(),
			token: d.clientToken(t, c, service, "payments:read"), body: map[string]any{}})
		refused(t, a, 403, "insufficient_scope")
		if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="payments:create"`) {
			t.Errorf("the challenge does not name the scope: %s", got)
		}
	})
	t.Run("somebody else's payment", func(t *testing.T) {
		mine := d.createPayment(t, c, d.clientToken(t, c, service, "payments:create"), 100)
		token := d.clientToken(t, c, d.client(t, "shop"), "payments:read")
		refused(t, d.call(t, c, request{method: "GET", path: "/api/payments/" + mine.text(t, "id"), token: token}), 404, "")
	})
	t.Run("internal endpoints", func(t *testing.T) {
		for _, path := range []string{"/internal/password-checks", "/internal/accounts?owner=x", "/metrics", "/readyz", "/healthz"} {
			refused(t, d.call(t, c, request{method: "GET", path: path, token: d.clientToken(t, c, service, "payments:read")}), 404, "")
		}
	})
}

// otherServer runs a second authorization server on the demo's own keys and
// clients, with other settings, and gets a token from it: one that the real key
// has signed and that is wrong in one thing.
func otherServer(t *testing.T, d *demo, app client, setting ...string) string {
	t.Helper()
	listen := "127.0.0.1:" + strconv.Itoa(freePort(t))
	args := []string{"serve", "--listen", listen, "--issuer", d.Issuer, "--audience", d.Issuer + "/api",
		"--users-url", "http://127.0.0.1:1", "--payments-url", "http://127.0.0.1:1",
		"--database", filepath.Join(d.dir, "auth.db"), "--secret-file", filepath.Join(d.dir, "auth.key")}
	cmd := exec.Command(filepath.Join(bin, "auth"), append(args, setting...)...)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // a failed start has said why
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	values := url.Values{"grant_type": {"client_credentials"}, "scope": {"payments:read"}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodPost, "http://"+listen+"/oauth/token", strings.NewReader(values.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(app.ClientID, app.ClientSecret)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			defer func() { _ = res.Body.Close() }()
			var answer struct {
				Token string `json:"access_token"`
			}
			if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
				t.Fatalf("no token: %s %v", res.Status, err)
			}
			return answer.Token
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestConsentBindsThePayment: what the customer approved is what is paid, once.
func TestConsentBindsThePayment(t *testing.T) {
	t.Parallel()
	d := shared(t)
	c := d.http(t)
	shop := d.client(t, "shop")
	app := d.clientToken(t, c, shop, "payments:create payments:read")
	approved, other := d.createPayment(t, c, app, 1250), d.createPayment(t, c, app, 990000)
	token := d.userToken(t, c, shop, approved)

	t.Run("another payment", func(t *testing.T) {
		refused(t, d.confirm(t, c, other, token, uuid.NewString()), 403, "")
	})
	t.Run("without consent", func(t *testing.T) {
		refused(t, d.confirm(t, c, approved, app, uuid.NewString()), 403, "insufficient_scope")
	})
	t.Run("without a key", func(t *testing.T) {
		refused(t, d.confirm(t, c, approved, token, ""), 400, "")
	})
	key := uuid.NewString()
	first := d.confirm(t, c, approved, token, key)
	if first.status != 200 || first.text(t, "status") != "succeeded" {
		t.Fatalf("confirm: %d %s", first.status, first.body)
	}
	t.Run("replayed key", func(t *testing.T) {
		again := d.confirm(t, c, approved, token, key)
		if again.status != first.status || string(again.body) != string(first.body) {
			t.Errorf("a replay answers %d %s, the first time it was %d %s", again.status, again.body, first.status, first.body)
		}
	})
	t.Run("another key", func(t *testing.T) {
		if a := d.confirm(t, c, approved, token, uuid.NewString()); a.status < 400 {
			t.Errorf("paid a second time: %d %s", a.status, a.body)
		}
	})
	t.Run("one key for two payloads", func(t *testing.T) {
		body := map[string]any{"amount": map[string]any{"value": 100, "currency": "EUR"}, "description": "x", "end_to_end_id": uuid.NewString()}
		r := request{method: "POST", path: "/api/payments", token: app, key: uuid.NewString(), body: body}
		if a := d.call(t, c, r); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		body["amount"] = map[string]any{"value": 101, "currency": "EUR"}
		refused(t, d.call(t, c, r), 422, "")
	})
}

// TestAlteredAmount: an app that asks the customer for another amount, payee or
// payment than the one it created gets no consent page for it.
func TestAlteredAmount(t *testing.T) {
	t.Parallel()
	d := shared(t)
	c := d.http(t)
	shop := d.client(t, "shop")
	payment := d.createPayment(t, c, d.clientToken(t, c, shop, "payments:create"), 1250)
	details := payment.json(t, "authorization_details").(map[string]any)
	for name, alter := range map[string]func(map[string]any){
		"amount":      func(m map[string]any) { m["instructedAmount"] = map[string]any{"currency": "EUR", "amount": "12.51"} },
		"spelling":    func(m map[string]any) { m["instructedAmount"] = map[string]any{"currency": "EUR", "amount": "12.500"} },
		"payee":       func(m map[string]any) { m["creditorName"] = "Tax Office" },
		"account":     func(m map[string]any) { m["creditorAccount"] = map[string]any{"id": uuid.NewString()} },
		"payment":     func(m map[string]any) { m["paymentId"] = uuid.NewString() },
		"extra field": func(m map[string]any) { m["instalments"] = 12 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			altered := maps.Clone(details)
			alter(altered)
			b, err := json.Marshal([]any{altered})
			if err != nil {
				t.Fatal(err)
			}
			a := d.form(t, d.http(t), "/oauth/par", shop, url.Values{
				"response_type": {"code"}, "redirect_uri": {shop.RedirectURIs[0]}, "scope": {"payments:confirm"}, "state": {"s"},
				"code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"}, "authorization_details": {string(b)},
			})
			if a.status != 201 {
				return // refused at once: as good
			}
			browser := newBrowser(t, d)
			browser.stopAt = shop.RedirectURIs[0]
			p := browser.get(d.BaseURL + "/oauth/authorize?" + url.Values{"client_id": {shop.ClientID}, "request_uri": {a.text(t, "request_uri")}}.Encode())
			if p.asksForLogin() {
				p = login(t, d, p)
			}
			if find(p.root, func(n *html.Node) bool { return attr(n, "value") == "approve" }) != nil {
				t.Errorf("the customer is asked to approve it:\n%s", p.text)
			}
		})
	}
}
