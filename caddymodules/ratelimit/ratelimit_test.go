package ratelimit

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/internal/problem"
)

func TestTwoZones(t *testing.T) {
	s := load(t, `:80 {
		rate_limit /limited* {
			zone two-client {
				key    everybody
				events 5
				window 1m
			}
			zone two-user {
				key    {http.request.header.User}
				events 2
				window 1h
			}
		}
	}`)
	const policy = `"two-client";q=5;w=60, "two-user";q=2;w=3600`
	for _, want := range []string{`"two-user";r=1;t=`, `"two-user";r=0;t=`} {
		h := s.mustPass(t, "/limited", "alice")
		if h.Get("RateLimit-Policy") != policy || !strings.HasPrefix(h.Get("RateLimit"), want) {
			t.Errorf("fields %v, want %s", h, want)
		}
		if h.Get("Retry-After") != "" {
			t.Errorf("an allowed answer has Retry-After: %v", h)
		}
	}
	rec, err := s.do(t, "/limited", "alice")
	p := refusal(t, err)
	if p.Status != http.StatusTooManyRequests || p.Code != "quota_exceeded" {
		t.Fatalf("%+v", p)
	}
	checkQuotaBody(t, p)
	item, other, _ := strings.Cut(rec.Header().Get("RateLimit"), ", ")
	reset, isUser := strings.CutPrefix(item, `"two-user";r=0;t=`)
	if !isUser || !strings.HasPrefix(other, `"two-client";r=3;t=`) {
		t.Errorf("RateLimit %q: the limit that was short comes first, the other is not debited", rec.Header().Get("RateLimit"))
	}
	retry, _ := strconv.Atoi(rec.Header().Get("Retry-After"))
	wait, _ := strconv.Atoi(reset)
	if p.Header.Get("Retry-After") != strconv.Itoa(retry) || retry < wait || retry > wait+60 {
		t.Errorf("Retry-After %d and %q, want %s and up to a minute more", retry, p.Header.Get("Retry-After"), reset)
	}
	if wait < 3600 || wait > 3600+3*37 {
		t.Errorf("t=%s, want the window and a few buckets at most", reset)
	}
	s.mustPass(t, "/limited", "bob")
	if h := s.mustPass(t, "/free", "alice"); h.Get("RateLimit") != "" {
		t.Errorf("a request that the matcher leaves out is limited: %v", h)
	}
	for _, want := range []struct {
		zone, decision string
		count          float64
	}{
		{"two-client", "allowed", 3}, {"two-client", "denied", 0}, {"two-user", "shadowed", 0},
		{"two-user", "allowed", 3}, {"two-user", "denied", 1}, {"two-user", "error", 0},
	} {
		if got := s.decisions(t, want.zone, want.decision); got != want.count {
			t.Errorf("%s %s %v times, want %v", want.zone, want.decision, got, want.count)
		}
	}
}

func checkQuotaBody(t *testing.T, p *problem.Problem) {
	t.Helper()
	var body struct {
		Type     string   `json:"type"`
		Status   int      `json:"status"`
		Violated []string `json:"violated-policies"`
	}
	if err := json.Unmarshal(p.Body(""), &body); err != nil {
		t.Fatal(err)
	}
	if body.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" || body.Status != 429 ||
		len(body.Violated) != 1 || body.Violated[0] != "two-user" {
		t.Errorf("body %+v", body)
	}
}

func TestMatchOfAZone(t *testing.T) {
	s := load(t, zoneFile(t, "key a\nevents 1\nwindow 1h\nmatch {\npath /write*\n}"))
	s.mustPass(t, "/write", "")
	if _, err := s.do(t, "/write", ""); refusal(t, err).Status != http.StatusTooManyRequests {
		t.Error(err)
	}
	if h := s.mustPass(t, "/read", ""); h.Get("RateLimit-Policy") != "" {
		t.Errorf("the zone is named where it is not applied: %v", h)
	}
}

