package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const testWebhookSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

// harness is a shop, its Tollgate, and one browser.
type harness struct {
	t        *testing.T
	tollgate *fakeTollgate
	shop     *Shop
	url      string
	browser  *http.Client

	mu     sync.Mutex
	pauses []time.Duration
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, tollgate: newFakeTollgate(t)}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	h.url = server.URL
	cfg, err := parseConfig([]string{
		"--public-url", server.URL, "--tollgate", h.tollgate.server.URL,
		"--ca-cert", h.tollgate.caFile(), "--client-id", testClientID,
	}, secrets, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if h.shop, err = newShop(cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	h.shop.tollgate.pause = func(_ context.Context, d time.Duration) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.pauses = append(h.pauses, d)
		return nil
	}
	handler = h.shop.handler()
	h.browser = newBrowser(t)
	return h
}

func secrets(name string) string {
	return map[string]string{"SHOP_CLIENT_SECRET": testClientSecret, "SHOP_WEBHOOK_SECRET": testWebhookSecret}[name]
}

// newBrowser keeps cookies and follows no redirects.
func newBrowser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends a request and gives the answer with its body.
func (h *harness) do(req *http.Request) (*http.Response, string) {
	h.t.Helper()
	resp, err := h.browser.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(body)
}

func (h *harness) get(path string) (*http.Response, string) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(req)
}

// post submits a form and gives where it leads.
func (h *harness) post(path string, form url.Values) string {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", h.url)
	resp, body := h.do(req)
	if resp.StatusCode != http.StatusSeeOther {
		h.t.Fatalf("POST %s: %d %s", path, resp.StatusCode, body)
	}
	return resp.Header.Get("Location")
}

// buy fills the basket and presses "pay".
func (h *harness) buy() (location string) {
	h.t.Helper()
	h.post("/basket", url.Values{"product": {"coffee"}})
	h.post("/basket", url.Values{"product": {"mug"}})
	h.post("/basket/mug", url.Values{"quantity": {"2"}})
	return h.post("/checkout", nil)
}

// comeBack returns from the consent page with the given answer.
func (h *harness) comeBack(authorizationAddress string, answer url.Values) (*http.Response, string) {
	h.t.Helper()
	pushed := h.tollgate.request(authorizationAddress)
	query := url.Values{"state": {pushed.Get("state")}, "iss": {h.tollgate.server.URL}}
	for name, values := range answer {
		query[name] = values
	}
	return h.get("/callback?" + query.Encode())
}

// approve returns from the consent page with a code.
func (h *harness) approve(authorizationAddress string) (orderPath string) {
	h.t.Helper()
	u, _ := url.Parse(authorizationAddress)
	resp, body := h.comeBack(authorizationAddress, url.Values{"code": {u.Query().Get("request_uri")}})
	if resp.StatusCode != http.StatusSeeOther {
		h.t.Fatalf("callback: %d %s", resp.StatusCode, body)
	}
	return resp.Header.Get("Location")
}

var statusAttribute = regexp.MustCompile(`data-status="(\w+)"`)

func (h *harness) wantStatus(path string, want Status) string {
	h.t.Helper()
	_, body := h.get(path)
	found := statusAttribute.FindStringSubmatch(body)
	if found == nil || found[1] != string(want) {
		h.t.Fatalf("order is %v, want %s: %s", found, want, body)
	}
	return body
}

