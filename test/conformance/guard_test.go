package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// guardedConfig has an API whose require and a guard that a test writes anew.
const guardedConfig = `{
	admin {$TOLLGATE_ADMIN}
	tollgate {
		issuer https://issuer.test {
			audience https://issuer.test/api
			jwks_file %[2]s
		}
		audit %[1]s {
			name edge.test/audit
		}
		%[3]s
	}
}
http://{$TOLLGATE_LISTEN} {
	bind seamless/127.0.0.1
	log
	api pay /pay {
		access_token
		%[4]s
	}
	%[5]s
}
`

const (
	guardOn  = "reload_guard"
	needsOne = "require {\n\t\t\tscope payments:read\n\t\t}\n\t\trespond \"paid\""
	needsTwo = "require {\n\t\t\tscope payments:read payments:more\n\t\t}\n\t\trespond \"paid\""
	needsNil = "respond \"paid\""
)

type guarded struct {
	*audited
	keys string
}

func (g *guarded) text(guard, pay, more string) string {
	return fmt.Sprintf(guardedConfig, g.dir, g.keys, guard, pay, more)
}

func startGuarded(t *testing.T, guard, pay string) *guarded {
	t.Helper()
	issuer := tokentest.NewIssuer(t, "https://issuer.test")
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, issuer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &guarded{audited: &audited{dir: filepath.Join(t.TempDir(), "audit"), issuer: issuer}}
	g.keys = file
	listen := freeAddress(t)
	g.url = "http://" + listen
	config := writeConfig(t, "Caddyfile", g.text(guard, pay, ""))
	g.edge = startEdge(t, config, "TOLLGATE_ADMIN="+freeAddress(t), "TOLLGATE_LISTEN="+listen)
	return g
}

// load reloads a Caddyfile by the command, and gives what it said.
func (g *guarded) load(guard, pay, more string) (output string, loaded bool) {
	g.t.Helper()
	return g.loadText(g.text(guard, pay, more))
}

func (g *guarded) mustLoad(guard, pay, more string) {
	g.t.Helper()
	if output, ok := g.load(guard, pay, more); !ok {
		g.t.Fatalf("is not loaded: %s", output)
	}
}

