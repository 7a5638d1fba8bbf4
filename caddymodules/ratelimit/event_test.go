package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

func init() { caddy.RegisterModule(new(listener)) }

// listener writes down what it hears.
type listener struct{}

// heard is what the listeners of this process have heard. The tests that provision are not parallel.
var heard []caddy.Event

// CaddyModule implements caddy.Module.
func (*listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.listener", New: func() caddy.Module { return new(listener) }}
}

// Handle implements caddyevents.Handler.
func (*listener) Handle(_ context.Context, e caddy.Event) error {
	heard = append(heard, e)
	return nil
}

var _ caddyevents.Handler = (*listener)(nil)

// TestEvent: who subscribes hears of each refusal what the community's module tells, and the
// API; of what passes, and of a zone in the shadow, nothing.
func TestEvent(t *testing.T) {
	heard = nil
	zones := zoneFile(t, "key a\nevents 1\nwindow 1h\n}\nzone shadow {\nkey a\nevents 1\nwindow 2h\nshadow")
	s, err := tryLoad(zones, `{"subscriptions":[{"events":["rate_limit_exceeded"],"modules":["http.handlers.rate_limit"],"handlers":[{"handler":"listener"}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	app, err := s.ctx.App("events")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.(caddy.App).Start(); err != nil { // subscribes
		t.Fatal(err)
	}
	s.mustPass(t, "/", "")
	if len(heard) != 0 {
		t.Errorf("of a request that passes: %v", heard)
	}
	for range 2 {
		if _, err := s.do(t, "/", ""); err == nil {
			t.Fatal("not refused")
		}
	}
	if len(heard) != 2 {
		t.Fatalf("%d events for two refusals", len(heard))
	}
	data := heard[0].Data
	wait, _ := data["wait"].(time.Duration)
	if heard[0].Name() != "rate_limit_exceeded" || data["zone"] != t.Name() || data["api"] != "" || data["remote_ip"] != "192.0.2.1" ||
		wait < 59*time.Minute || wait > 70*time.Minute || len(data) != 4 {
		t.Errorf("%s %v", heard[0].Name(), data)
	}
}
