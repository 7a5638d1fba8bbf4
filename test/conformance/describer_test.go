package conformance

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// describer answers questions about tokens as RFC 7662 has it.
type describer struct {
	url    string
	secret string // the file of the edge's secret
	asked  atomic.Int32
	down   atomic.Bool

	mu     sync.Mutex
	tokens map[string]map[string]any // what is active
	last   *http.Request             // of the questions, with its form
}

func newDescriber(t *testing.T) *describer {
	t.Helper()
	d := &describer{tokens: make(map[string]map[string]any)}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// ServeHTTP repeats the whole question when it is down: what a careless server says is
// to be found nowhere.
func (d *describer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.asked.Add(1)
	_ = r.ParseForm()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = r
	if d.down.Load() {
		w.Header().Set("Location", "http://127.0.0.1:1/?"+r.PostForm.Encode())
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, r.PostForm.Encode()+r.Header.Get("Authorization"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(d.describe(r.PostForm.Get("token")))
}

func (d *describer) describe(raw string) map[string]any {
	if description, ok := d.tokens[raw]; ok {
		return description
	}
	return map[string]any{"active": false}
}

// issue makes a token active.
func (d *describer) issue(raw, audience string, more map[string]any) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	description := map[string]any{
		"active": true, "aud": audience, "sub": "user-1", "client_id": "client-1",
		"scope": "payments:read", "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(description, more)
	d.tokens[raw] = description
	return raw
}

func (d *describer) question() *http.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// newOpaque starts an edge that asks the describer, with a secret in the environment and
// in a file, which can be changed while it runs.
func newOpaque(t *testing.T, config string, env ...string) (*platform, *describer) {
	t.Helper()
	d := newDescriber(t)
	d.secret = writeConfig(t, "secret", "s3cret\n")
	return newPlatformOf(t, writeConfig(t, "Caddyfile", config), append([]string{
		"INTROSPECTION=" + d.url, "EDGE_SECRET=s3cret", "SECRET_FILE=" + d.secret, "AUDIENCE=https://api.test",
	}, env...)...), d
}

// change writes another secret into the file.
func (d *describer) change(t *testing.T, secret string) {
	t.Helper()
	if err := os.WriteFile(d.secret, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectReason looks for the reason in the counter and in the access log.
func (p *platform) expectReason(t *testing.T, name, reason string, got answer) {
	t.Helper()
	result := "refused"
	if reason == "accepted" {
		result = "accepted"
	}
	if p.metric(`tollgate_token_decisions_total{api="pay",reason="`+reason+`",result="`+result+`"}`) == "0" {
		t.Errorf("%s: no decision because of %s", name, reason)
	}
	if reason == "accepted" {
		return
	}
	id := got.header.Get("X-Request-Id")
	waitFor(t, "the log line of "+name, func() bool {
		for line := range strings.Lines(p.log.String()) {
			if strings.Contains(line, id) && strings.Contains(line, `"handled request"`) && strings.Contains(line, `"reason":"`+reason+`"`) {
				return true
			}
		}
		return false
	})
}

// privateJWK is the key with its secret part.
func privateJWK(t *testing.T, k *tokentest.Key) []byte {
	t.Helper()
	d, err := k.Private.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := k.JWK()
	jwk["d"] = base64.RawURLEncoding.EncodeToString(d)
	document, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return document
}
