package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// npmCI installs what the folder's lock file pins.
func npmCI(t *testing.T, name string) (folder string) {
	t.Helper()
	folder, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts")
	install.Dir = folder
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return folder
}

// TestStrangersVerifyWebhooks sends messages as they are sent, and lets npm's
// standardwebhooks and svix verify them; what was altered they refuse.
func TestStrangersVerifyWebhooks(t *testing.T) {
	t.Parallel()
	folder := npmCI(t, "receivers")
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body) // one that ended early does not verify
	}))
	defer server.Close()
	fresh, old, foreign := NewSecret(), NewSecret(), NewSecret()
	outcome := NewSender(true, time.Now).Send(t.Context(), Message{
		URL: server.URL, ID: "0190a1b2-0000-7000-8000-000000000000", Secrets: [][]byte{fresh, old},
		Body: []byte(`{"type":"payment.succeeded","timestamp":"2026-01-01T00:00:00Z","data":{"name":"Zoë <&>"}}`),
	})
	if !outcome.Delivered() {
		t.Fatalf("%+v", outcome)
	}
	verify := func(secret []byte, body string) (verdicts map[string]string) {
		t.Helper()
		headers := map[string]string{}
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			headers[name] = header.Get(name)
		}
		in, err := json.Marshal(map[string]any{"secret": FormatSecret(secret), "headers": headers, "body": body})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "node", "verify.mjs")
		cmd.Dir, cmd.Stdin = folder, strings.NewReader(string(in))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != 2 {
			t.Fatalf("%s %v", out, err)
		}
		return verdicts
	}
	for name, c := range map[string]struct {
		secret []byte
		body   string
		want   string
	}{
		"the new secret":     {fresh, string(body), "verified"},
		"the old secret":     {old, string(body), "verified"},
		"another secret":     {foreign, string(body), "WebhookVerificationError"},
		"an altered message": {fresh, string(body) + " ", "WebhookVerificationError"},
	} {
		for library, got := range verify(c.secret, c.body) {
			if got != c.want {
				t.Errorf("%s, %s: %s, want %s", library, name, got, c.want)
			}
		}
	}
}
