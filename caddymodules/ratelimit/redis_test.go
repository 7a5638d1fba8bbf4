package ratelimit

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/redis/go-redis/v9"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

func TestRedis(t *testing.T) {
	server := testenv.NewRedisServer(t)
	file := fmt.Sprintf("{\ntollgate {\nredis redis://%s\n}\n}\n", server.Addr()) + zoneFile(t, "key a\nevents 5\nwindow 1h\non_failure closed")
	one, two := load(t, file), load(t, file)
	one.mustPass(t, "/", "")
	if h := two.mustPass(t, "/", ""); !strings.Contains(h.Get("RateLimit"), ";r=3;") {
		t.Errorf("RateLimit %q: want 2 used of 5", h.Get("RateLimit"))
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	if keys := client.Keys(t.Context(), "{tollgate:}:TestRedis:3600000000:a").Val(); len(keys) != 1 {
		t.Errorf("keys %q", keys)
	}
	server.Kill()
	rec, err := one.do(t, "/", "")
	if p := refusal(t, err); p.Status != http.StatusServiceUnavailable || p.Header.Get("Retry-After") != "1" || p.Cause == nil {
		t.Errorf("%+v", p)
	}
	if rec.Header().Get("Retry-After") != "1" || rec.Header().Get("RateLimit") != "" {
		t.Errorf("header %v", rec.Header())
	}
	if got := one.decisions(t, t.Name(), "error"); got != 1 {
		t.Errorf("%v errors, want 1", got)
	}
	one.server = new(caddyhttp.Server)
	if rec, err := one.do(t, "/", ""); err != nil || !strings.Contains(rec.Body.String(), `"code":"rate_limit_unavailable"`) {
		t.Errorf("without a handle_errors: %v, body %s", err, rec.Body)
	}
	server.Restart()
	one.recovers(t)
}

// recovers waits until requests pass again, by themselves.
func (s *site) recovers(t testing.TB) {
	t.Helper()
	const soon = 10 * time.Second // it takes a second; a busy machine is given more
	for started := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := s.do(t, "/", "")
		if err == nil {
			return
		}
		if time.Since(started) > soon {
			t.Fatalf("still after %v: %v", soon, err)
		}
	}
}

// TestSlowRedis: a Redis that does not answer must not hold requests up, neither on
// a connection that is there already nor on a new one.
func TestSlowRedis(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprintf("connected %v", connected), func(t *testing.T) {
			server := testenv.NewRedisServer(t)
			s := load(t, fmt.Sprintf("{\ntollgate {\nredis redis://%s\n}\n}\n", server.Addr())+zoneFile(t, "key a\nevents 5\nwindow 1h\non_failure closed"))
			if connected {
				s.mustPass(t, "/", "")
			}
			server.Pause()
			started := time.Now()
			if _, err := s.do(t, "/", ""); refusal(t, err).Status != http.StatusServiceUnavailable {
				t.Error(err)
			}
			if took := time.Since(started); took > 2*time.Second {
				t.Errorf("the answer took %v", took)
			}
			server.Resume()
			s.recovers(t)
		})
	}
}

// TestProvisionDoesNotDial: a configuration is valid while Redis is down.
func TestProvisionDoesNotDial(t *testing.T) {
	load(t, "{\ntollgate {\nredis redis://127.0.0.1:1\n}\n}\n"+zoneFile(t, "key a\nevents 5\nwindow 1h"))
}
