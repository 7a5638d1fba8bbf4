package webhookapi

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/webhook"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const origin = "https://localhost:8443"

// platform is the API on a fresh database, held to its document.
type platform struct {
	t       testing.TB
	db      *database.DB
	vault   *vault.Vault
	issuer  *tokentest.Issuer
	routes  *rest.Router
	doc     *openapitest.Document
	handler http.Handler
	woken   int
}

// fresh gives databases of the payments service.
var fresh = databasetest.TemplateOf("payments", os.DirFS("../../payments"))

func forEach(t *testing.T, allowPrivate bool, test func(*platform)) {
	t.Helper()
	fresh.ForEach(t, func(t *testing.T, dsn string) { test(newPlatform(t, dsn, allowPrivate)) })
}

func newPlatform(t testing.TB, dsn string, allowPrivate bool) *platform {
	t.Helper()
	v, err := vault.Load(filepath.Join(t.TempDir(), "key"), "webhooks")
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{
		t: t, db: fresh.Open(t, dsn), vault: v, issuer: tokentest.NewIssuer(t, origin),
		routes: rest.NewRouter(slog.New(slog.DiscardHandler), ""), doc: openapitest.Load(t, Document),
	}
	keys := httptest.NewServer(p.issuer.Handler())
	t.Cleanup(keys.Close)
	gates, err := tokencheck.NewGates(tokencheck.Config{Issuer: origin, JWKSURL: keys.URL, Audience: origin + "/api"})
	if err != nil {
		t.Fatal(err)
	}
	gates.Start(t.Context())
	AddRoutes(p.routes, Config{
		DB: p.db, Vault: v, Check: gates.API, AllowPrivate: allowPrivate, Now: time.Now, Wake: func() { p.woken++ },
	})
	p.handler = p.doc.Handler(t, p.routes)
	return p
}

func (p *platform) token(client, scope string) string {
	return p.issuer.Token(tokentest.Claim("sub", client), tokentest.Claim("client_id", client), tokentest.Claim("scope", scope))
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// call calls as a client with both scopes; header is name, value, ...
func (p *platform) call(client, method, path, body string, header ...string) answer {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+p.token(client, "webhooks:read webhooks:write"))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return answer{w, p.t}
}

func (a answer) expect(status int, code string) answer {
	a.t.Helper()
	var said struct{ Code string }
	_ = json.Unmarshal(a.Body.Bytes(), &said) // an answer without body has no code
	if a.Code != status || said.Code != code {
		a.t.Fatalf("got %d %q, want %d %q\n%s", a.Code, said.Code, status, code, a.Body)
	}
	return a
}

func decode[T any](a answer) (v T) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), &v); err != nil {
		a.t.Fatalf("%v\n%s", err, a.Body)
	}
	return v
}

// add registers an endpoint.
func (p *platform) add(client, url string) endpointView {
	p.t.Helper()
	return decode[endpointView](p.call(client, "POST", "/api/webhook-endpoints", `{"url":"`+url+`"}`).expect(201, ""))
}

