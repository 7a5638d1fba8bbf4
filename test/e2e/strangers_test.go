//go:build strangers

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// documents are those of the platform's APIs.
var documents = map[string]string{
	"payments": "backends/payments/openapi.yaml",
	"webhooks": "backends/internal/webhookapi/openapi.yaml",
	"users":    "backends/users/openapi.yaml",
}

// stranger is an app that may do everything, at a demo of its own.
type stranger struct {
	*demo
	t       *testing.T
	c       *http.Client
	app     client
	own     string // its own token
	officer string
}

func newStranger(t *testing.T) stranger {
	t.Helper()
	s := stranger{demo: startDemo(t), t: t}
	s.c = s.http(t)
	s.app = client{RedirectURIs: []string{"http://localhost:9/callback"}}
	const own = "payments:create payments:read payments:capture payments:refund webhooks:read webhooks:write users:create"
	const users = "payments:confirm accounts:read accounts:write profile:read profile:write profile:export profile:delete password:write consents:read consents:write"
	s.operator(t, "", &s.app, "auth", "client", "add", "--id", "stranger", "--name", "A stranger's app", "--kind", "standard",
		"--redirect-uri", s.app.RedirectURIs[0], "--grant", "authorization_code,client_credentials", "--scope", strings.ReplaceAll(own+" "+users, " ", ","))
	var merchant any
	s.operator(t, "", &merchant, "payments", "merchant", "add", "--client", "stranger", "--name", "A stranger's app", "--currency", "EUR")
	s.own = s.clientToken(t, s.c, s.app, own)
	s.officer = s.clientToken(t, s.c, s.client(t, "demo-service"), "risk:read risk:write")
	return s
}