func TestEmptyKey(t *testing.T) {
	const options = "key {http.request.header.User}\nevents 1\nwindow 1h\n"
	t.Run("deny", func(t *testing.T) {
		s := load(t, zoneFile(t, options))
		s.mustPass(t, "/", "alice")
		for range 2 {
			_, err := s.do(t, "/", "")
			if p := refusal(t, err); p.Status != http.StatusForbidden || p.Code != "rate_limit_key_missing" {
				t.Errorf("%+v", p)
			}
		}
		if got := s.decisions(t, t.Name(), "denied"); got != 2 {
			t.Errorf("%v denied, want 2", got)
		}
	})
	t.Run("share", func(t *testing.T) {
		s := load(t, zoneFile(t, options+"empty_key share"))
		s.mustPass(t, "/", "")
		if _, err := s.do(t, "/", ""); refusal(t, err).Status != http.StatusTooManyRequests {
			t.Error(err)
		}
	})
	t.Run("skip", func(t *testing.T) {
		s := load(t, zoneFile(t, options+"empty_key skip"))
		for range 3 {
			if h := s.mustPass(t, "/", ""); h.Get("RateLimit") != "" {
				t.Errorf("%v", h)
			}
		}
	})
}

// TestCallersCountByNetwork: a new address out of the same network is no new caller.
func TestCallersCountByNetwork(t *testing.T) {
	for _, tt := range []struct{ name, options, first, same, other string }{
		{"client_ip", "key {client_ip}", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"},
		{"remote_host", "key {remote_host}", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"},
		{"placeholder", "key {http.request.remote.host}", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"},
		{"beside another", "key {method} {client_ip}", "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"},
		{"IPv4", "key {client_ip}", "192.0.2.1", "192.0.2.1", "192.0.2.2"},
		{"longer", "key {client_ip}\nipv6_prefix 48", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1"},
		{"whole", "key {client_ip}\nipv6_prefix 128", "2001:db8::1", "2001:db8::1", "2001:db8::2"},
		{"IPv4 network", "key {client_ip}\nipv4_prefix 24", "192.0.2.1", "192.0.2.2", "192.0.3.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := load(t, zoneFile(t, tt.options+"\nevents 1\nwindow 1h"))
			from := func(address string) error {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.RemoteAddr = net.JoinHostPort(address, "1234")
				_, err := s.serve(r)
				return err
			}
			if err := from(tt.first); err != nil {
				t.Fatal(err)
			}
			if p := refusal(t, from(tt.same)); p.Status != http.StatusTooManyRequests {
				t.Errorf("%s after %s: %+v", tt.same, tt.first, p)
			}
			if err := from(tt.other); err != nil {
				t.Errorf("%s after %s: %v", tt.other, tt.first, err)
			}
		})
	}
}

// TestReloadKeepsCounters: the new configuration starts before the old one stops.
func TestReloadKeepsCounters(t *testing.T) {
	file := func(events int) string {
		return zoneFile(t, fmt.Sprintf("key a\nevents %d\nwindow 1h", events))
	}
	old := load(t, file(3))
	old.mustPass(t, "/", "")
	old.mustPass(t, "/", "")
	reloaded := load(t, file(4))
	old.stop()
	if h := reloaded.mustPass(t, "/", ""); !strings.Contains(h.Get("RateLimit"), ";r=1;") {
		t.Errorf("RateLimit %q: want 3 used of 4", h.Get("RateLimit"))
	}
	if got := reloaded.decisions(t, t.Name(), "allowed"); got != 3 {
		t.Errorf("%v allowed in the metrics, want 3", got)
	}
	lowered := load(t, file(1))
	reloaded.stop()
	if _, err := lowered.do(t, "/", ""); refusal(t, err).Status != http.StatusTooManyRequests {
		t.Error("3 are used, the limit is 1 now")
	}
	lowered.stop()
	fresh := load(t, file(1))
	fresh.mustPass(t, "/", "") // nobody held the counts any more
}

func TestFailedProvisionLetsGo(t *testing.T) {
	const good = "key a\nevents 1\nwindow 1h\n"
	file := func(options string) string {
		return ":80 {\nroute {\nrate_limit {\nzone " + t.Name() + " {\n" + good + "}\n}\nrate_limit {\nzone second {\n" + options + "}\n}\n}\n}\n"
	}
	load(t, file(good)).mustPass(t, "/", "")
	if _, err := tryLoad(file("key {env.TOLLGATE_TEST_IS_NOT_SET}\nevents 1\nwindow 1h\n")); err == nil ||
		!strings.Contains(err.Error(), "{env.TOLLGATE_TEST_IS_NOT_SET} is empty") {
		t.Errorf("error %v", err)
	}
	zonesOf.mu.Lock()
	defer zonesOf.mu.Unlock()
	if len(zonesOf.zones) != 1 {
		t.Errorf("the zones of %d configurations are remembered, one is there", len(zonesOf.zones))
	}
}

func TestJSON(t *testing.T) {
	zone := func(zone string) string { return `{"rate_limits":{"json":` + zone + `}}` }
	for name, tt := range map[string]struct{ config, want string }{
		"theirs":      {zone(`{"match":[{"method":["GET"]}],"key":"static","window":"1m","max_events":100}`), ""},
		"distributed": {`{"rate_limits":{},"distributed":{}}`, "redis <url>"},
		"storage":     {`{"rate_limits":{},"storage":{"module":"file_system"}}`, "redis <url>"},
		"log_key":     {`{"rate_limits":{},"log_key":true}`, "never logged"},
		"no log_key":  {`{"rate_limits":{"json":{"key":"a","window":"1m","max_events":1}},"log_key":false,"storage":null,"distributed":null}`, ""},
		"jitter":      {`{"rate_limits":{},"jitter":1.5}`, "jitter 1.5"},
		"headers":     {`{"rate_limits":{},"headers":"some"}`, `headers "some"`},
		"harmless":    {`{"rate_limits":{"json":{"key":"a","window":"1m","max_events":1}},"jitter":0.2,"sweep_interval":"30s","disable_metrics":true}`, ""},
		"kind":        {zone(`{"key":"a","window":"1m","max_events":1,"kind":"leaky"}`), `kind "leaky"`},
		"period":      {zone(`{"key":"a","kind":"calendar","period":"week","max_events":1}`), `period "week"`},
		"on_failure":  {zone(`{"key":"a","window":"1m","max_events":1,"on_failure":"panic"}`), `on_failure "panic"`},
		"cost":        {zone(`{"key":"a","window":"1m","max_events":1,"cost":{"value":"2"}}`), "cost 2: is more than the zone ever holds, 1"},
		"unknown":     {`{"rate_limitz":{}}`, "rate_limitz"},
		"in a zone":   {zone(`{"key":"a","window":"1m","max_events":1,"brust":3}`), "brust"},
		"none":        {`{}`, "0 zones"},
		"null":        {zone(`null`), "null"},
		"no key":      {zone(`{"window":"1m","max_events":1}`), "key is missing"},
		"no events":   {zone(`{"key":"a","window":"1m"}`), "events is missing"},
		"events":      {zone(`{"key":"a","window":"1m","max_events":-1}`), "-1 events"},
		"window":      {zone(`{"key":"a","window":"1ms","max_events":1}`), "window 1ms"},
		"prefixes":    {zone(`{"key":"a","window":"1m","max_events":1,"ipv4_prefix":24,"ipv6_prefix":48}`), ""},
		"ipv4_prefix": {zone(`{"key":"a","window":"1m","max_events":1,"ipv4_prefix":-1}`), "ipv4_prefix -1"},
		"ipv6_prefix": {zone(`{"key":"a","window":"1m","max_events":1,"ipv6_prefix":129}`), "ipv6_prefix 129"},
		"empty_key":   {zone(`{"key":"a","window":"1m","max_events":1,"empty_key":"x"}`), `empty_key "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := provision(nil, "http.handlers.rate_limit", tt.config)
			if err == nil {
				defer s.stop()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestInsideAnAPI: the api answers with problem+json, and its name is part of what is counted.
func TestInsideAnAPI(t *testing.T) {
	s := load(t, `:80 {
		api one /one* {
			public
			rate_limit {
				zone inside {
					key    a
					events 1
					window 1h
				}
			}
			respond 204
		}
		api two /two* {
			public
			rate_limit {
				zone inside {
					key    a
					events 1
					window 1h
				}
			}
			respond 204
		}
	}`)
	s.server = new(caddyhttp.Server)
	s.mustPass(t, "/one", "")
	s.mustPass(t, "/two", "")
	rec, err := s.do(t, "/one", "")
	if err != nil {
		t.Fatal(err)
	}
	h := rec.Header()
	if rec.Code != http.StatusTooManyRequests || h.Get("Content-Type") != problem.ContentType ||
		h.Get("RateLimit") == "" || len(h.Values("Retry-After")) != 1 {
		t.Errorf("status %d, header %v", rec.Code, h)
	}
	if !strings.Contains(rec.Body.String(), `"violated-policies":["inside"]`) {
		t.Errorf("body %s", rec.Body)
	}
}

// TestOutsideAnAPI: without a handle_errors for it, the refusal writes itself.
func TestOutsideAnAPI(t *testing.T) {
	other := handlesErrors()
	other.Errors.Routes[0].MatcherSets = caddyhttp.MatcherSets{{caddyhttp.MatchHost{"other.example"}}}
	for name, server := range map[string]*caddyhttp.Server{
		"no handle_errors": new(caddyhttp.Server), "that of another site": other,
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, zoneFile(t, "key {http.request.header.User}\nevents 1\nwindow 1h"))
			s.server = server
			s.mustPass(t, "/", "alice")
			for user, want := range map[string]struct {
				status int
				code   string
			}{"alice": {http.StatusTooManyRequests, "quota_exceeded"}, "": {http.StatusForbidden, "rate_limit_key_missing"}} {
				rec, err := s.do(t, "/", user)
				if err != nil {
					t.Fatal(err)
				}
				if rec.Code != want.status || rec.Header().Get("Content-Type") != problem.ContentType ||
					!strings.Contains(rec.Body.String(), `"code":"`+want.code+`"`) {
					t.Errorf("status %d, header %v, body %s", rec.Code, rec.Header(), rec.Body)
				}
				limited := want.status == http.StatusTooManyRequests
				if n := len(rec.Header().Values("Retry-After")); limited != (n == 1) || limited != (rec.Header().Get("RateLimit") != "") {
					t.Errorf("header %v", rec.Header())
				}
			}
		})
	}
}

func TestTwoHandlersKeepTheirFields(t *testing.T) {
	s := load(t, ":80 {\nroute {\n"+
		"rate_limit {\nzone outer {\nkey a\nevents 9\nwindow 1h\n}\n}\n"+
		"rate_limit {\nzone inner {\nkey a\nevents 9\nwindow 1h\n}\n}\n}\n}\n")
	if got := s.mustPass(t, "/", "").Values("RateLimit-Policy"); len(got) != 2 {
		t.Errorf("RateLimit-Policy %q", got)
	}
}

func BenchmarkServeHTTP(b *testing.B) {
	s := load(b, `:80 {
		rate_limit {
			zone bench-client {
				key    {http.request.header.Client}
				events 1000000000
				window 1m
			}
			zone bench-user {
				key    {http.request.header.User}
				events 1000000000
				window 1m
			}
		}
	}`)
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("User", "alice")
	r.Header.Set("Client", "shop")
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), rec, new(caddyhttp.Server))
	handler := s.handler.(*caddyhttp.Subroute).Routes[0].Handlers[0].(*Handler)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		clear(rec.Header())
		if err := handler.ServeHTTP(rec, r, next); err != nil {
			b.Fatal(err)
		}
	}
}
