package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// The tests that provision are not parallel: Caddy sets globals while it does.

// site is a provisioned configuration.
type site struct {
	ctx     caddy.Context
	handler caddyhttp.MiddlewareHandler
	stop    context.CancelFunc
	server  *caddyhttp.Server
	answer  func(http.ResponseWriter) // what comes after; nil: 204
}

// handlesErrors is a server with a handle_errors for everything: what is refused
// comes back as an error.
func handlesErrors() *caddyhttp.Server {
	anything := caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{new(caddyhttp.StaticResponse)}}}
	return &caddyhttp.Server{Errors: &caddyhttp.HTTPErrorConfig{Routes: anything}}
}

// load provisions a Caddyfile as Caddy does, without listening.
func load(t testing.TB, caddyfile string) *site {
	t.Helper()
	s, err := tryLoad(caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// tryLoad may get the configuration of the events app as well.
func tryLoad(caddyfile string, events ...string) (*site, error) {
	text, err := adapt(caddyfile)
	if err != nil {
		return nil, err
	}
	var config struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	var servers struct {
		Servers map[string]struct {
			Routes json.RawMessage `json:"routes"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(config.Apps["http"], &servers); err != nil {
		return nil, err
	}
	delete(config.Apps, "http") // only its routes: the tests have no listener
	for _, text := range events {
		config.Apps["events"] = json.RawMessage(text)
	}
	return provision(config.Apps, "http.handlers.subroute",
		fmt.Sprintf(`{"routes":%s}`, servers.Servers["srv0"].Routes))
}

func provision(apps caddy.ModuleMap, module, config string) (*site, error) {
	outer, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: apps})
	if err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(outer)
	handler, err := ctx.LoadModuleByID(module, json.RawMessage(config))
	if err != nil {
		cancel()
		return nil, err
	}
	stopped := false
	stop := func() {
		if !stopped {
			cancel()
		}
		stopped = true
	}
	return &site{ctx: ctx, handler: handler.(caddyhttp.MiddlewareHandler), stop: stop, server: handlesErrors()}, nil
}

// do serves a request. The error is what the routes return to the server.
func (s *site) do(t testing.TB, path, user string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if user != "" {
		r.Header.Set("User", user)
	}
	return s.serve(r)
}

func (s *site) serve(r *http.Request) (*httptest.ResponseRecorder, error) {
	rec := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), rec, s.server)
	err := s.handler.ServeHTTP(rec, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		if s.answer != nil {
			s.answer(w)
			return nil
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}))
	return rec, err
}

// refusal gives the problem of an error as the server sees it.
func refusal(t testing.TB, err error) *problem.Problem {
	t.Helper()
	var handlerErr caddyhttp.HandlerError
	if !errors.As(err, &handlerErr) {
		t.Fatalf("error %v, want a HandlerError", err)
	}
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status != handlerErr.StatusCode {
		t.Fatalf("error %v, want one with a problem of the same status", err)
	}
	return p
}

func (s *site) mustPass(t testing.TB, path, user string) http.Header {
	t.Helper()
	rec, err := s.do(t, path, user)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Header()
}

// zoneFile is a site with one zone of the name for each test.
func zoneFile(t testing.TB, options string) string {
	return ":80 {\nrate_limit {\nzone " + t.Name() + " {\n" + options + "\n}\n}\n}\n"
}

func (s *site) decisions(t testing.TB, zone, decision string) float64 {
	t.Helper()
	families, err := s.ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "tollgate_rate_limit_decisions_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := make(map[string]string)
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if len(labels) == 3 && labels["zone"] == zone && labels["decision"] == decision {
				return metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric for zone %s, decision %s", zone, decision)
	return 0
}
