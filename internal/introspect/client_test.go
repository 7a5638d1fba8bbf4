package introspect_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/introspect"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/revocation"
	"github.com/open-tollgate/tollgate/internal/token"
)

func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		altered map[string]any
		want    token.Reason
		lasts   time.Duration
	}{
		{"good", nil, "", 30 * time.Second},
		{"good for ten more seconds", map[string]any{"exp": noon.Add(10 * time.Second).Unix()}, "", 10 * time.Second},
		{"inactive", map[string]any{"active": false}, token.Inactive, 5 * time.Second},
		{"for somebody else", map[string]any{"aud": "x"}, token.WrongAudience, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			clock := &clock{at: noon}
			s := serve(t, answering(encode(t, description(test.altered))))
			config := settings(t, s.url)
			config.Now = clock.now
			c := newClient(t, config)
			if tok, err := c.Recall(opaque); tok != nil || err != nil {
				t.Errorf("recalls %v, %v", tok, err)
			}
			for range 3 {
				if got := verify(t, c, opaque); got != test.want {
					t.Fatalf("reason %q", got)
				}
			}
			clock.add(test.lasts - 1)
			if got := verify(t, c, opaque); got != test.want || s.asked.Load() != 1 {
				t.Errorf("reason %q, asked %d times", got, s.asked.Load())
			}
			if tok, err := c.Recall(opaque); (tok != nil) != (test.want == "") || reasonOf(t, err) != test.want {
				t.Errorf("recalls %v, %v", tok, err)
			}
			clock.add(1)
			if tok, err := c.Recall(opaque); tok != nil || err != nil {
				t.Errorf("recalls %v, %v after the end", tok, err)
			}
			verify(t, c, opaque)
			if n := s.asked.Load(); n != 2 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, answering(encode(t, description(nil))))
	for name, handler := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"401": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.url, http.StatusTemporaryRedirect)
		},
		"hang":      func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseForm(); <-r.Context().Done() },
		"HTML":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"very long": answering(`{"active":true,"x":"` + strings.Repeat("x", 64<<10) + `"}`),
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, encode(t, description(nil)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, handler)
			config := settings(t, s.url)
			config.Timeout = 50 * time.Millisecond
			if name == "very long" {
				config.Timeout = 0
			}
			c := newClient(t, config)
			for range 2 {
				if got := verify(t, c, opaque); got != token.IntrospectionUnavailable {
					t.Errorf("reason %q", got)
				}
			}
			if n := s.asked.Load(); n != 2 {
				t.Errorf("asked %d times: no answer is remembered as one", n)
			}
			if info := c.Info(); info != (introspect.Info{Asked: 2, Failed: 2}) {
				t.Errorf("%+v", info)
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func TestOneQuestionForManyCallers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answering(encode(t, description(nil)))(w, r)
	})
	c := newClient(t, settings(t, s.url))
	impatient, cancel := context.WithCancel(t.Context())
	var left, callers sync.WaitGroup
	left.Go(func() {
		_, err := c.Verify(impatient, opaque)
		if got := reasonOf(t, err); got != token.IntrospectionUnavailable {
			t.Errorf("who leaves gets %q", got)
		}
	})
	for s.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 49 {
		callers.Go(func() {
			if got := verify(t, c, opaque); got != "" {
				t.Errorf("reason %q", got)
			}
		})
	}
	cancel() // who asked first does not wait; the others get their answer all the same
	left.Wait()
	close(release)
	callers.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answering(encode(t, description(nil)))(w, r)
	})
	config := settings(t, s.url)
	config.MaxFlights = 2
	c := newClient(t, config)
	var callers sync.WaitGroup
	for i := range 2 {
		callers.Go(func() {
			if got := verify(t, c, fmt.Sprint("waiting ", i)); got != "" {
				t.Errorf("reason %q", got)
			}
		})
	}
	for s.asked.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if got := verify(t, c, opaque); got != token.IntrospectionUnavailable {
		t.Errorf("one too many: %q", got)
	}
	close(release)
	callers.Wait()
	if got := verify(t, c, opaque); got != "" {
		t.Errorf("afterwards: %q", got)
	}
}

// Neither a flood of good tokens nor one of bad ones grows the memory, and bad ones
// leave the good ones alone.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answering(encode(t, description(map[string]any{"active": !strings.HasPrefix(r.FormValue("token"), "bad")})))(w, r)
	})
	config := settings(t, s.url)
	config.CacheSize = 10
	c := newClient(t, config)
	verify(t, c, opaque)
	for i := range 30 {
		verify(t, c, fmt.Sprint("bad", i))
	}
	if tok, err := c.Recall(opaque); tok == nil || err != nil {
		t.Errorf("a flood of bad tokens: %v, %v", tok, err)
	}
	for i := range 30 {
		verify(t, c, fmt.Sprint("good", i))
	}
	if info := c.Info(); info.Good != 10 || info.Bad != 10 || info.Asked != 61 {
		t.Errorf("%+v", info)
	}
	if tok, err := c.Recall("good29"); tok == nil || err != nil {
		t.Errorf("the newest: %v, %v", tok, err)
	}
}

