package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/service"
)

// logBuffer collects log lines and hands out the address that the service logs.
type logBuffer struct {
	mu    sync.Mutex
	lines bytes.Buffer
	addr  chan string
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var line struct{ Msg, Addr string }
	if json.Unmarshal(p, &line) == nil && line.Msg == "listening" {
		b.addr <- line.Addr
	}
	return b.lines.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.String()
}

func start(t *testing.T, cfg service.Config) (base string, logs *logBuffer, stop func() error) {
	t.Helper()
	logs = &logBuffer{addr: make(chan string, 1)}
	cfg.Name, cfg.Listen, cfg.Logger = "test", "127.0.0.1:0", slog.New(slog.NewJSONHandler(logs, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Serve(ctx, cfg) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return "http://" + <-logs.addr, logs, stop
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

func TestPanicSaysNothingOfTheInside(t *testing.T) {
	t.Parallel()
	base, logs, _ := start(t, service.Config{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("inner secret") })})
	res, body := get(t, base+"/x")
	if res.StatusCode != 500 || res.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(body, "inner secret") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if !strings.Contains(logs.String(), "inner secret") || !strings.Contains(logs.String(), res.Header.Get("X-Request-Id")) {
		t.Errorf("the log lacks the panic or the request id:\n%s", logs)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	err := errors.New("no database")
	var mu sync.Mutex
	base, _, _ := start(t, service.Config{Handler: http.NotFoundHandler(), Ready: func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		return err
	}})
	if res, _ := get(t, base+"/readyz"); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("not ready: %d", res.StatusCode)
	}
	mu.Lock()
	err = nil
	mu.Unlock()
	if res, _ := get(t, base+"/readyz"); res.StatusCode != 204 {
		t.Errorf("ready: %d", res.StatusCode)
	}
	if res, _ := get(t, base+"/healthz"); res.StatusCode != 204 {
		t.Errorf("healthy: %d", res.StatusCode)
	}
}

func TestStopLetsRequestsAndWorkFinish(t *testing.T) {
	t.Parallel()
	inside, release, worked := make(chan struct{}), make(chan struct{}), false
	base, _, stop := start(t, service.Config{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(inside)
			<-release
			w.WriteHeader(http.StatusTeapot)
		}),
		Background: []func(context.Context) error{func(ctx context.Context) error {
			<-ctx.Done()
			worked = true
			return ctx.Err()
		}},
	})
	status := make(chan int, 1)
	go func() {
		res, err := http.Get(base)
		if err != nil {
			status <- 0
			return
		}
		_ = res.Body.Close()
		status <- res.StatusCode
	}()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case <-stopped:
		t.Fatal("stopped while a request was running")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if got := <-status; got != http.StatusTeapot {
		t.Errorf("the running request got %d", got)
	}
	if err := <-stopped; err != nil || !worked {
		t.Errorf("stop: %v, background work ended: %v", err, worked)
	}
}

func TestFailedWorkStopsTheService(t *testing.T) {
	t.Parallel()
	_, _, stop := start(t, service.Config{Handler: http.NotFoundHandler(), Background: []func(context.Context) error{
		func(context.Context) error { return errors.New("worker died") },
	}})
	if err := stop(); err == nil || !strings.Contains(err.Error(), "worker died") {
		t.Errorf("got %v", err)
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	type body struct {
		Name  string `json:"name"`
		Notes string `json:"notes"`
		Inner struct {
			Count int64 `json:"count"`
		} `json:"inner"`
	}
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		pointer           string
	}{
		"good":              {"application/json; charset=utf-8", `{"name":"a","inner":{"count":3}}`, 0, ""},
		"accepted type":     {"application/merge-patch+json", `{"name":"a"}`, 0, ""},
		"no type":           {"", `{}`, 415, ""},
		"form":              {"application/x-www-form-urlencoded", `a=b`, 415, ""},
		"unknown member":    {"application/json", `{"nmae":"a"}`, 400, ""},
		"wrong type":        {"application/json", `{"inner":{"count":"3"}}`, 400, "/inner/count"},
		"fraction":          {"application/json", `{"inner":{"count":3.5}}`, 400, "/inner/count"},
		"overflow":          {"application/json", `{"inner":{"count":9223372036854775808}}`, 400, "/inner/count"},
		"member twice":      {"application/json", `{"inner":{"count":1,"Count":2}}`, 400, ""},
		"long s for s":      {"application/json", `{"note\u017f":"a","notes":"b"}`, 400, ""}, // as encoding/json has it
		"trailing object":   {"application/json", `{} {}`, 400, ""},
		"truncated":         {"application/json", `{"name":`, 400, ""},
		"null":              {"application/json", ` null`, 400, ""},
		"empty":             {"application/json", ``, 400, ""},
		"deep":              {"application/json", strings.Repeat(`[`, 10000), 400, ""},
		"larger than taken": {"application/json", `{"name":"` + strings.Repeat("a", 2048) + `"}`, 413, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.contentType)
			r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 1024)
			if name == "deep" {
				r.Body = io.NopCloser(strings.NewReader(c.body))
			}
			var v body
			p := service.ReadJSON(r, &v, "application/merge-patch+json")
			if c.status == 0 {
				if p != nil {
					t.Fatal(p)
				}
				return
			}
			if p == nil || p.Status != c.status {
				t.Fatalf("got %v, want status %d", p, c.status)
			}
			if c.pointer != "" && (len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer) {
				t.Errorf("errors %v, want pointer %s", p.Errors, c.pointer)
			}
		})
	}
}