// notify delivers a webhook as Tollgate does and gives the status.
func (h *harness) notify(id string, at time.Time, secret, kind string, payment Payment) int {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"type": kind, "timestamp": at, "data": payment})
	if err != nil {
		h.t.Fatal(err)
	}
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		h.t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, body)
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, h.url+"/webhooks", strings.NewReader(string(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	req.Header.Set("webhook-signature", "v1,bm90IHRoaXMgb25l "+signature)
	resp, _ := h.do(req)
	return resp.StatusCode
}

func TestPurchase(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	address := h.buy()

	pushed := h.tollgate.request(address)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": testClientID, "scope": "payments:confirm payments:read",
		"redirect_uri": h.url + "/callback", "code_challenge_method": "S256",
		"authorization_details": `[{"type":"payment_initiation","paymentId":"pay-1","cents":4050}]`,
	} {
		if got := pushed.Get(name); got != want {
			t.Errorf("pushed %s = %q, want %q", name, got, want)
		}
	}
	path := h.approve(address)
	if body := h.wantStatus(path, Waiting); !strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("the page does not look again by itself")
	}
	if _, confirms := h.tollgate.counts(); len(confirms) != 1 {
		t.Fatalf("confirms: %v", confirms)
	}
	payment := h.tollgate.onlyPayment()
	if status := h.notify("msg_1", time.Now(), testWebhookSecret, "payment.succeeded", payment); status != http.StatusNoContent {
		t.Fatalf("webhook: %d", status)
	}
	if body := h.wantStatus(path, Paid); strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("the paid page still reloads")
	}
	if again := h.post(path+"/pay", nil); again != path {
		t.Errorf("paying a paid order leads to %s", again)
	}
	if _, body := h.get("/basket"); !strings.Contains(body, "basket-empty") {
		t.Error("the basket is not empty after the order")
	}
}

func TestCallbackRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer   url.Values
		stranger bool // comes from another browser
		status   int
	}{
		"another state":          {answer: url.Values{"state": {"guess"}, "code": {"x"}}, status: http.StatusBadRequest},
		"no state":               {answer: url.Values{"state": nil, "code": {"x"}}, status: http.StatusBadRequest},
		"another browser":        {answer: url.Values{"code": {"x"}}, stranger: true, status: http.StatusBadRequest},
		"another issuer":         {answer: url.Values{"iss": {"https://evil.example"}, "code": {"x"}}, status: http.StatusBadRequest},
		"no issuer":              {answer: url.Values{"iss": nil, "code": {"x"}}, status: http.StatusBadRequest},
		"denied":                 {answer: url.Values{"error": {"access_denied"}}, status: http.StatusSeeOther},
		"server error":           {answer: url.Values{"error": {"server_error"}}, status: http.StatusSeeOther},
		"somebody's code":        {answer: url.Values{"code": {"x"}}, status: http.StatusSeeOther},
		"neither code nor error": {answer: url.Values{}, status: http.StatusSeeOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			address := h.buy()
			if test.stranger {
				h.browser = newBrowser(t)
			}
			resp, body := h.comeBack(address, test.answer)
			if resp.StatusCode != test.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, test.status, body)
			}
			if _, confirms := h.tollgate.counts(); len(confirms) != 0 {
				t.Fatal("a payment was confirmed")
			}
			if test.status != http.StatusSeeOther {
				return
			}
			h.wantStatus(resp.Header.Get("Location"), Unpaid)
			if resp, _ := h.comeBack(address, test.answer); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("a state counted twice: %d", resp.StatusCode)
			}
		})
	}
}

func TestPayAgainAfterDenialUsesTheSamePayment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	resp, _ := h.comeBack(h.buy(), url.Values{"error": {"access_denied"}})
	path := resp.Header.Get("Location")
	if body := h.wantStatus(path, Unpaid); !strings.Contains(body, "did not approve") {
		t.Errorf("no kind word: %s", body)
	}
	h.wantStatus(h.approve(h.post(path+"/pay", nil)), Waiting)
	h.tollgate.onlyPayment()
}

func TestPayAgainAfterRejectionMakesANewPayment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tollgate.setOutcome("rejected")
	path := h.approve(h.buy())
	h.wantStatus(path, Unpaid)
	h.tollgate.setOutcome("succeeded")
	h.wantStatus(h.approve(h.post(path+"/pay", nil)), Waiting)
	payments, confirms := h.tollgate.counts()
	if payments != 2 || len(confirms) != 2 || confirms[0] == confirms[1] {
		t.Errorf("%d payments, confirms %v", payments, confirms)
	}
}

func TestExpiredPaymentIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	resp, _ := h.comeBack(h.buy(), url.Values{"error": {"access_denied"}})
	h.tollgate.setStatus("pay-1", "expired")
	h.wantStatus(h.approve(h.post(resp.Header.Get("Location")+"/pay", nil)), Waiting)
	if payments, _ := h.tollgate.counts(); payments != 2 {
		t.Errorf("%d payments, want 2", payments)
	}
}

func TestLostConfirmIsNotPaidTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	address := h.buy()
	h.tollgate.failFirst(2, "/api/payments/pay-1/confirm", http.StatusBadGateway, nil)
	h.wantStatus(h.approve(address), Waiting)
	if _, confirms := h.tollgate.counts(); len(confirms) != 1 || confirms[0] == "" {
		t.Errorf("confirms: %v", confirms)
	}
}

func TestUnknownOutcomeIsAskedForBeforePayingAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	address := h.buy()
	h.tollgate.failFirst(maxTries, "/api/payments/pay-1/confirm", http.StatusGatewayTimeout, nil)
	path := h.approve(address)
	h.wantStatus(path, Unpaid)
	h.tollgate.setStatus("pay-1", "succeeded") // the lost request had arrived after all
	if again := h.post(path+"/pay", nil); again != path {
		t.Fatalf("the customer is asked to pay again: %s", again)
	}
	h.wantStatus(path, Waiting)
}

func TestRevokedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tollgate.refused["shop-1"] = true
	h.buy()
	h.tollgate.onlyPayment()
	if h.tollgate.tokens != 2 {
		t.Errorf("%d tokens were made, want 2", h.tollgate.tokens)
	}
	h.buy()
	if h.tollgate.tokens != 2 {
		t.Error("the token is not kept")
	}
}

func TestTroubleIsToldKindly(t *testing.T) {
	t.Parallel()
	long := http.Header{"Retry-After": {"120"}}
	short := http.Header{"Retry-After": {"3"}}
	for name, test := range map[string]struct {
		path   string
		times  int
		status int
		header http.Header
		words  string // "": the second try works
		pauses []time.Duration
	}{
		"a moment of limit":   {path: "/api/payments", times: 1, status: 429, header: short, pauses: []time.Duration{3 * time.Second}},
		"a long limit":        {path: "/api/payments", times: 9, status: 429, header: long, words: "try again in 120 seconds"},
		"limit at the token":  {path: "/oauth/token", times: 9, status: 429, header: long, words: "try again in 120 seconds"},
		"still running":       {path: "/api/payments", times: 1, status: 409, header: short, pauses: []time.Duration{3 * time.Second}},
		"down":                {path: "/oauth/par", times: 9, status: 503, words: "busy", pauses: []time.Duration{firstPause, 2 * firstPause}},
		"nobody knows":        {path: "/api/payments", times: 9, status: 500, words: "do not know yet", pauses: []time.Duration{firstPause, 2 * firstPause}},
		"a moment of trouble": {path: "/api/payments", times: 1, status: 500, pauses: []time.Duration{firstPause}},
		"no discovery":        {path: "/.well-known/oauth-authorization-server", times: 1, status: 502, pauses: []time.Duration{firstPause}},
		"refused":             {path: "/api/payments", times: 9, status: 422, words: "did not accept"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.tollgate.failFirst(test.times, test.path, test.status, test.header)
			location := h.buy()
			if test.words == "" {
				h.tollgate.request(location)
			} else if body := h.wantStatus(location, Unpaid); !strings.Contains(body, test.words) {
				t.Errorf("%q is not said: %s", test.words, body)
			}
			if fmt.Sprint(h.pauses) != fmt.Sprint(test.pauses) {
				t.Errorf("pauses %v, want %v", h.pauses, test.pauses)
			}
		})
	}
}

func TestTollgateOutOfReach(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.tollgate.server.Close()
	if body := h.wantStatus(h.buy(), Unpaid); !strings.Contains(body, "could not reach") {
		t.Error(body)
	}
}
