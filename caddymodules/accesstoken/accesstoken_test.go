package accesstoken_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/api"
	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// load provisions an API with an access_token of these settings and gives that handler.
func load(t testing.TB, issuer *tokentest.Issuer, settings string) caddyhttp.MiddlewareHandler {
	t.Helper()
	keys := httptest.NewServer(issuer.Handler())
	t.Cleanup(keys.Close)
	config := fmt.Sprintf(`{"origins":["https://edge.test"],"issuers":[{"url":%q,"audiences":[%q,"other"],"jwks_uri":%q}]}`, issuer.URL, issuer.Audience, keys.URL)
	ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"tollgate": json.RawMessage(config)}})
	if err != nil {
		t.Fatal(err)
	}
	module, err := ctx.LoadModuleByID("http.handlers.api", json.RawMessage(`{"name":"pay","routes":[{"handle":[{"handler":"access_token"`+settings+`}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	app, err := tollgate.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(app.Stop(), app.Cleanup()); err != nil {
			t.Error(err)
		}
	})
	return module.(*api.Handler).Routes[0].Handlers[0]
}

// prepare makes a request as Caddy's server does.
func prepare(raw string) (http.ResponseWriter, *http.Request, *caddy.Replacer) {
	r, w, repl := httptest.NewRequest(http.MethodGet, "https://edge.test/api", http.NoBody), httptest.NewRecorder(), caddy.NewReplacer()
	r.Header.Set("Authorization", "Bearer "+raw)
	return w, caddyhttp.PrepareRequest(r, repl, w, new(caddyhttp.Server)), repl
}

var pass = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// authenticate sends tokens until the keys have arrived.
func authenticate(t testing.TB, handler caddyhttp.MiddlewareHandler, raw string) (*http.Request, *caddy.Replacer, error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		w, r, repl := prepare(raw)
		err := handler.ServeHTTP(w, r, pass)
		refusal, refused := errors.AsType[*problem.Problem](err)
		if !refused || refusal.Status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return r, repl, err
		}
	}
}

func TestPlaceholders(t *testing.T) {
	issuer := tokentest.NewIssuer(t, "https://issuer.test")
	handler := load(t, issuer, "")
	r, repl, err := authenticate(t, handler, issuer.Token(
		tokentest.Claim("amr", []string{"pwd", "otp"}), tokentest.Claim("level", 3), tokentest.Claim("staff", true)))
	if err != nil {
		t.Fatal(err)
	}
	for placeholder, want := range map[string]string{
		"{http.auth.user.id}":         "user-1",
		"{http.auth.client.id}":       "client-1",
		"{http.auth.token.iss}":       "https://issuer.test",
		"{http.auth.token.amr}":       `["pwd","otp"]`,
		"{http.auth.token.level}":     "3",
		"{http.auth.token.staff}":     "true",
		"{http.auth.token.absent}":    "",
		"{http.request.method}":       "GET",
		"{http.auth.token.client_id}": "client-1",
	} {
		if got := repl.ReplaceAll(placeholder, ""); got != want {
			t.Errorf("%s is %q, want %q", placeholder, got, want)
		}
	}
	if verified, ok := tollgate.TokenOf(r); !ok || verified.Subject != "user-1" {
		t.Errorf("the handlers behind know %v", verified)
	}
}

func TestRefusalLeavesNobody(t *testing.T) {
	issuer := tokentest.NewIssuer(t, "https://issuer.test")
	handler := load(t, issuer, `,"audiences":["other"]`)
	r, repl, err := authenticate(t, handler, issuer.Token())
	refusal, refused := errors.AsType[*problem.Problem](err)
	if !refused || refusal.Status != http.StatusUnauthorized || refusal.Reason != "wrong_audience" {
		t.Fatalf("%v", err)
	}
	if _, known := tollgate.TokenOf(r); known || repl.ReplaceAll("{http.auth.user.id}", "") != "" {
		t.Error("a refused token is known")
	}
}

// TestProofIsForWhatWasSent has rewrites in front of the handler, as handle_path is one.
func TestProofIsForWhatWasSent(t *testing.T) {
	issuer, key := tokentest.NewIssuer(t, "https://issuer.test"), tokentest.NewKey(t, "ES256", "")
	handler := load(t, issuer, "")
	bound := issuer.Token(tokentest.BoundTo(key))
	if _, _, err := authenticate(t, handler, issuer.Token()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, uri, reason string
	}{
		{http.MethodGet, "https://edge.test/api", ""},
		{http.MethodPost, "https://edge.test/api", "proof_wrong_method"},
		{http.MethodGet, "https://edge.test/rewritten", "proof_wrong_uri"},
	} {
		w, r, _ := prepare(bound)
		r.Header["Authorization"] = []string{"DPoP " + bound}
		r.Header["Dpop"] = []string{key.Proof(time.Now(), test.method, test.uri, bound)}
		r.Method, r.URL.Path = http.MethodPost, "/rewritten"
		var passed *http.Request
		err := handler.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			passed = r
			return nil
		}))
		reason := ""
		if refusal, refused := errors.AsType[*problem.Problem](err); refused {
			reason = refusal.Reason
		}
		if reason != test.reason {
			t.Errorf("%s %s: %v", test.method, test.uri, err)
		}
		if passed != nil && (passed.Method != http.MethodPost || passed.URL.Path != "/rewritten") {
			t.Errorf("the rewrite is lost: %s %s", passed.Method, passed.URL)
		}
	}
}

// TestWarmAllocations: nobody has to be fast here, but allocations can be counted
// anywhere. Each request is a fresh one: Caddy's replacer takes room for what is mapped.
func TestWarmAllocations(t *testing.T) {
	issuer := tokentest.NewIssuer(t, "https://issuer.test")
	handler := load(t, issuer, "")
	raw := issuer.Token()
	if _, _, err := authenticate(t, handler, raw); err != nil {
		t.Fatal(err)
	}
	const runs = 100
	requests := prepareMany(raw, runs+1) // AllocsPerRun makes one run more
	next := 0
	allocations := testing.AllocsPerRun(runs, func() {
		if err := handler.ServeHTTP(requests[next].w, requests[next].r, pass); err != nil {
			t.Fatal(err)
		}
		next++
	})
	if allocations > 2 {
		t.Errorf("%v allocations", allocations)
	}
}

type prepared struct {
	w http.ResponseWriter
	r *http.Request
}

func prepareMany(raw string, n int) []prepared {
	requests := make([]prepared, n)
	for i := range requests {
		w, r, _ := prepare(raw)
		requests[i] = prepared{w, r}
	}
	return requests
}

// repeats is how often the benchmark sends one request: what Caddy's replacer has been
// told for it stays in there, and is not to grow without end.
const repeats = 64

// BenchmarkWarm is the whole handler for a token that was seen before. Of the budget of
// a microsecond it takes x-of-budget.
func BenchmarkWarm(b *testing.B) {
	issuer := tokentest.NewIssuer(b, "https://issuer.test")
	handler := load(b, issuer, "")
	raw := issuer.Token()
	if _, _, err := authenticate(b, handler, raw); err != nil {
		b.Fatal(err)
	}
	w, r, _ := prepare(raw)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if n++; n%repeats == 0 {
			b.StopTimer()
			w, r, _ = prepare(raw)
			b.StartTimer()
		}
		if err := handler.ServeHTTP(w, r, pass); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Microsecond), "x-of-budget")
}

// TestMetadataOnAllListeners: Caddy repeats a site's routes for each of its listeners.
func TestMetadataOnAllListeners(t *testing.T) {
	const config = `{"origins":["https://edge.test"],"issuers":[{"url":"https://issuer.test","audiences":["a"]}]}`
	ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"tollgate": json.RawMessage(config)}})
	if err != nil {
		t.Fatal(err)
	}
	app, err := tollgate.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Cleanup() })
	var handlers []caddyhttp.MiddlewareHandler
	for range 2 {
		module, err := ctx.LoadModuleByID("http.handlers.api", json.RawMessage(
			`{"name":"pay","resource":"/pay","routes":[{"handle":[{"handler":"access_token"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		handlers = append(handlers, module.(*api.Handler).Routes[0].Handlers[0])
	}
	app.PublishResources()
	for n, handler := range handlers {
		w, r, _ := prepare("x")
		r.Header.Del("Authorization")
		refusal, _ := errors.AsType[*problem.Problem](handler.ServeHTTP(w, r, pass))
		const want = `Bearer resource_metadata="https://edge.test/.well-known/oauth-protected-resource/pay"`
		if refusal == nil || refusal.Header.Get("WWW-Authenticate") != want {
			t.Errorf("listener %d: %+v", n, refusal)
		}
	}
}
