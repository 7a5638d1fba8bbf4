package main

import (
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/":                {200, `data-testid="add-kettle"`},
		"/basket":          {200, "nothing in it yet"},
		"/orders/unknown":  {404, "nothing at this address"},
		"/nowhere":         {404, "nothing at this address"},
		"/static/shop.css": {200, "--paper"},
		"/healthz":         {200, "ok"},
	} {
		resp, body := h.get(path)
		if resp.StatusCode != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self' "+h.tollgate.server.URL) {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	if len(h.browser.Jar.Cookies(mustParse(t, h.url))) != 0 {
		t.Error("looking around starts a session")
	}
}

func TestOrdersArePrivate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := h.approve(h.buy())
	h.browser = newBrowser(t)
	h.post("/basket", url.Values{"product": {"fern"}})
	if resp, _ := h.get(path); resp.StatusCode != http.StatusNotFound {
		t.Errorf("status %d, want 404", resp.StatusCode)
	}
}

func TestForgedPostsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	req, err := http.NewRequest(http.MethodPost, h.url+"/basket", strings.NewReader("product=fern"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://evil.example")
	if resp, _ := h.do(req); resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", resp.StatusCode)
	}
}

func TestOtherHostNamesLeadToThePublicOne(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	req, err := http.NewRequest(http.MethodGet, h.url+"/basket?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "elsewhere.example"
	resp, _ := h.do(req)
	if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != h.url+"/basket?x=1" {
		t.Errorf("%d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
}

func TestBasketIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range maxQuantity + 3 {
		h.post("/basket", url.Values{"product": {"fern"}})
	}
	if _, body := h.get("/"); !strings.Contains(body, `data-testid="basket-count">9<`) {
		t.Error("more pieces than allowed")
	}
	h.post("/basket/fern", url.Values{"quantity": {"0"}})
	if _, body := h.get("/basket"); !strings.Contains(body, "nothing in it yet") {
		t.Error("not removed")
	}
	if location := h.post("/checkout", nil); location != "/basket" {
		t.Errorf("an empty basket leads to %s", location)
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	t.Parallel()
	r := newRecent[int](2)
	r.put("a", 1)
	r.put("b", 2)
	r.get("a")
	r.put("c", 3)
	if _, ok := r.get("b"); ok {
		t.Error("b was used least recently and is still there")
	}
	if v, ok := r.take("a"); !ok || v != 1 {
		t.Error("a is gone")
	}
	if _, ok := r.take("a"); ok {
		t.Error("a was taken and is still there")
	}
}

func TestRefreshSlowsDown(t *testing.T) {
	t.Parallel()
	if refreshAfter(time.Second) >= refreshAfter(time.Hour) {
		t.Error("the page asks as often after an hour")
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no client":            {nil, "--client-id"},
		"tollgate in clear":    {[]string{"--client-id", "c", "--tollgate", "http://pay.example"}, "https://"},
		"public URL with path": {[]string{"--client-id", "c", "--public-url", "https://shop.example/x"}, "not an origin"},
		"currency":             {[]string{"--client-id", "c", "--currency", "XXX"}, "CHF, EUR, GBP, USD"},
		"argument":             {[]string{"--client-id", "c", "more"}, `"more"`},
	} {
		if _, err := parseConfig(test.args, secrets, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := parseConfig([]string{"--client-id", "c"}, func(string) string { return "" }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "SHOP_CLIENT_SECRET") || !strings.Contains(err.Error(), "--webhook-secret-file") {
		t.Errorf("missing secrets: %v", err)
	}
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSecret("client", "", file)
	if err != nil || got != "from-file" {
		t.Errorf("%q, %v", got, err)
	}
}

// The shop is a stranger: it may use nothing that another developer cannot.
func TestImportsNothingOfTollgate(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			if strings.Contains(imported.Path.Value, "open-tollgate/tollgate") {
				t.Errorf("%s imports %s", file, imported.Path.Value)
			}
		}
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
