package ratelimit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/internal/limit"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/testenv"
)

// get sends a request with fields of its own.
func (s *site) get(t testing.TB, fields map[string]string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range fields {
		r.Header.Set(name, value)
	}
	return s.serve(r)
}

// TestShadow: a zone in shadow refuses nobody, tells nobody, and is counted.
func TestShadow(t *testing.T) {
	s := load(t, zoneFile(t, "key {http.request.header.User}\nevents 1\nwindow 1h\nshadow"))
	for range 3 {
		if h := s.mustPass(t, "/", "alice"); h.Get("RateLimit") != "" || h.Get("RateLimit-Policy") != "" {
			t.Errorf("a zone in shadow is announced: %v", h)
		}
	}
	s.mustPass(t, "/", "") // no key: a zone that refuses nobody does not refuse this either
	for decision, want := range map[string]float64{"allowed": 1, "shadowed": 3, "denied": 0} {
		if got := s.decisions(t, t.Name(), decision); got != want {
			t.Errorf("%v %s, want %v", got, decision, want)
		}
	}
}

// TestShadowBesideAnother: the other zone decides, and is counted as if it were alone.
func TestShadowBesideAnother(t *testing.T) {
	s := load(t, ":80 {\nrate_limit {\nzone beside-shadow {\nkey a\nevents 1\nwindow 1h\nshadow\n}\nzone beside-real {\nkey a\nevents 2\nwindow 1h\n}\n}\n}\n")
	for range 2 {
		if got := s.mustPass(t, "/", "").Get("RateLimit-Policy"); got != `"beside-real";q=2;w=3600` {
			t.Errorf("RateLimit-Policy %q", got)
		}
	}
	_, err := s.do(t, "/", "")
	if body := string(refusal(t, err).Body("")); !strings.Contains(body, `"violated-policies":["beside-real"]`) {
		t.Errorf("body %s", body)
	}
}

// TestShadowIsNotFelt: what a zone in shadow would refuse changes nothing for a caller, not
// even when to come back.
func TestShadowIsNotFelt(t *testing.T) {
	s := load(t, ":80 {\nrate_limit {\njitter 0\nzone unfelt-shadow {\nkey a\nevents 1\nwindow 10h\nshadow\ncost {http.request.header.Rows} 1\n}\n"+
		"zone unfelt-real {\nkey a\nevents 2\nwindow 1m\n}\n}\n}\n")
	s.mustPass(t, "/", "")
	if _, err := s.get(t, map[string]string{"Rows": "7"}); err != nil {
		t.Errorf("refused for what a zone in shadow never holds: %v", err)
	}
	rec, err := s.do(t, "/", "")
	if p := refusal(t, err); p.Status != http.StatusTooManyRequests {
		t.Fatalf("%+v", p)
	}
	if after, _ := strconv.Atoi(rec.Header().Get("Retry-After")); after < 1 || after > 120 {
		t.Errorf("Retry-After %q, and the zone that refuses has a window of a minute", rec.Header().Get("Retry-After"))
	}
	for _, want := range []struct {
		zone, decision string
		count          float64
	}{{"unfelt-shadow", "allowed", 1}, {"unfelt-shadow", "shadowed", 1}, {"unfelt-real", "allowed", 2}, {"unfelt-real", "error", 0}} {
		if got := s.decisions(t, want.zone, want.decision); got != want.count {
			t.Errorf("%s %s %v times, want %v", want.zone, want.decision, got, want.count)
		}
	}
}

// TestCostTooLargeIsNoOutage: a caller who asks for too much is refused, and wakes nobody.
func TestCostTooLargeIsNoOutage(t *testing.T) {
	s := load(t, zoneFile(t, "key a\nevents 10\nwindow 1h\ncost {http.request.header.Rows}"))
	_, err := s.get(t, map[string]string{"Rows": "11"})
	if p := refusal(t, err); p.Code != "rate_limit_cost_too_large" {
		t.Fatalf("%+v", p)
	}
	if failed, denied := s.decisions(t, t.Name(), "error"), s.decisions(t, t.Name(), "denied"); failed != 0 || denied != 1 {
		t.Errorf("%v errors and %v denied, want 0 and 1", failed, denied)
	}
}

