package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	p := New(http.StatusTooManyRequests, "quota_exceeded", "The limit is reached.").
		WithRetryAfter(1500*time.Millisecond).
		WithExtra("violated-policies", []string{"user"}).
		WithErrors(FieldError{Pointer: "/amount", Detail: "too much"}).
		WithCause(errors.New("secret-of-the-log"))
	rec := httptest.NewRecorder()
	rec.Header().Set("X-Request-Id", "r-1")
	rec.Header().Set("Content-Encoding", "gzip")
	p.Write(rec)

	if rec.Code != 429 || rec.Header().Get("Content-Type") != ContentType || rec.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, header %v", rec.Code, rec.Header())
	}
	if got := rec.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After = %q, want 2: rounded up", got)
	}
	if rec.Header().Get("Content-Encoding") != "" {
		t.Error("an encoding of the refused answer is still announced")
	}
	if strings.Contains(rec.Body.String(), "secret-of-the-log") {
		t.Error("the cause reached the caller")
	}
	var doc map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"type": "urn:tollgate:problem:quota-exceeded", "code": "quota_exceeded", "status": 429.0,
		"title": "Too Many Requests", "request_id": "r-1",
	} {
		if doc[name] != want {
			t.Errorf("%s = %v, want %v", name, doc[name], want)
		}
	}
	if doc["violated-policies"] == nil || doc["errors"] == nil {
		t.Errorf("members missing: %v", doc)
	}
}

func TestCopiesDoNotShare(t *testing.T) {
	t.Parallel()
	base := New(401, "invalid_token", "").WithHeader("A", "1")
	one, two := base.WithHeader("A", "2"), base.WithExtra("x", 1)
	if len(base.Header["A"]) != 1 || len(one.Header["A"]) != 2 || len(base.Extra) != 0 || len(two.Extra) != 1 {
		t.Fatalf("a copy changed its original: %v %v %v", base.Header, one.Header, base.Extra)
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Challenge{
		`Bearer`:                          NewChallenge("Bearer"),
		`Bearer error="invalid_token"`:    NewChallenge("Bearer").With("error", "invalid_token"),
		`DPoP algs="ES256", error="a\"b"`: NewChallenge("DPoP").With("algs", "ES256").With("error", `a"b`),
	} {
		if c.String() != want {
			t.Errorf("got %s, want %s", c, want)
		}
	}
}

// A challenge is of no use to a script that cannot see it; the operator's own list stays.
func TestChallengesAreExposed(t *testing.T) {
	t.Parallel()
	refusal := New(http.StatusUnauthorized, "invalid_token", "")
	for name, test := range map[string]struct {
		p    *Problem
		want []string
	}{
		"challenge":    {refusal.WithHeader("WWW-Authenticate", "Bearer"), []string{"X-Own", "WWW-Authenticate, DPoP-Nonce"}},
		"no challenge": {refusal, []string{"X-Own"}},
	} {
		h := http.Header{"Access-Control-Expose-Headers": {"X-Own"}}
		test.p.SetHeader(h)
		if got := h.Values("Access-Control-Expose-Headers"); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