// must is a call that works.
func (s stranger) must(method, path, token string, body any, header ...string) answer {
	s.t.Helper()
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	a := s.call(s.t, s.c, request{method: method, path: path, token: token, key: uuid.NewString(), body: body, header: h})
	if a.status >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// consented makes a payment, and the token of the user who agreed to it.
func (s stranger) consented(method string) (id, token string) {
	s.t.Helper()
	a := s.must("POST", "/api/payments", s.own, map[string]any{
		"amount": map[string]any{"value": 1000, "currency": "EUR"}, "capture_method": method, "end_to_end_id": uuid.NewString(),
	})
	return a.text(s.t, "id"), s.userToken(s.t, s.c, s.app, a)
}

func (s stranger) confirmed(method string) string {
	s.t.Helper()
	id, token := s.consented(method)
	s.must("POST", "/api/payments/"+id+"/confirm", token, nil)
	return id
}

// reviewed is a payment that waits for an officer.
func (s stranger) reviewed() string {
	s.t.Helper()
	rule := func(thresholds any) {
		tag := s.must("GET", "/api/risk/rules/payment_amount", s.officer, nil).header.Get("ETag")
		s.must("PUT", "/api/risk/rules/payment_amount", s.officer, map[string]any{"enabled": true, "thresholds": thresholds}, "If-Match", tag)
	}
	rule(map[string]any{"EUR": map[string]any{"review": 1}})
	id := s.confirmed("automatic")
	rule(map[string]any{})
	return id
}

// person is a new user, with a token for all that is theirs.
func (s stranger) person() (id, token string) {
	s.t.Helper()
	const password = "a password of a stranger"
	var user struct{ ID string }
	name := "person-" + uuid.NewString()[:8]
	s.operator(s.t, password, &user, "users", "add", "--username", name, "--name", "Some One", "--email", name+"@example.com", "--password-file", "-")
	const scope = "accounts:read accounts:write profile:read profile:write profile:export profile:delete password:write consents:read consents:write"
	return user.ID, s.granted(s.t, s.app, scope, name, password).text(s.t, "access_token")
}

// sample is what makes an item of a generated collection a request that works.
type sample struct {
	token string
	path  map[string]string // the variables
	body  any               // nil: the document's example
	match string            // If-Match
	query string            // what the operation requires
}

// samples gives one for each operation of the documents.
func (s stranger) samples() map[string]func() sample {
	payment := func(method, token string) func() sample {
		return func() sample { return sample{token: token, path: map[string]string{"id": s.confirmed(method)}} }
	}
	plain := func(token string) func() sample { return func() sample { return sample{token: token} } }
	_, user := s.person()
	users := plain(user)
	account := s.must("POST", "/api/accounts", user, map[string]any{"name": "Everyday", "currency": "EUR"}).text(s.t, "id")
	ofAccount := func() sample { return sample{token: user, path: map[string]string{"id": account}} }
	review := func() sample { return sample{token: s.officer, path: map[string]string{"id": s.reviewed()}} }
	rule := func() sample { // one that reviews do not change
		tag := s.must("GET", "/api/risk/rules/new_payee", s.officer, nil).header.Get("ETag")
		return sample{token: s.officer, path: map[string]string{"rule": "new_payee"}, match: tag}
	}
	me := func() sample { return sample{token: user, path: map[string]string{"id": "me"}} }
	newcomer := func() sample {
		_, token := s.person()
		return sample{token: token, path: map[string]string{"id": "me"}}
	}
	endpoint := func() sample {
		a := s.must("POST", "/api/webhook-endpoints", s.own, map[string]any{"url": "http://localhost:9/" + uuid.NewString()})
		return sample{token: s.own, path: map[string]string{"id": a.text(s.t, "id")}, match: a.header.Get("ETag")}
	}
	at := func(path string) func() sample { // an endpoint, to be sent there
		return func() sample {
			e := endpoint()
			e.body = map[string]any{"url": "http://localhost:9/" + path + uuid.NewString()}
			return e
		}
	}
	event := func() sample {
		id := s.confirmed("automatic")
		for range 100 {
			var feed struct{ Data []struct{ ID string } }
			if err := json.Unmarshal(s.must("GET", "/api/events?subject="+id, s.own, nil).body, &feed); err == nil && len(feed.Data) > 0 {
				return sample{token: s.own, path: map[string]string{"id": feed.Data[0].ID}}
			}
			time.Sleep(100 * time.Millisecond)
		}
		s.t.Fatal("no event")
		return sample{}
	}
	return map[string]func() sample{
		"POST /api/payments": plain(s.own), "GET /api/payments": plain(s.own), "GET /api/payments/:id": payment("automatic", s.own),
		"POST /api/payments/:id/confirm": func() sample {
			id, token := s.consented("automatic")
			return sample{token: token, path: map[string]string{"id": id}}
		},
		"POST /api/payments/:id/captures": payment("manual", s.own), "GET /api/payments/:id/captures": payment("automatic", s.own),
		"POST /api/payments/:id/cancel":  payment("manual", s.own),
		"POST /api/payments/:id/refunds": payment("automatic", s.own), "GET /api/payments/:id/refunds": payment("automatic", s.own),
		"POST /api/accounts": users, "GET /api/accounts": users, "GET /api/accounts/:id": ofAccount, "GET /api/accounts/:id/entries": ofAccount,
		"GET /api/currencies": plain(""),
		"GET /api/risk/rules": plain(s.officer), "GET /api/risk/rules/:rule": rule, "PUT /api/risk/rules/:rule": rule,
		"GET /api/risk/lists": plain(s.officer), "POST /api/risk/lists": plain(s.officer),
		"DELETE /api/risk/lists/:id": func() sample {
			a := s.must("POST", "/api/risk/lists", s.officer, map[string]any{"list": "allow", "subject": "user", "value": uuid.NewString()})
			return sample{token: s.officer, path: map[string]string{"id": a.text(s.t, "id")}}
		},
		"GET /api/risk/reviews": plain(s.officer), "POST /api/risk/reviews/:id/approve": review, "POST /api/risk/reviews/:id/reject": review,
		"GET /api/risk/decisions": func() sample {
			return sample{token: s.officer, query: "payment_id=" + s.confirmed("automatic")}
		},
		"GET /api/risk/changes": plain(s.officer),

		"GET /api/webhook-endpoints": plain(s.own),
		"POST /api/webhook-endpoints": func() sample {
			return sample{token: s.own, body: map[string]any{"url": "http://localhost:9/" + uuid.NewString()}}
		},
		"GET /api/webhook-endpoints/:id": endpoint, "PATCH /api/webhook-endpoints/:id": at("moved"),
		"DELETE /api/webhook-endpoints/:id": endpoint, "POST /api/webhook-endpoints/:id/rotate-secret": endpoint,
		"GET /api/events": plain(s.own), "GET /api/events/:id": event, "POST /api/events/:id/redeliver": event,

		"POST /api/users": plain(s.own), "GET /api/users/:id": me,
		"PATCH /api/users/:id": func() sample {
			v := me()
			v.match = s.must("GET", "/api/users/me", user, nil).header.Get("ETag")
			return v
		},
		"POST /api/users/:id/password": func() sample {
			v := newcomer()
			v.body = map[string]any{"current_password": "a password of a stranger", "new_password": "the password that came after"}
			return v
		},
		"DELETE /api/users/:id": newcomer, "GET /api/users/:id/export": me, "GET /api/users/:id/consents": me,
		"DELETE /api/users/:id/consents/:consent": func() sample {
			v := newcomer()
			var list struct{ Data []struct{ ID string } }
			a := s.must("GET", "/api/users/me/consents", v.token, nil)
			if err := json.Unmarshal(a.body, &list); err != nil || len(list.Data) != 1 {
				s.t.Fatalf("consents: %v %s", err, a.body)
			}
			v.path["consent"] = list.Data[0].ID
			return v
		},
	}
}

type object = map[string]any

// judged is what newman runs after each answer: it is what was asked for, and the
// proxy in between found nothing.
const judged = `pm.test("as documented", () => {
	pm.expect(pm.response.text()).to.not.include("stoplight.io/prism/errors");
	pm.expect(pm.response.headers.has("sl-violations"), pm.response.headers.get("sl-violations")).to.equal(false);
	pm.expect(pm.response.code, pm.response.text()).to.be.within(200, 299);
});`

// ready fills a collection in: tokens, ids, keys. What the document has examples of
// is as the converter took it from there.
func ready(t *testing.T, collection object, samples map[string]func() sample) {
	t.Helper()
	collection["event"] = []any{object{"listen": "test", "script": object{"type": "text/javascript", "exec": []string{judged}}}}
	delete(collection, "auth")
	for _, folder := range collection["item"].([]any) {
		for _, entry := range folder.(object)["item"].([]any) {
			r := entry.(object)["request"].(object)
			address := r["url"].(object)
			var path string
			for _, part := range address["path"].([]any) {
				path += "/" + part.(string)
			}
			operation := r["method"].(string) + " " + path
			make, known := samples[operation]
			if !known {
				t.Fatalf("nobody knows how to try %s", operation)
			}
			v := make()
			delete(r, "auth")
			delete(address, "query")
			if name, value, wanted := strings.Cut(v.query, "="); wanted {
				address["query"] = []any{object{"key": name, "value": value}}
			}
			for _, variable := range append([]any{}, address["variable"].([]any)...) {
				variable.(object)["value"] = v.path[variable.(object)["key"].(string)]
			}
			headers := slices.DeleteFunc(r["header"].([]any), func(h any) bool {
				return !slices.Contains([]string{"Content-Type", "Accept"}, h.(object)["key"].(string))
			})
			add := func(name, value string) {
				if value != "" {
					headers = append(headers, object{"key": name, "value": value})
				}
			}
			if v.token != "" {
				add("Authorization", "Bearer "+v.token)
			}
			add("If-Match", v.match)
			add("Idempotency-Key", uuid.NewString())
			r["header"] = headers
			if v.body != nil {
				text, err := json.Marshal(v.body)
				if err != nil {
					t.Fatal(err)
				}
				r["body"] = object{"mode": "raw", "raw": string(text)}
			}
		}
	}
}

// TestStrangersCollection runs a Postman collection made from each document, through
// a proxy that holds every request and every answer to the document.
func TestStrangersCollection(t *testing.T) {
	folder := strangersFolder(t)
	s := newStranger(t)
	samples := s.samples()
	for name, path := range documents {
		t.Run(name, func(t *testing.T) {
			document := absolute(t, path)
			file := filepath.Join(t.TempDir(), "collection.json")
			npx(t, folder, "openapi2postmanv2", "-s", document, "-o", file, "-O", "folderStrategy=Tags,parametersResolution=Example")
			var collection object
			text, err := os.ReadFile(file)
			if err == nil {
				err = json.Unmarshal(text, &collection)
			}
			if err != nil {
				t.Fatal(err)
			}
			ready(t, collection, samples)
			if text, err = json.Marshal(collection); err == nil {
				err = os.WriteFile(file, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			out, err := newman(t, folder, file, prism(t, folder, s.demo, document))
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Log(summary(out))
			if name != "payments" {
				return
			}
			// And a document that lies is found out.
			lie, err := os.ReadFile(document)
			if err != nil {
				t.Fatal(err)
			}
			lying := filepath.Join(t.TempDir(), "lying.yaml")
			if err := os.WriteFile(lying, []byte(strings.Replace(string(lie), "decimal_places: {type: integer,", "decimal_places: {type: string,", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := newman(t, folder, file, prism(t, folder, s.demo, lying), "--folder", "currencies"); err == nil {
				t.Errorf("nothing is found in a document that lies:\n%s", out)
			}
		})
	}
}

// TestStrangersTypes walks the flow with a client on types that were made from the
// documents.
func TestStrangersTypes(t *testing.T) {
	folder := strangersFolder(t)
	for name, path := range documents {
		// By itself the tool wants clients to send what has a default.
		npx(t, folder, "openapi-typescript", absolute(t, path), "--default-non-nullable=false", "--output", "generated/"+name+".ts")
	}
	npx(t, folder, "tsc", "--strict", "--target", "es2022", "--moduleResolution", "bundler", "--module", "esnext", "--skipLibCheck",
		"--types", "node", "--outDir", "generated/js", "client.ts")
	s := newStranger(t)
	cmd := testenv.Node(t, folder, "generated/js/client.js")
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+s.CACert, "BASE="+s.BaseURL, "TOKEN="+s.own)
	var failure strings.Builder
	cmd.Stderr = &failure
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var done string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if payment, waits := strings.CutPrefix(lines.Text(), "consent "); waits {
			token := s.userToken(t, s.c, s.app, answer{body: []byte(payment)})
			if _, err := io.WriteString(in, token+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		done = lines.Text()
	}
	if err := cmd.Wait(); err != nil || done != "done succeeded 1000 refunded 400" {
		t.Errorf("%v, last said %q\n%s", err, done, failure.String())
	}
}

// installed is the folder of the tools, once they are there.
var installed string

func strangersFolder(t *testing.T) string {
	t.Helper()
	if installed == "" {
		installed = testenv.NPM(t, "../strangers/documents")
	}
	return installed
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return full
}

func npx(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "npx", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// prism proxies to the edge, and gives its own address.
func prism(t *testing.T, folder string, d *demo, document string) string {
	t.Helper()
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	_, port, _ := net.SplitHostPort(address)
	cmd := testenv.Node(t, folder, "node_modules/.bin/prism", "proxy", document, d.BaseURL, "--errors", "--port", port)
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+d.CACert)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return "http://" + address
		}
		if time.Now().After(deadline) {
			t.Fatalf("prism does not listen:\n%s", log.String())
		}
	}
}

func newman(t *testing.T, folder, collection, base string, args ...string) (string, error) {
	t.Helper()
	cmd := testenv.Node(t, folder, "node_modules/.bin/newman", append([]string{"run", collection, "--env-var", "baseUrl=" + base,
		"--color", "off", "--reporters", "cli"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// summary is the line of newman's table that counts assertions.
func summary(out string) string {
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Contains(line, "assertions") {
			return fmt.Sprint(strings.Trim(line, "│ "))
		}
	}
	return "no summary"
}