func (p *platform) publish(client string, n int) {
	p.t.Helper()
	for range n {
		err := p.db.InTx(p.t.Context(), func(tx *sql.Tx) error {
			e := outbox.Event{Client: client, Type: "payment.succeeded", Subject: uuid.NewString(), Data: map[string]int{"n": 1}}
			return outbox.Publish(p.t.Context(), tx, p.db.Dialect, e, time.Now())
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// dispatch runs a dispatcher until the condition holds.
func (p *platform) dispatch(until func() bool) {
	p.t.Helper()
	d := outbox.NewDispatcher(outbox.Config{
		DB: p.db, Vault: p.vault, Sender: webhook.NewSender(true, time.Now), Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); !until(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Error("not within 20 s")
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		p.t.Error(err)
	}
}

func TestTheDocumentIsTrue(t *testing.T) {
	t.Parallel()
	forEach(t, false, func(p *platform) {
		p.doc.RequireRoutes(t, p.routes.Patterns())
		p.doc.RequireScopes(t, p.routes, p.token("shop", "payments:read"))
		// The examples are taken as they are.
		e := p.call("shop", "POST", "/api/webhook-endpoints", p.example("POST /api/webhook-endpoints", "shop")).expect(201, "")
		path := e.Header().Get("Location")
		p.call("shop", "PATCH", path, p.example("PATCH /api/webhook-endpoints/{id}", "off"), "If-Match", e.Header().Get("ETag")).expect(200, "")
		p.call("shop", "PATCH", path, p.example("PATCH /api/webhook-endpoints/{id}", "moved"),
			"If-Match", `"2"`, "Content-Type", "application/merge-patch+json").expect(200, "")
		p.call("shop", "POST", path+"/rotate-secret", p.example("POST /api/webhook-endpoints/{id}/rotate-secret", "hour")).expect(200, "")
		p.call("shop", "POST", "/api/events/"+uuid.NewString()+"/redeliver", p.example("POST /api/events/{id}/redeliver", "all")).expect(404, "not_found")
	})
}

func (p *platform) example(pattern, name string) string {
	p.t.Helper()
	ops := p.doc.Operations()
	i := slices.IndexFunc(ops, func(op openapitest.Operation) bool { return op.Pattern == pattern })
	if i < 0 || ops[i].Examples[name] == nil {
		p.t.Fatalf("the document has no example %s of %s", name, pattern)
	}
	text, err := json.Marshal(ops[i].Examples[name])
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func TestTheLifeOfAnEndpoint(t *testing.T) {
	t.Parallel()
	forEach(t, false, func(p *platform) {
		made := p.call("shop", "POST", "/api/webhook-endpoints", `{"url":"https://shop.example/hooks"}`).expect(201, "")
		e := decode[endpointView](made)
		path := "/api/webhook-endpoints/" + e.ID
		if e.Secret == "" || !e.Enabled || made.Header().Get("Location") != path || made.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v %v", e, made.Header())
		}
		p.call("shop", "POST", "/api/webhook-endpoints", `{"url":"https://shop.example/hooks"}`).expect(409, "endpoint_exists")
		read := p.call("shop", "GET", path, "").expect(200, "")
		if v := decode[endpointView](read); v.Secret != "" || v.URL != e.URL {
			t.Errorf("the secret is shown again: %s", read.Body)
		}
		if list := p.call("shop", "GET", "/api/webhook-endpoints", "").expect(200, ""); strings.Contains(list.Body.String(), "whsec_") {
			t.Errorf("the secret is shown again: %s", list.Body)
		}
		tag := read.Header().Get("ETag")
		p.call("shop", "GET", path, "", "If-None-Match", tag).expect(304, "")
		p.call("shop", "PATCH", path, `{"enabled":false}`).expect(428, "if_match_required")
		off := p.call("shop", "PATCH", path, `{"enabled":false}`, "If-Match", tag).expect(200, "")
		if v := decode[endpointView](off); v.Enabled || v.DisabledReason != "by_client" {
			t.Errorf("%+v", v)
		}
		p.call("shop", "PATCH", path, `{"enabled":true}`, "If-Match", tag).expect(412, "version_mismatch")
		on := p.call("shop", "PATCH", path, `{"enabled":true,"url":"https://shop.example/2"}`, "If-Match", off.Header().Get("ETag")).expect(200, "")
		if v := decode[endpointView](on); !v.Enabled || v.DisabledReason != "" || v.URL != "https://shop.example/2" || p.woken != 2 {
			t.Errorf("%+v, woken %d times", v, p.woken)
		}
		rotated := p.call("shop", "POST", path+"/rotate-secret", "").expect(200, "")
		if v := decode[endpointView](rotated); v.Secret == "" || v.Secret == e.Secret || v.OldSecretsExpireAt == nil ||
			v.OldSecretsExpireAt.Sub(v.UpdatedAt) != defaultOverlap || rotated.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v", v)
		}
		for range 3 {
			p.call("shop", "POST", path+"/rotate-secret", `{"overlap_seconds":60}`).expect(200, "")
		}
		p.call("shop", "POST", path+"/rotate-secret", "").expect(409, "too_many_secrets")
		p.call("shop", "DELETE", path, "").expect(204, "")
		p.call("shop", "DELETE", path, "").expect(404, "not_found")
		p.call("shop", "GET", path, "").expect(404, "not_found")
	})
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	forEach(t, false, func(p *platform) {
		mine, theirs := p.add("shop", "https://shop.example/"), p.add("other", "https://other.example/")
		p.add("shop", "https://shop.example/second")
		p.publish("other", 1)
		p.dispatch(func() bool { return len(p.feed("other", "").Data) == 1 })
		event := p.feed("other", "").Data[0]
		at := "/api/webhook-endpoints/"
		for name, c := range map[string]struct {
			method, path, body string
			status             int
			code               string
		}{
			"no URL":                      {"POST", at[:len(at)-1], `{}`, 422, "validation_failed"},
			"http":                        {"POST", at[:len(at)-1], `{"url":"http://shop.example"}`, 422, "validation_failed"},
			"this machine":                {"POST", at[:len(at)-1], `{"url":"http://localhost:1/"}`, 422, "validation_failed"},
			"a private network":           {"POST", at[:len(at)-1], `{"url":"https://192.168.1.1/"}`, 422, "validation_failed"},
			"cloud metadata, mapped":      {"POST", at[:len(at)-1], `{"url":"https://[::ffff:169.254.169.254]/"}`, 422, "validation_failed"},
			"behind NAT64":                {"POST", at[:len(at)-1], `{"url":"https://[64:ff9b::a00:1]/"}`, 422, "validation_failed"},
			"a long URL":                  {"POST", at[:len(at)-1], `{"url":"https://shop.example/` + strings.Repeat("a", maxURL) + `"}`, 422, "validation_failed"},
			"an unknown member":           {"POST", at[:len(at)-1], `{"url":"https://shop.example/x","secret":"mine"}`, 400, "malformed_json"},
			"no JSON":                     {"POST", at[:len(at)-1], `{`, 400, "malformed_json"},
			"a bad limit":                 {"GET", at[:len(at)-1] + "?limit=-1", "", 400, "invalid_parameter"},
			"somebody else's":             {"GET", at + theirs.ID, "", 404, "not_found"},
			"change somebody else's":      {"PATCH", at + theirs.ID, `{"enabled":false}`, 404, "not_found"},
			"remove somebody else's":      {"DELETE", at + theirs.ID, "", 404, "not_found"},
			"rotate somebody else's":      {"POST", at + theirs.ID + "/rotate-secret", "", 404, "not_found"},
			"no id":                       {"GET", at + "x%00", "", 404, "not_found"},
			"change to a bad URL":         {"PATCH", at + mine.ID, `{"url":"http://10.0.0.1/"}`, 422, "validation_failed"},
			"change to one that is taken": {"PATCH", at + mine.ID, `{"url":"https://shop.example/second"}`, 409, "endpoint_exists"},
			"a negative overlap":          {"POST", at + mine.ID + "/rotate-secret", `{"overlap_seconds":-1}`, 422, "validation_failed"},
			"a long overlap":              {"POST", at + mine.ID + "/rotate-secret", `{"overlap_seconds":604801}`, 422, "validation_failed"},
			"no overlap":                  {"POST", at + mine.ID + "/rotate-secret", `{"overlap_seconds":null}`, 422, "validation_failed"},
			"somebody else's event":       {"GET", "/api/events/" + event.ID, "", 404, "not_found"},
			"redeliver somebody else's":   {"POST", "/api/events/" + event.ID + "/redeliver", "", 404, "not_found"},
			"no id of an event":           {"GET", "/api/events/x", "", 404, "not_found"},
			"no endpoint of that name":    {"POST", "/api/events/" + event.ID + "/redeliver", `{"endpoint_id":"x"}`, 422, "validation_failed"},
			"a bad type":                  {"GET", "/api/events?type=%27", "", 400, "invalid_parameter"},
			"a bad subject":               {"GET", "/api/events?subject=%00", "", 400, "invalid_parameter"},
			"a bad cursor":                {"GET", "/api/events?cursor=x", "", 400, "invalid_parameter"},
			"a cursor of nobody":          {"GET", "/api/events?cursor=AZAAAAAAcACAAAAAAAAAAA", "", 410, "cursor_expired"},
		} {
			t.Log(name)
			p.call("shop", c.method, c.path, c.body, "If-Match", "*").expect(c.status, c.code)
		}
		r := httptest.NewRequest("GET", "/api/events", nil)
		r.Header.Set("Authorization", "Bearer "+p.issuer.Token(tokentest.Claim("sub", "ada"), tokentest.Claim("scope", readScope)))
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, r)
		answer{w, t}.expect(403, "client_token_required")
		for i := range outbox.MaxEndpoints - 2 {
			p.add("shop", "https://shop.example/n"+string(rune('a'+i)))
		}
		p.call("shop", "POST", "/api/webhook-endpoints", `{"url":"https://shop.example/more"}`).expect(409, "too_many_endpoints")
	})
}

func (p *platform) feed(client, query string) feedView {
	p.t.Helper()
	return decode[feedView](p.call(client, "GET", "/api/events"+query, "").expect(200, ""))
}

// A receiver that was away reads the feed, goes on where it stopped, and has one
// event sent again.
func TestTheFeedIsTheFallback(t *testing.T) {
	t.Parallel()
	forEach(t, true, func(p *platform) {
		if empty := p.feed("shop", ""); empty.NextCursor != "" || empty.HasMore {
			t.Errorf("%+v", empty)
		}
		got := make(chan string, 10)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // one that ended early is not equal
			got <- r.Header.Get("webhook-id") + " " + string(body)
		}))
		defer server.Close()
		p.publish("shop", 5)
		p.publish("other", 1)
		p.dispatch(func() bool { return len(p.feed("shop", "").Data) == 5 })
		first := p.feed("shop", "?limit=3")
		second := p.feed("shop", "?limit=3&cursor="+first.NextCursor)
		if len(first.Data) != 3 || !first.HasMore || len(second.Data) != 2 || second.HasMore || second.NextCursor == "" {
			t.Fatalf("%+v %+v", first, second)
		}
		if end := p.feed("shop", "?cursor="+second.NextCursor); len(end.Data) != 0 || end.NextCursor != second.NextCursor {
			t.Errorf("%+v", end)
		}
		e := second.Data[1]
		if found := p.feed("shop", "?type=payment.succeeded&subject="+e.Subject); len(found.Data) != 1 || found.Data[0].ID != e.ID {
			t.Errorf("%+v", found)
		}
		p.call("shop", "POST", "/api/events/"+e.ID+"/redeliver", "").expect(409, "no_endpoint")
		endpoint := p.add("shop", server.URL+"/hooks")
		again := p.call("shop", "POST", "/api/events/"+e.ID+"/redeliver", `{"endpoint_id":"`+endpoint.ID+`"}`).expect(202, "")
		if v := decode[eventView](again); len(*v.Deliveries) != 1 || (*v.Deliveries)[0].State != "pending" || p.woken != 1 {
			t.Errorf("%+v", v)
		}
		var sent string
		p.dispatch(func() bool {
			select {
			case sent = <-got:
				return true
			default:
				return false
			}
		})
		id, body, _ := strings.Cut(sent, " ")
		var payload struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal([]byte(body), &payload); err != nil || id != e.ID || payload.Type != e.Type || string(payload.Data) != string(e.Data) {
			t.Errorf("the webhook said %s, the feed %+v", sent, e)
		}
		done := decode[eventView](p.call("shop", "GET", "/api/events/"+e.ID, "").expect(200, ""))
		if d := (*done.Deliveries)[0]; d.State != "delivered" || d.LastStatus != 200 || d.FinishedAt == nil || d.NextAttemptAt != nil {
			t.Errorf("%+v", d)
		}
		tag := p.call("shop", "GET", "/api/webhook-endpoints/"+endpoint.ID, "").Header().Get("ETag")
		p.call("shop", "PATCH", "/api/webhook-endpoints/"+endpoint.ID, `{"enabled":false}`, "If-Match", tag).expect(200, "")
		p.call("shop", "POST", "/api/events/"+e.ID+"/redeliver", `{"endpoint_id":"`+endpoint.ID+`"}`).expect(409, "endpoint_disabled")
	})
}

// Whoever has what is there is told so, with nothing else, and what is new is sent.
func TestReadsAreConditional(t *testing.T) {
	t.Parallel()
	forEach(t, true, func(p *platform) {
		endpoint := p.add("shop", "http://127.0.0.1:1/hooks")
		p.publish("shop", 1)
		feed := func() feedView { return decode[feedView](p.call("shop", "GET", "/api/events", "").expect(200, "")) }
		p.dispatch(func() bool { return len(feed().Data) == 1 })
		for _, path := range []string{"/api/webhook-endpoints", "/api/webhook-endpoints/" + endpoint.ID, "/api/events", "/api/events/" + feed().Data[0].ID} {
			a := p.call("shop", "GET", path, "").expect(200, "")
			tag := a.Header().Get("ETag")
			if a = p.call("shop", "GET", path, "", "If-None-Match", tag); a.Code != 304 || a.Body.Len() != 0 || tag == "" {
				t.Errorf("%s: %d %s, tag %q", path, a.Code, a.Body, tag)
			}
			p.call("shop", "GET", path, "", "If-None-Match", `"0"`).expect(200, "")
		}
	})
}
