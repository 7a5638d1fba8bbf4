package introspect_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/introspect"
	"github.com/open-tollgate/tollgate/internal/token"
)

const (
	issuerURL = "https://auth.example.com"
	audience  = "https://api.example.com"
	opaque    = "2YotnFZFEjr1zCsicMWpAA"
)

var noon = time.Unix(1800000000, 0)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// server is an introspection endpoint.
type server struct {
	url   string
	asked atomic.Int32
}

// serve answers every question by the handler.
func serve(t testing.TB, handler http.HandlerFunc) *server {
	t.Helper()
	s := new(server)
	running := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(running.Close)
	s.url = running.URL
	return s
}

// answering gives the body as plain JSON.
func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = io.WriteString(w, body)
	}
}

// settings are complete but for the endpoint.
func settings(t testing.TB, endpoint string) introspect.Config {
	t.Helper()
	credentials, err := introspect.Secret("edge", "secret")
	if err != nil {
		t.Fatal(err)
	}
	return introspect.Config{
		Issuer:      token.Issuer{URL: issuerURL, Audiences: []string{audience}},
		Endpoint:    endpoint,
		Credentials: credentials,
		Now:         func() time.Time { return noon },
	}
}

func newClient(t testing.TB, c introspect.Config) *introspect.Client {
	t.Helper()
	client, err := introspect.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// description is what the issuer says of a good token, altered: nil removes a member.
func description(altered map[string]any) map[string]any {
	d := map[string]any{
		"active": true, "aud": audience, "sub": "user-1", "client_id": "client-1", "scope": "profile:read",
		"exp": noon.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(d, altered)
	maps.DeleteFunc(d, func(_ string, value any) bool { return value == nil })
	return d
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// reasonOf gives why the token is refused, and nothing when it is not.
func reasonOf(t testing.TB, err error) token.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *token.Error
	if !errors.As(err, &refused) || !slices.Contains(token.Reasons(), refused.Reason) {
		t.Fatalf("error outside the vocabulary: %v", err)
	}
	if strings.Contains(err.Error(), opaque) {
		t.Errorf("quotes the token: %v", err)
	}
	return refused.Reason
}

func verify(t testing.TB, c *introspect.Client, raw string) token.Reason {
	t.Helper()
	tok, err := c.Verify(t.Context(), raw)
	if (tok == nil) == (err == nil) {
		t.Fatal("neither a token nor a refusal, or both")
	}
	return reasonOf(t, err)
}
