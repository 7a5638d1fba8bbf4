package users

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const (
	testIssuer   = "https://localhost:8443"
	testPassword = "correct horse battery"
)

// harness is a service on a fresh database, and somebody to sign its tokens.
type harness struct {
	t      testing.TB
	svc    *Service
	issuer *tokentest.Issuer
	config Config
	logs   *logBuffer
	// handler is svc, held to its document.
	handler  http.Handler
	doc      *openapitest.Document
	platform *fakePlatform
	keyFile  string

	mu    sync.Mutex
	clock time.Time
}

// Where the cost of a hash is not what is tested, the tests do with a part of it.
func TestMain(m *testing.M) {
	if currentCost != fullCost {
		panic("what is shipped hashes at another cost")
	}
	currentCost.memory = 2 << 10
	os.Exit(m.Run())
}

// fresh gives databases of the service.
var fresh = databasetest.NewTemplate(Open)

func newHarness(t testing.TB, dsn string) *harness {
	t.Helper()
	h := &harness{t: t, issuer: tokentest.NewIssuer(t, testIssuer), logs: &logBuffer{}, clock: time.Now()}
	keys := httptest.NewServer(h.issuer.Handler())
	t.Cleanup(keys.Close)
	db, err := Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h.keyFile = filepath.Join(t.TempDir(), "users.key")
	masterKeys, err := OpenKeys(h.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	h.platform = &fakePlatform{grants: make(map[string][]Consent)}
	h.doc = openapitest.Load(t, Document)
	h.config = Config{
		DB: db, Keys: masterKeys, Platform: h.platform,
		Gates:  newGates(t, keys.URL),
		Logger: slog.New(slog.NewJSONHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:    h.now,
	}
	h.restart()
	return h
}

// restart makes the service anew, on the same database.
func (h *harness) restart() {
	h.t.Helper()
	svc, err := New(h.t.Context(), h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.svc, h.handler = svc, h.doc.Handler(h.t, svc)
}

func newGates(t testing.TB, keys string) tokencheck.Gates {
	t.Helper()
	gates, err := tokencheck.NewGates(tokencheck.Config{Issuer: testIssuer, JWKSURL: keys, Audience: testIssuer + "/api"})
	if err != nil {
		t.Fatal(err)
	}
	gates.Start(t.Context())
	return gates
}

func (h *harness) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *harness) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// token makes a token of the public API for a subject.
func (h *harness) token(subject, scope string) string {
	return h.issuer.Token(tokentest.Claim("sub", subject), tokentest.Claim("scope", scope))
}

// serviceToken makes a token as the authorization server makes it for itself.
func (h *harness) serviceToken() string {
	return h.issuer.Token(tokentest.Claim("aud", []string{tokencheck.InternalAudience}),
		tokentest.Claim("sub", "tollgate-auth"), tokentest.Claim("scope", "internal:users"))
}

// do sends a request with a token and header fields given as name, value, ...
func (h *harness) do(token, method, path, body string, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// addUser stores a user with testPassword.
func (h *harness) addUser(username string) User {
	h.t.Helper()
	u := User{Username: username, Name: "Ada Lovelace", Email: username + "@example.com", Locale: "en", passwordHash: testHash()}
	id, created, err := h.svc.store.create(h.t.Context(), u, h.now())
	if err != nil || !created {
		h.t.Fatal(created, err)
	}
	u.ID, u.Version = id, 1
	return u
}

// testHash is made once: hashing is slow by design.
var testHash = sync.OnceValue(func() string { return hashPassword(testPassword) })

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

// refusal is the part of problem details that tests look at.
type refusal struct {
	Code   string `json:"code"`
	Errors []struct {
		Pointer string `json:"pointer"`
	} `json:"errors"`
}

func wantRefusal(t testing.TB, w *httptest.ResponseRecorder, status int, code string, pointers ...string) {
	t.Helper()
	got := decode[refusal](t, w)
	var have []string
	for _, e := range got.Errors {
		have = append(have, e.Pointer)
	}
	if w.Code != status || got.Code != code || strings.Join(have, " ") != strings.Join(pointers, " ") {
		t.Errorf("got %d %s %v, want %d %s %v", w.Code, got.Code, have, status, code, pointers)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("content type %q", w.Header().Get("Content-Type"))
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		other := h.addUser("bob")
		mine := "/api/users/" + u.ID
		for name, c := range map[string]struct {
			token, method, path string
			status              int
			code                string
		}{
			"no token":                       {"", "GET", mine, 401, "unauthenticated"},
			"scope to write is not to read":  {h.token(u.ID, "profile:write"), "GET", mine, 403, "insufficient_scope"},
			"scope to read is not to write":  {h.token(u.ID, "profile:read"), "PATCH", mine, 403, "insufficient_scope"},
			"somebody else":                  {h.token(u.ID, "profile:read"), "GET", "/api/users/" + other.ID, 404, "not_found"},
			"nobody":                         {h.token(u.ID, "profile:read"), "GET", "/api/users/01890000-0000-7000-8000-000000000000", 404, "not_found"},
			"a client is nobody":             {h.token("client-1", "profile:read"), "GET", "/api/users/me", 404, "not_found"},
			"a strange subject":              {h.token("' OR 1=1", "profile:read"), "GET", "/api/users/me", 404, "not_found"},
			"changing somebody else":         {h.token(u.ID, "profile:write"), "PATCH", "/api/users/" + other.ID, 404, "not_found"},
			"registration without scope":     {h.token("c", "profile:write"), "POST", "/api/users", 403, "insufficient_scope"},
			"a public token inside":          {h.token(u.ID, "internal:users"), "GET", "/internal/users/" + u.ID, 401, "invalid_token"},
			"a public token checks password": {h.token(u.ID, "internal:users"), "POST", "/internal/password-checks", 401, "invalid_token"},
			"an internal token outside":      {h.serviceToken(), "GET", mine, 401, "invalid_token"},
			"unknown inside":                 {h.serviceToken(), "GET", "/internal/users/x", 404, "not_found"},
			"unknown path":                   {h.token(u.ID, "profile:read"), "GET", "/api/users/me/x", 404, "not_found"},
			"wrong method":                   {h.token(u.ID, "profile:write"), "PUT", mine, 405, "method_not_allowed"},
			"wrong method of the collection": {h.token(u.ID, "profile:write"), "GET", "/api/users", 405, "method_not_allowed"},
		} {
			w := h.do(c.token, c.method, c.path, "")
			if got := decode[refusal](t, w); w.Code != c.status || c.code != "unauthenticated" && got.Code != c.code {
				t.Errorf("%s: got %d %s, want %d %s", name, w.Code, got.Code, c.status, c.code)
			}
			if c.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Errorf("%s: no Allow", name)
			}
		}
	})
}

func TestReadForServices(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		u := h.addUser("ada")
		w := h.do(h.serviceToken(), "GET", "/internal/users/"+u.ID, "")
		if got := decode[person](t, w); w.Code != 200 || got != *personOf(u) {
			t.Errorf("got %d %+v", w.Code, got)
		}
	})
}

func TestReady(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		h.do(h.token("x", "profile:read"), "GET", "/api/users/me", "") // waits for the keys
		h.do(h.serviceToken(), "GET", "/internal/users/x", "")
		if err := h.svc.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		_ = h.config.DB.Close()
		if err := h.svc.Ready(t.Context()); err == nil {
			t.Error("ready without a database")
		}
		wantRefusal(t, h.do(h.serviceToken(), "GET", "/internal/users/01890000-0000-7000-8000-000000000000", ""), 500, "internal_error")
	})
}
