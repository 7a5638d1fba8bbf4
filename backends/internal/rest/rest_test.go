package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/problem"
)

func open(next http.Handler) http.Handler { return next }

func TestRouter(t *testing.T) {
	t.Parallel()
	rt := NewRouter(slog.New(slog.DiscardHandler), "Nothing was done.")
	failures := map[string]error{
		"fine": nil, "problem": problem.New(409, "conflict", "No."), "broken": errors.New("secret inside"), "late": context.DeadlineExceeded,
	}
	rt.Handle("GET /things/{id}", open, func(_ http.ResponseWriter, r *http.Request) error { return failures[r.PathValue("id")] })
	rt.Handle("POST /things/{id}", open, func(http.ResponseWriter, *http.Request) error { return nil })
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/things/fine", 200, ""},
		{"HEAD", "/things/fine", 200, ""},
		{"POST", "/things/fine", 200, ""},
		{"GET", "/things/problem", 409, "conflict"},
		{"GET", "/things/broken", 500, "internal_error"},
		{"GET", "/things/broken", 500, "Something went wrong here. Nothing was done."},
		{"GET", "/things/late", 503, "busy"},
		{"DELETE", "/things/fine", 405, "method_not_allowed"},
		{"GET", "/elsewhere", 404, "not_found"},
	} {
		rec := httptest.NewRecorder()
		rt.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.code) || strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%s %s: %d %s", c.method, c.path, rec.Code, rec.Body)
		}
		if c.status == 405 && rec.Header().Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("Allow: %s", rec.Header().Get("Allow"))
		}
	}
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, `"6"`: false, `7`: false, `"7"`: true, `W/"7"`: true, `"6", "7"`: true, "*": true,
	} {
		rec, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set("If-None-Match", header)
		}
		if got := NotModified(rec, r, VersionTag(7)); got != want || (rec.Code == 304) != want {
			t.Errorf("%s: %v, status %d", header, got, rec.Code)
		}
		if rec.Header().Get("ETag") != `"7"` || rec.Header().Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%s: header %v", header, rec.Header())
		}
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, `"6"`: false, `7`: false, `"7"`: true, `W/"7"`: false, `"6", "7"`: true, "*": true,
	} {
		r := httptest.NewRequest("PATCH", "/", nil)
		if header != "" {
			r.Header.Set("If-Match", header)
		}
		if got := IfMatch(r, VersionTag(7)); got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var wrong Faults
	wrong.Add("/name", "")
	if err := wrong.Err(); err != nil {
		t.Errorf("nothing is wrong: got %v", err)
	}
	wrong.Add("/name", "is too long")
	wrong.Add("/email", "is no address")
	var refusal *problem.Problem
	if !errors.As(wrong.Err(), &refusal) || refusal.Status != 422 || len(refusal.Errors) != 2 {
		t.Errorf("got %+v", refusal)
	}
}

func TestReadPage(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{ // zero: refused
		"": 20, "limit=0": 20, "limit=1": 1, "limit=100": 100, "limit=101": 100, "limit=9999999": 100,
		"limit=-1": 0, "limit=x": 0, "limit=1.5": 0, "limit=99999999999999999999": 100, "limit=-99999999999999999999": 0, "cursor=x": 0, "cursor=!!": 0,
	} {
		page, err := ReadPage(httptest.NewRequest("GET", "/?"+query, nil))
		if page.Limit != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %+v, %v", query, page, err)
		}
	}
}

func TestPagesJoin(t *testing.T) {
	t.Parallel()
	ids := make([]string, 7)
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	var seen []string
	query := "limit=3"
	for {
		page, err := ReadPage(httptest.NewRequest("GET", "/?"+query, nil))
		if err != nil {
			t.Fatal(err)
		}
		start := 0
		for page.After != "" && ids[start] != page.After {
			start++
		}
		if page.After != "" {
			start++
		}
		list := NewList(page, ids[start:min(len(ids), start+page.Limit+1)], func(s string) string { return s })
		seen = append(seen, list.Data...)
		if list.NextCursor == "" {
			break
		}
		query = "limit=3&cursor=" + url.QueryEscape(list.NextCursor)
	}
	if strings.Join(seen, " ") != strings.Join(ids, " ") {
		t.Errorf("got %v", seen)
	}
	if empty := NewList(Page{Limit: 3}, nil, func(s string) string { return s }); empty.Data == nil {
		t.Error("an empty list is null")
	}
}