func TestRevokedTokensAreNotAskedFor(t *testing.T) {
	t.Parallel()
	s := serve(t, answering(encode(t, description(map[string]any{"jti": "id-1"}))))
	config := settings(t, s.url)
	revocations := revocation.NewMemory(0, config.Now)
	config.Revocations = revocations
	c := newClient(t, config)
	if got := verify(t, c, opaque); got != "" {
		t.Fatal(got)
	}
	if err := revocations.Revoke(t.Context(), revocation.OfToken(issuerURL, "id-1", noon.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, c, opaque); got != token.Revoked || s.asked.Load() != 1 {
		t.Errorf("reason %q, asked %d times", got, s.asked.Load())
	}
}

func TestTokensThatAreNotSent(t *testing.T) {
	t.Parallel()
	s := serve(t, answering(encode(t, description(nil))))
	c := newClient(t, settings(t, s.url))
	for _, raw := range []string{"", strings.Repeat("a", 8<<10+1)} {
		if got := verify(t, c, raw); got != token.Malformed {
			t.Errorf("%d bytes: %q", len(raw), got)
		}
	}
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	for _, claims := range []string{`{"iss":"https://other.example.com"}`, `{"iss":"` + issuerURL + `/","sub":"x"}`, `{"iss":""}`} {
		if got := verify(t, c, jwt(claims)); got != token.UnknownIssuer {
			t.Errorf("%s: %q", claims, got)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
	for n, raw := range []string{jwt(`{"iss":"` + issuerURL + `"}`), jwt(`{"sub":"x"}`), jwt(`{"iss":1}`), jwt("x"), "a.b.c", "a.e30.c.d.e"} {
		if got := verify(t, c, raw); got != "" || s.asked.Load() != int32(n+1) {
			t.Errorf("%s: %q, asked %d times", raw, got, s.asked.Load())
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	const endpoint = "https://auth.example.com/introspect"
	for name, change := range map[string]func(*introspect.Config){
		"plain http":          func(c *introspect.Config) { c.Endpoint = "http://auth.example.com/introspect" },
		"a path":              func(c *introspect.Config) { c.Endpoint = "/introspect" },
		"a password":          func(c *introspect.Config) { c.Endpoint = "https://a:b@auth.example.com/" },
		"no issuer":           func(c *introspect.Config) { c.Issuer.URL = "" },
		"no audience":         func(c *introspect.Config) { c.Issuer.Audiences = nil },
		"no credentials":      func(c *introspect.Config) { c.Credentials = nil },
		"an hour":             func(c *introspect.Config) { c.TTL = time.Hour },
		"an hour for the bad": func(c *introspect.Config) { c.BadTTL = time.Hour },
		"a long wait":         func(c *introspect.Config) { c.Timeout = time.Minute },
		"negative size":       func(c *introspect.Config) { c.CacheSize = -1 },
		"HS256":               func(c *introspect.Config) { c.Issuer.Keys, c.Issuer.Algorithms = unreachable{}, []string{"HS256"} },
	} {
		config := settings(t, endpoint)
		change(&config)
		if _, err := introspect.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkVerifyWarm(b *testing.B) {
	config := settings(b, "https://auth.example.com/introspect")
	config.Client = &http.Client{Transport: &fixed{"application/json", encode(b, description(nil))}}
	c := newClient(b, config)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Verify(b.Context(), opaque); err != nil {
			b.Fatal(err)
		}
	}
}

// As the edge uses it: an opaque token beside JWTs, with the answers of RFC 6750.
func TestBehindAChecker(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answering(encode(t, description(map[string]any{"active": r.FormValue("token") == opaque})))(w, r)
	})
	checker := &access.Checker{Opaque: newClient(t, settings(t, s.url))}
	for raw, status := range map[string]int{opaque: 0, "other": http.StatusUnauthorized} {
		for range 2 {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+raw)
			_, p := checker.Check(r)
			if got := statusOf(p); got != status {
				t.Errorf("%s: %d", raw, got)
			}
		}
	}
	if n := s.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// statusOf gives the status of a refusal, 0 when there is none.
func statusOf(p *problem.Problem) int {
	if p == nil {
		return 0
	}
	return p.Status
}