func TestCost(t *testing.T) {
	t.Run("fixed", func(t *testing.T) {
		s := load(t, zoneFile(t, "key a\nevents 10\nwindow 1h\ncost 4"))
		if h := s.mustPass(t, "/", ""); !strings.Contains(h.Get("RateLimit"), ";r=6;") {
			t.Errorf("RateLimit %q", h.Get("RateLimit"))
		}
		s.mustPass(t, "/", "")
		if _, err := s.do(t, "/", ""); refusal(t, err).Status != http.StatusTooManyRequests {
			t.Error("4 units fit into 2")
		}
	})
	t.Run("of the request", func(t *testing.T) {
		s := load(t, zoneFile(t, "key a\nevents 10\nwindow 1h\ncost {http.request.header.Rows}"))
		for _, tt := range []struct {
			rows, code string
			left       int
		}{
			{"3", "", 7}, {"0", "", -1}, {"", "rate_limit_cost_missing", 0}, {"-3", "rate_limit_cost_missing", 0},
			{"1e3", "rate_limit_cost_missing", 0}, {"11", "rate_limit_cost_too_large", 0}, {"7", "", 0},
		} {
			rec, err := s.get(t, map[string]string{"Rows": tt.rows})
			if tt.code != "" {
				if p := refusal(t, err); p.Code != tt.code || p.Status != http.StatusBadRequest {
					t.Errorf("Rows %q: %+v", tt.rows, p)
				}
				continue
			}
			if err != nil {
				t.Fatalf("Rows %q: %v", tt.rows, err)
			}
			state := rec.Header().Get("RateLimit")
			if want := fmt.Sprintf(";r=%d;", tt.left); tt.left >= 0 && !strings.Contains(state, want) || tt.left < 0 && state != "" {
				t.Errorf("Rows %q: RateLimit %q, want %d left", tt.rows, state, tt.left)
			}
		}
	})
	t.Run("default", func(t *testing.T) {
		s := load(t, zoneFile(t, "key a\nevents 10\nwindow 1h\ncost {http.request.header.Rows} 5"))
		if h := s.mustPass(t, "/", ""); !strings.Contains(h.Get("RateLimit"), ";r=5;") {
			t.Errorf("RateLimit %q", h.Get("RateLimit"))
		}
	})
	t.Run("of the answer", func(t *testing.T) {
		s := load(t, zoneFile(t, "key a\nevents 10\nwindow 1h\ncost response X-Cost 2"))
		for _, told := range []string{"7", "", "1", "nonsense"} { // 2 and 2 where nothing is told
			s.answer = func(w http.ResponseWriter) {
				if told != "" {
					w.Header().Set("X-Cost", told)
				}
				w.WriteHeader(http.StatusNoContent)
				w.Header().Set("X-Cost", "0") // too late
			}
			_, err := s.do(t, "/", "")
			if told == "1" { // 9 are used, and 2 have to be reserved
				if p := refusal(t, err); p.Status != http.StatusTooManyRequests {
					t.Errorf("%+v", p)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestConcurrency: what is under way counts until it ends, however it ends.
func TestConcurrency(t *testing.T) {
	s := load(t, zoneFile(t, "key a\nkind concurrency\nevents 1"))
	s.answer = func(w http.ResponseWriter) {
		s.answer = nil
		rec, err := s.do(t, "/", "")
		if p := refusal(t, err); p.Status != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "" {
			t.Errorf("a second one under way: %+v", p)
		}
		panic(http.ErrAbortHandler)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		_, _ = s.do(t, "/", "")
	}()
	if h := s.mustPass(t, "/", ""); h.Get("RateLimit-Policy") != `"TestConcurrency";q=1;qu="concurrent-requests"` {
		t.Errorf("RateLimit-Policy %q", h.Get("RateLimit-Policy"))
	}
}

func TestHeaders(t *testing.T) {
	file := func(options string) string {
		return ":80 {\nrate_limit {\n" + options + "\nzone " + t.Name() + " {\nkey a\nevents 2\nwindow 1m\n}\n}\n}\n"
	}
	t.Run("off", func(t *testing.T) {
		s := load(t, file("headers off"))
		s.mustPass(t, "/", "")
		s.mustPass(t, "/", "")
		rec, err := s.do(t, "/", "")
		refusal(t, err)
		if h := rec.Header(); h.Get("RateLimit") != "" || h.Get("RateLimit-Policy") != "" || h.Get("Retry-After") == "" {
			t.Errorf("header %v", h)
		}
	})
	t.Run("legacy", func(t *testing.T) {
		s := load(t, file("headers legacy"))
		h := s.mustPass(t, "/", "")
		reset, err := strconv.Atoi(h.Get("X-RateLimit-Reset"))
		if h.Get("X-RateLimit-Limit") != "2" || h.Get("X-RateLimit-Remaining") != "1" || err != nil || reset < 60 || reset > 63 || h.Get("RateLimit") == "" {
			t.Errorf("header %v", h)
		}
	})
}

// TestRetryAfter is never before the wait is over, and not the same for everybody.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		jitter     float64
		wait, most time.Duration
	}{
		{0, time.Minute, time.Minute},
		{.1, time.Minute, 66 * time.Second},
		{1, 24 * time.Hour, 24*time.Hour + longestJitter},
		{.1, 0, 0},
		{.1, time.Nanosecond, time.Nanosecond},
	} {
		h := &Handler{jitter: tt.jitter}
		seen := make(map[time.Duration]bool)
		for range 100 {
			got := h.retryAfter(tt.wait)
			if got < tt.wait || got > tt.most {
				t.Fatalf("%v with jitter %v: %v", tt.wait, tt.jitter, got)
			}
			seen[got] = true
		}
		if (len(seen) > 1) != (tt.most > tt.wait) {
			t.Errorf("%v with jitter %v: %d different ones", tt.wait, tt.jitter, len(seen))
		}
	}
}

// TestReducedCapacity: what is refused because Redis is away is no fault of the caller's.
func TestReducedCapacity(t *testing.T) {
	t.Parallel()
	zone := &Zone{name: "reduced", series: seriesOf("", t.Name())}
	c := &call{zones: []*Zone{zone}, debits: make([]limit.Debit, 1), states: []limit.State{{Short: true, Degraded: true, Wait: 2 * time.Second}}}
	rec := httptest.NewRecorder()
	p := c.exceeded(new(Handler), rec, httptest.NewRequest(http.MethodGet, "/", nil), limit.Decision{Degraded: true, States: c.states})
	if p.Status != http.StatusServiceUnavailable || p.Code != "temporary_reduced_capacity" ||
		p.Type != "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity" ||
		rec.Header().Get("Retry-After") != "2" || !strings.Contains(string(p.Body("")), `"violated-policies":["reduced"]`) {
		t.Errorf("%+v, header %v", p, rec.Header())
	}
}

// TestUndecided: what only a zone in shadow could not decide passes.
func TestUndecided(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shadow []bool
		err    error
		want   *problem.Problem
	}{
		{[]bool{false}, limit.ErrUnavailable, storeUnavailable},
		{[]bool{true}, limit.ErrUnavailable, nil},
		{[]bool{true, false}, limit.ErrFull, storeUnavailable},
	} {
		c := new(call)
		for _, shadow := range tt.shadow {
			c.zones = append(c.zones, &Zone{Shadow: shadow, series: seriesOf("", t.Name())})
		}
		got := c.undecided(httptest.NewRecorder(), tt.err)
		if (got == nil) != (tt.want == nil) || got != nil && got.Code != tt.want.Code {
			t.Errorf("%v, shadow %v: %v", tt.err, tt.shadow, got)
		}
	}
}

// TestHardHits: one line a minute for a caller, a bounded number for all, and nothing in
// it that says who it is.
func TestHardHits(t *testing.T) {
	t.Parallel()
	o := new(offenders)
	o.seed = refused.seed
	zone := &Zone{api: "a", name: "z", hard: 20}
	now := time.Now()
	lines := 0
	for range 100 {
		if o.note(zone, "alice", now) {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines for one caller in a minute", lines)
	}
	for n := range 1000 {
		for range 20 {
			if o.note(zone, strconv.Itoa(n), now) {
				lines++
			}
		}
	}
	if lines > hardLines {
		t.Errorf("%d lines in a minute, want %d at most", lines, hardLines)
	}
	later := now.Add(hardPeriod)
	for n := range 20 {
		if o.note(zone, "alice", later) != (n == 19) {
			t.Errorf("after a minute, refusal %d", n+1)
		}
	}
	if a, b := callerOf(zone, "alice"), callerOf(zone, "bob"); a == b || len(a) != 16 || callerOf(zone, "alice") != a {
		t.Errorf("callers %q and %q", a, b)
	}
}

func TestTemplateWith(t *testing.T) {
	t.Parallel()
	repl := caddy.NewEmptyReplacer()
	for name, value := range map[string]string{"http.auth.client.id": "shop", "client_ip": "2001:db8::1", "a": "1"} {
		repl.Set(name, value)
	}
	n := networks{v4: 32, v6: 64}
	for key, values := range map[string][]string{
		"{client_ip}": {"2001:db8::1"}, "{http.auth.client.id}": {"shop"}, "x-{a}": {"1"}, "everybody": nil,
		"{http.auth.client.id}/{client_ip} {a}": {"shop", "2001:db8::1", "1"},
	} {
		parsed, err := parseTemplate(key)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := parsed.fill(repl, n)
		if got, err := parsed.with(values, n); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
		if _, err := parsed.with(append(values, "more"), n); err == nil {
			t.Errorf("%s: one value too many is accepted", key)
		}
	}
}

// FuzzUnits: whatever a caller sends, the cost is a number in bounds, and written as digits.
func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"0", "1", "007", "1000000000", "1000000001", "", "-1", "+1", "1.5", "1e3", " 1", "٣"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseUnits(text)
		if err == nil && (n < 0 || n > limit.MaxEvents || strings.Trim(text, "0123456789") != "") {
			t.Errorf("%q is %d", text, n)
		}
	})
}

// FuzzNetwork: whatever stands in a header, its network is text of a bounded length,
// and its own network again.
func FuzzNetwork(f *testing.F) {
	for _, seed := range []string{"192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "fe80::1%eth0", "alice", "::", "1::%::"} {
		f.Add(seed)
	}
	n, err := newNetworks(24, 56)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := n.of(text); got != text && (len(got) > 43 || n.of(got) != got) {
			t.Errorf("%q gives %q, and that %q", text, got, n.of(got))
		}
	})
}

// BenchmarkLeased is the handler with one zone whose key is on lease.
func BenchmarkLeased(b *testing.B) {
	s := load(b, "{\ntollgate {\nredis redis://"+testenv.Redis(b)+"\n}\n}\n:80 {\nrate_limit {\nzone bench {\nkey {http.request.header.Client}\nevents 1000000000\nwindow 1m\n}\n}\n}\n")
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Client", "shop")
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), rec, new(caddyhttp.Server))
	handler := s.handler.(*caddyhttp.Subroute).Routes[0].Handlers[0].(*Handler)
	handler.logger = zap.NewNop()
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	b.ReportAllocs()
	for b.Loop() {
		clear(rec.Header())
		if err := handler.ServeHTTP(rec, r, next); err != nil {
			b.Fatal(err)
		}
	}
}