// ask sends something to the admin API.
func (g *guarded) ask(method, path, body string, fields ...string) (int, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.admin+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(fields); n += 2 {
		r.Header.Set(fields[n], fields[n+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

// hash gives the one that the running edge tells.
func (g *guarded) hash() string {
	g.t.Helper()
	var report struct{ Policy string }
	if err := json.Unmarshal(g.get("/tollgate/policy"), &report); err != nil || len(report.Policy) != 32 {
		g.t.Fatalf("%+v %v", report, err)
	}
	return report.Policy
}

// policy runs the command on the Caddyfile.
func (g *guarded) policy(args ...string) string {
	g.t.Helper()
	command := exec.Command(binary, append([]string{"policy"}, args...)...)
	command.Env = g.env
	out, err := command.CombinedOutput()
	if err != nil {
		g.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// status is what a token for payments:read gets.
func (g *guarded) status(scope string) int {
	g.t.Helper()
	status, _ := g.call("/pay", g.issuer.Token(tokentest.Claim("scope", scope)))
	return status
}

// records waits until the audit log has all of these texts in records of a kind.
func (g *guarded) records(kind string, wants ...string) {
	g.t.Helper()
	waitFor(g.t, fmt.Sprintf("records of kind %s: %q", kind, wants), func() bool {
		output, err := g.audit("tail", g.dir, "-n", "1000", "--kind", kind)
		for _, want := range wants {
			if err != nil || !strings.Contains(output, want) {
				return false
			}
		}
		return true
	})
}

var allowLine = regexp.MustCompile(`allow ([0-9a-f]{32})`)

func TestTheRunningPolicyIsTold(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", needsOne)
	hash := g.hash()
	if report := g.policy("report", "--config", g.config); !strings.HasPrefix(report, "Policy "+hash+"\n") {
		t.Errorf("the file is another than %s: %.80s", hash, report)
	}
	if html := string(g.get("/tollgate/policy?format=html")); !strings.Contains(html, hash) || !strings.Contains(html, "<html") {
		t.Errorf("%.200s", html)
	}
	for _, wrong := range [][2]string{{"POST", "/tollgate/policy"}, {"GET", "/tollgate/policy?format=xml"}} {
		if status, body := g.ask(wrong[0], wrong[1], ""); status/100 != 4 {
			t.Errorf("%v: %d %s", wrong, status, body)
		}
	}
	status, id := g.call("/pay", "")
	if record := g.recordOf(id); status != 401 || record["policy"] != hash {
		t.Errorf("%d, the record says %v, and it is %s", status, record["policy"], hash)
	}
	waitFor(t, "the hash in the access log", func() bool {
		for line := range strings.Lines(g.log.String()) {
			if strings.Contains(line, id) && strings.Contains(line, `"policy":"`+hash+`"`) {
				return true
			}
		}
		return false
	})
	if got := g.metric(`tollgate_policy_changes_total{direction="widened"}`); got != "0" {
		t.Errorf("widened at the start: %s", got)
	}
}

// TestReloadsTellWhatTheyChange goes through what a reload without a guard can be.
func TestReloadsTellWhatTheyChange(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", needsOne)
	first := g.hash()
	g.reload() // --force, of the same
	g.records("config", "the policy is the same")

	g.mustLoad("", needsTwo, "")
	g.records("change", `"outcome":"narrowed"`, "0 widened, 1 narrowed, 0 moved", `"previous_policy":"`+first+`"`, `"policy":"`+g.hash()+`"`)
	g.mustLoad("", needsNil, "")
	g.records("change", `"outcome":"widened"`, "api pay: needs less than before: for example ", "a token of https://issuer.test")
	waitFor(t, "the log to tell it", func() bool { return strings.Contains(g.log.String(), "access is widened") })
	if got := g.metric(`tollgate_policy_changes_total{direction="widened"}`); got != "1" {
		t.Errorf("widened: %s", got)
	}
	g.mustLoad("", "reverse_proxy 127.0.0.1:1", "")
	g.records("change", `"outcome":"moved"`)

	// What cannot be analysed is said, and so is a field's name without what is asked of it.
	g.mustLoad("", needsNil, "@odd {\n\t\texpression `{http.request.host} == \"canary\"`\n\t\theader X-Key s3cr3t-canary\n\t}\n\tapi more {\n\t\tpublic\n\t\trespond @odd \"more\"\n\t}")
	g.records("change", `"outcome":"not_analysed"`, "expression", "with fields X-Key")
	if output, err := g.audit("tail", g.dir, "-n", "1000"); err != nil || strings.Contains(output, "canary") || strings.Contains(g.log.String(), "canary") {
		t.Errorf("a secret is told: %v %s", err, output)
	}
	if output, err := g.audit("verify", g.dir, "--key", filepath.Join(g.dir, "public.key"), "--live"); err != nil {
		t.Errorf("%v %s", err, output)
	}
}

// TestReloadGuard tries what is narrower, equal and wider, by each way in.
func TestReloadGuard(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	first := g.hash()
	old := g.text(guardOn, needsOne, "")

	refused := func(what, output string) string {
		t.Helper()
		named := allowLine.FindStringSubmatch(output)
		if !strings.Contains(output, "reload_guard: access is wider than before") || named == nil {
			t.Errorf("%s: %s", what, output)
			return ""
		}
		if g.hash() != first || g.status("payments:read") != 200 || g.status("other") != 403 {
			t.Errorf("%s: the old policy does not go on", what)
		}
		return named[1]
	}

	output, loaded := g.load(guardOn, needsNil, "")
	name := refused("a require less", output)
	if loaded || !strings.Contains(output, "api pay: needs less than before: for example ") {
		t.Errorf("not told why: %s", output)
	}
	g.records("config", `"outcome":"refused"`, `"reason":"policy_widened"`, `"policy":"`+name+`"`)

	output, _ = g.load("", needsOne, "")
	refused("no guard", output)
	output, _ = g.load("reload_guard off", needsOne, "")
	refused("the guard is off", output)
	output, _ = g.load(guardOn+" {\n\t\t\tallow "+first+"\n\t\t}", needsNil, "")
	refused("another one is named", output)
	output, _ = g.load(guardOn, needsOne, "@odd expression `{http.request.host} == \"x\"`\n\thandle @odd {\n\t\terror 404\n\t}")
	refused("not analysed", output)
	for _, way := range [][3]string{
		{"DELETE", "/config/apps/tollgate/reload_guard", ""},
		{"PATCH", "/config/apps/tollgate/issuers/0/audiences", `["https://other.test"]`},
		{"POST", "/load", fmt.Sprintf(`{"admin":{"listen":%q},"apps":{"http":{"servers":{"s":{"listen":[%q],"routes":[{"handle":[{"handler":"static_response"}]}]}}}}}`, g.admin, strings.TrimPrefix(g.url, "http://"))},
		{"POST", "/load", fmt.Sprintf(`{"admin":{"listen":%q}}`, g.admin)},
	} {
		status, body := g.ask(way[0], way[1], way[2])
		if status < 400 { // Caddy says 400 at /load, and 500 elsewhere
			t.Errorf("%v: %d %s", way, status, body)
		}
		refused(way[0]+" "+way[1], body)
	}
	elsewhere := freeAddress(t)
	status, body := g.ask("PUT", "/config/admin/origins", `["evil.test"]`)
	if refused("admin for others", body); status < 400 {
		t.Errorf("%d", status)
	}
	if status, body = g.ask("PATCH", "/config/admin/listen", `"[::]`+elsewhere[strings.LastIndex(elsewhere, ":"):]+`"`); status < 400 {
		t.Errorf("%d %s", status, body)
	}
	refused("admin elsewhere", body)
	if conn, err := net.Dial("tcp", elsewhere); err == nil {
		_ = conn.Close()
		t.Error("the admin API of a configuration that is refused answers")
	}

	// Equal however it is written, and narrower: both are loaded.
	if err := os.WriteFile(g.config, []byte(strings.Replace(old, "api pay /pay {", "@p path /pay /pay\n\tapi pay @p {", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.reload()
	second := g.hash()
	g.mustLoad(guardOn, needsTwo, "")
	if second == first || g.status("payments:read") != 403 || g.status("payments:read payments:more") != 200 {
		t.Error("the narrower policy is not in force")
	}

	// diff prints the line that names the wider policy; with it, and no longer after it, that one is loaded.
	narrow := writeConfig(t, "Narrow", g.text(guardOn, needsTwo, ""))
	wide := writeConfig(t, "Wide", g.text(guardOn, needsNil, ""))
	named := allowLine.FindStringSubmatch(g.policy("diff", narrow, wide))
	if named == nil || named[1] != name {
		t.Fatalf("diff names %v, the edge %s", named, name)
	}
	allow := guardOn + " {\n\t\t\tallow " + name + "\n\t\t}"
	g.mustLoad(allow, needsNil, "")
	if g.hash() != name || g.status("other") != 200 {
		t.Error("the named policy is not in force")
	}
	g.records("change", `"outcome":"widened"`)
	if output, loaded = g.load(allow, needsNil, "api more /more {\n\t\tpublic\n\t\trespond \"more\"\n\t}"); loaded || !strings.Contains(output, "api more") {
		t.Errorf("what was named opens more than that: %s", output)
	}
	if got := g.metric("tollgate_reloads_refused_total"); got != "12" {
		t.Errorf("%s reloads were refused", got)
	}
}

// TestGuardOutlivesAFailedReload has a reload that fails when it starts, after the new
// configuration has taken over: the old one has to be guarded still.
func TestGuardOutlivesAFailedReload(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	first := g.hash()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	more := fmt.Sprintf("}\nhttp://%s {\n\tapi more {\n\t\tpublic\n\t\trespond \"more\"\n\t}", taken.Addr())
	output, _ := g.load(guardOn, needsOne, more)
	named := allowLine.FindStringSubmatch(output)
	if named == nil {
		t.Fatalf("another listener: %s", output)
	}
	for range 4 { // Caddy starts apps in any order
		if output, loaded := g.load(guardAllows(named[1]), needsOne, more); loaded || !strings.Contains(output, "address already in use") {
			t.Fatalf("it starts: %s", output)
		}
		if output, loaded := g.load(guardOn, needsNil, ""); loaded || !strings.Contains(output, "reload_guard") {
			t.Fatalf("nobody guards: %s", output)
		}
	}
	if g.hash() != first || g.status("other") != 403 {
		t.Error("the old policy does not go on")
	}
}

// TestTwoReloadsAtOnce has one that is wider among several that are not.
func TestTwoReloadsAtOnce(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	narrow, wide := g.adapted(guardOn, needsTwo, ""), g.adapted(guardOn, needsNil, "")
	var sent, lost atomic.Int64
	stop := make(chan struct{})
	token := g.issuer.Token(tokentest.Claim("scope", "payments:read payments:more"))
	var traffic sync.WaitGroup
	for range 4 {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, _ := http.NewRequest(http.MethodGet, g.url+"/pay", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				answer, err := http.DefaultClient.Do(r)
				if sent.Add(1); err != nil || answer.StatusCode != 200 {
					lost.Add(1)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close()
				}
			}
		})
	}
	var loads sync.WaitGroup
	var refused, accepted atomic.Int64
	for n := range 6 {
		loads.Go(func() {
			body := narrow
			if n%2 == 1 {
				body = wide
			}
			switch status, answer := g.ask("POST", "/load", body); {
			case status == 200:
				accepted.Add(1)
			case strings.Contains(answer, "reload_guard: access is wider"):
				refused.Add(1)
			default:
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	loads.Wait()
	close(stop)
	traffic.Wait()
	if refused.Load() != 3 || accepted.Load() != 3 || g.status("payments:read") != 403 {
		t.Errorf("%d refused, %d accepted", refused.Load(), accepted.Load())
	}
	if lost.Load() > 0 {
		t.Errorf("%d of %d requests were lost", lost.Load(), sent.Load())
	}
}
