package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// guardAllows is a guard that names a policy.
func guardAllows(hash string) string { return guardOn + " {\n\t\t\tallow " + hash + "\n\t\t}" }

// adapted gives a configuration as Caddy's JSON.
func (g *guarded) adapted(guard, pay, more string) string {
	g.t.Helper()
	command := exec.Command(binary, "adapt", "--config", writeConfig(g.t, "Caddyfile", g.text(guard, pay, more)), "--adapter", "caddyfile")
	command.Env = g.env
	out, err := command.Output()
	if err != nil {
		g.t.Fatal(err)
	}
	return string(out)
}

// autosave is the file that "tollgate run --resume" loads.
func (g *guarded) autosave() string {
	for _, setting := range g.env {
		if dir, ok := strings.CutPrefix(setting, "XDG_CONFIG_HOME="); ok && dir != os.Getenv("XDG_CONFIG_HOME") {
			return filepath.Join(dir, "caddy", "autosave.json")
		}
	}
	g.t.Fatal("no folder for it")
	return ""
}

// unchanged fails if the policy of needsOne does not go on.
func (g *guarded) unchanged(after, hash string) {
	g.t.Helper()
	if now := g.hash(); now != hash || g.status("payments:read") != 200 || g.status("other") != 403 {
		g.t.Errorf("after %s, the old policy does not go on: %s is %s", after, hash, now)
	}
}

// TestGuardHoldsUpMoves sends the requests of an API to another service: nobody gets
// further than before, and somebody else gets the tokens.
func TestGuardHoldsUpMoves(t *testing.T) {
	t.Parallel()
	to := func(upstream string) string { return "reverse_proxy " + upstream }
	g := startGuarded(t, guardOn, to("127.0.0.1:1"))
	first := g.hash()
	output, loaded := g.load(guardOn, to("127.0.0.1:2"), "")
	named := allowLine.FindStringSubmatch(output)
	if loaded || named == nil || !strings.Contains(output, "reload_guard: requests go elsewhere than before") || !strings.Contains(output, "127.0.0.1:2") || g.hash() != first {
		t.Fatalf("goes elsewhere: %s", output)
	}
	g.records("config", `"outcome":"refused"`, `"reason":"policy_moved"`, `"policy":"`+named[1]+`"`)
	g.mustLoad(guardAllows(named[1]), to("127.0.0.1:2"), "")

	moves := guardOn + " {\n\t\t\tallow_moved\n\t\t}"
	output, loaded = g.load(moves, to("127.0.0.1:3"), "") // of what comes in, the option says nothing
	if named = allowLine.FindStringSubmatch(output); loaded || named == nil || !strings.Contains(output, "access is wider") {
		t.Fatalf("it lets itself move: %s", output)
	}
	g.mustLoad(moves[:len(moves)-1]+"\tallow "+named[1]+"\n\t\t}", to("127.0.0.1:3"), "")
	g.mustLoad(moves, to("127.0.0.1:4"), "")
	if output, loaded = g.load(moves, to("127.0.0.1:4")+"\n\t}\n\tapi more /more {\n\t\tpublic\n\t\t"+to("127.0.0.1:5"), ""); loaded || !strings.Contains(output, "access is wider") {
		t.Errorf("what is wider moves in: %s", output)
	}
	g.mustLoad(guardOn, to("127.0.0.1:4"), "")
	if output, loaded = g.load(guardOn, to("127.0.0.1:5"), ""); loaded {
		t.Errorf("it still lets move: %s", output)
	}
}

// TestGuardAtEachWayIn tries what is wider by the ways that JSON has, and others beside
// "tollgate reload".
func TestGuardAtEachWayIn(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	first := g.hash()
	saved := g.autosave()
	narrow, wide := g.adapted(guardOn, needsOne, ""), g.adapted(guardOn, needsNil, "")

	// The same policy with an id in it: what has one is reached by it.
	const need = `{"handler":"require"`
	if !strings.Contains(narrow, need) {
		t.Fatal(narrow)
	}
	if status, body := g.ask("POST", "/load", strings.Replace(narrow, need, `{"@id":"need","handler":"require"`, 1)); status != 200 || g.hash() != first {
		t.Fatalf("%d %s", status, body)
	}
	before, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	const guarded = `"reload_guard":{}`
	if !strings.Contains(narrow, guarded) {
		t.Fatal(narrow)
	}
	for _, way := range [][4]string{
		{"DELETE", "/id/need/scopes", "", "access is wider"},
		{"PATCH", "/id/need/scopes", `[]`, "access is wider"},
		{"PATCH", "/id/need", `{"handler":"require","scopes":["other"]}`, "access is wider"},
		{"PATCH", "/id/need", `{"handler":"require","Scopes":["other"]}`, "could be taken for"},
		{"PATCH", "/id/need", `{"handler":"require","scopes":["payments:read"],"\u017fcopes":["other"]}`, "could be taken for"},
		{"DELETE", "/config/apps/tollgate", "", "access is wider"},
		{"DELETE", "/config/", "", "access is wider"},
		{"POST", "/load", `{"apps":{"tollgate":{"reload_guard":{}},"tollgate":{}}}`, "access is wider"},
		{"POST", "/load", strings.Replace(narrow, guarded, guarded+`,"reload_guard":{"off":true}`, 1), "access is wider"},
		{"POST", "/load", strings.Replace(narrow, guarded, guarded+`,"Reload_guard":{"off":true}`, 1), "could be taken for"},
		{"POST", "/config/admin/config", `{"load":{"module":"http","url":"http://127.0.0.1:1"},"load_delay":"1h"}`, "another configuration is fetched"},
		{"POST", "/config/admin/remote", `{"access_control":[]}`, "remote administration"},
		{"POST", "/load", wide, "access is wider"},
	} {
		status, body := g.ask(way[0], way[1], way[2], "Cache-Control", "must-revalidate")
		if status < 400 || !strings.Contains(body, "reload_guard") || !strings.Contains(body, way[3]) {
			t.Errorf("%v: %d %s", way, status, body)
		}
		g.unchanged(strings.Join(way[:], " "), first)
	}
	if after, err := os.ReadFile(saved); err != nil || string(after) != string(before) {
		t.Errorf("what was refused is what --resume loads: %v", err)
	}
}

// TestGuardAtASignal has the edge read its file again.
func TestGuardAtASignal(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	first := g.hash()
	signal := func(pay, want string) {
		t.Helper()
		if err := os.WriteFile(g.config, []byte(g.text(guardOn, pay, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		waitFor(t, want, func() bool { return strings.Contains(g.log.String(), want) })
	}
	signal(needsNil, "failed to reload config from file")
	g.records("config", `"outcome":"refused"`)
	g.unchanged("a signal", first)
	signal(needsTwo, "successfully reloaded config from file")
	if g.hash() == first || g.status("payments:read") != 403 {
		t.Error("the narrower policy is not in force")
	}
}

// TestGuardAtAFetch has a configuration, which was named, fetch another one.
func TestGuardAtAFetch(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	var body atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, *body.Load())
	}))
	t.Cleanup(server.Close)
	fetching := func(pay, allow string) string {
		t.Helper()
		var config map[string]any
		if err := json.Unmarshal([]byte(g.adapted(guardOn, pay, "")), &config); err != nil {
			t.Fatal(err)
		}
		config["admin"].(map[string]any)["config"] = map[string]any{"load": map[string]any{"module": "http", "url": server.URL}, "load_delay": "50ms"}
		if allow != "" {
			config["apps"].(map[string]any)["tollgate"].(map[string]any)["reload_guard"] = map[string]any{"allow": []string{allow}}
		}
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	wide := fetching(needsNil, "")
	body.Store(&wide)
	status, answer := g.ask("POST", "/load", fetching(needsOne, ""))
	named := allowLine.FindStringSubmatch(answer)
	if status < 400 || named == nil || !strings.Contains(answer, "another configuration is fetched") {
		t.Fatalf("%d %s", status, answer)
	}
	if status, answer = g.ask("POST", "/load", fetching(needsOne, named[1])); status != 200 || g.hash() != named[1] {
		t.Fatalf("%d %s", status, answer)
	}
	waitFor(t, "what is fetched to be refused", func() bool {
		return strings.Contains(g.log.String(), "failed to run dynamically-loaded config")
	})
	g.unchanged("a fetch", named[1])
}

// TestWhatARefusedReloadLeaves holds docs/operators.md to its word: Caddy has set up logs
// before anybody is asked, and has ended the admin API of a configuration that has none.
func TestWhatARefusedReloadLeaves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, other := filepath.Join(dir, "old.log"), filepath.Join(dir, "new.log")
	logTo := func(file string) string {
		return guardOn + "\n\t}\n\tlog default {\n\t\toutput file " + file + " {\n\t\t\tmode 0600\n\t\t}"
	}
	g := startGuarded(t, guardOn, needsOne)
	read := func(file string) string {
		content, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(content)
	}
	g.mustLoad(logTo(old), needsOne, "")
	first := g.hash()
	if output, loaded := g.load(logTo(other), needsNil, ""); loaded || !strings.Contains(output, "access is wider") {
		t.Fatalf("%s", output)
	}
	g.unchanged("a refusal", first)
	if got := read(old); !strings.Contains(got, "a configuration is refused") || !strings.Contains(got, "tollgate.policy") {
		t.Errorf("the log of the configuration that goes on does not tell it: %s", got)
	}
	_, id := g.call("/pay", "")
	waitFor(t, "the access log where it was", func() bool { return strings.Contains(read(old), id) })
	if got := read(other); strings.Contains(got, id) || !strings.Contains(got, "admin.api") {
		t.Errorf("the log of the refused configuration: %s", got)
	}
	g.mustLoad(logTo(old), needsTwo, "")
	length := len(read(other))
	g.hash()
	if got := read(other); len(got) != length {
		t.Errorf("Caddy's own log goes on there after another reload: %s", got[length:])
	}

	// Without an admin API in it, what is refused has ended the one there was.
	second := g.hash()
	off := strings.Replace(g.adapted(logTo(old), needsNil, ""), fmt.Sprintf(`"listen":%q`, g.admin), `"disabled":true`, 1)
	if status, body := g.ask("POST", "/load", off); status < 400 || !strings.Contains(body, "access is wider") {
		t.Fatalf("%d %s", status, body)
	}
	waitFor(t, "the end of the admin API", func() bool {
		conn, err := net.Dial("tcp", g.admin)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if g.status("payments:read") != 403 || g.status("payments:read payments:more") != 200 {
		t.Error("the old policy does not go on")
	}
	if err := g.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the admin API to be back", func() bool {
		conn, err := net.Dial("tcp", g.admin)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if g.hash() != second {
		t.Error("the old policy does not go on")
	}
}

// TestFailedReloadGivesTheLimitsBack has reloads fail at their start, some after the limits
// have taken the new settings.
func TestFailedReloadGivesTheLimitsBack(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedisServer(t).Addr()
	nodes := func(n int) string {
		return fmt.Sprintf("redis redis://%s\n\t\trate_limits {\n\t\t\tnodes %d\n\t\t}", redis, n)
	}
	const pay = "rate_limit {\n\t\t\tzone z {\n\t\t\t\tkey {http.auth.client.id}\n\t\t\t\tevents 10\n\t\t\t\twindow 1m\n\t\t\t}\n\t\t}\n\t\t" + needsNil
	g := startGuarded(t, nodes(3), pay)
	if got := g.metric("tollgate_rate_limit_nodes"); got != "3" {
		t.Fatalf("%s nodes", got)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	more := fmt.Sprintf("}\nhttp://%s {\n\trespond 204", taken.Addr())
	for range 8 { // Caddy starts apps in any order
		if output, loaded := g.load(nodes(7), pay, more); loaded || !strings.Contains(output, "address already in use") {
			t.Fatalf("it starts: %s", output)
		}
		if got := g.metric("tollgate_rate_limit_nodes"); got != "3" {
			t.Fatalf("the limits follow what has failed: %s nodes", got)
		}
	}
	g.records("config", `"outcome":"failed"`)
	if strings.Contains(g.log.String(), "access may be widened") {
		t.Error("a change is told that was none")
	}
}

// TestBaselineOfAStart has a process start with one policy alone.
func TestBaselineOfAStart(t *testing.T) {
	t.Parallel()
	baseline := filepath.Join(t.TempDir(), "baseline")
	guard := guardOn + " {\n\t\t\tbaseline " + baseline + "\n\t\t}"
	g := startGuarded(t, "", needsOne)
	validate := func(guard, pay string) (string, bool) {
		command := exec.Command(binary, "validate", "--config", writeConfig(t, "Caddyfile", g.text(guard, pay, "")), "--adapter", "caddyfile")
		command.Env = g.env
		out, err := command.CombinedOutput()
		return string(out), err == nil
	}
	if output, ok := validate(guard, needsOne); ok || !strings.Contains(output, "reload_guard: baseline") {
		t.Errorf("without the file: %s", output)
	}
	file := writeConfig(t, "Caddyfile", g.text(guard, needsOne, ""))
	report := g.policy("report", "--config", file)
	line, _, _ := strings.Cut(report, "\n")
	for name, content := range map[string]string{"a report's line": line, "a hash": strings.TrimPrefix(line, "Policy ") + "\n"} {
		if err := os.WriteFile(baseline, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if output, ok := validate(guard, needsOne); !ok {
			t.Errorf("%s: %s", name, output)
		}
	}
	output, ok := validate(guard, needsTwo)
	if ok || !strings.Contains(output, "is what baseline "+baseline+" lets a process start with") {
		t.Errorf("another policy: %s", output)
	}
	hash := g.policy("report", "--config", writeConfig(t, "Caddyfile", g.text(guard, needsTwo, "")))[len("Policy "):][:32]
	if output, ok = validate(guard[:len(guard)-1]+"\tallow "+hash+"\n\t\t}", needsTwo); !ok {
		t.Errorf("it is named: %s", output)
	}
	// A reload goes by what runs, and tells that a restart would fail.
	g.mustLoad(guard, needsTwo, "")
	waitFor(t, "the warning", func() bool { return strings.Contains(g.log.String(), "a restart would not load this configuration") })
	for name, content := range map[string]string{"nothing": "", "another text": "Policy", "two hashes": hash + "\n" + hash, "capitals": strings.ToUpper(hash)} {
		if err := os.WriteFile(baseline, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if output, ok = validate(guard, needsTwo); ok || !strings.Contains(output, "is not the hash of a policy") {
			t.Errorf("%s: %s", name, output)
		}
	}
	if output, ok = validate(guardOn+" {\n\t\t\tbaseline a\n\t\t\tbaseline b\n\t\t}", needsTwo); ok || !strings.Contains(output, "twice") {
		t.Error(output)
	}
}

// TestReloadThatFailsAtTheEnd has one fail after all of it was started: Caddy then cleans up
// what it does not stop. Who ran before decides again.
func TestReloadThatFailsAtTheEnd(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, "", needsOne)
	first := g.hash()
	var config map[string]any
	if err := json.Unmarshal([]byte(g.adapted("", needsTwo, "")), &config); err != nil {
		t.Fatal(err)
	}
	config["admin"].(map[string]any)["config"] = map[string]any{"load": map[string]any{"module": "http", "url": "http://" + freeAddress(t)}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := g.ask("POST", "/load", string(text)); status < 400 || !strings.Contains(body, "loading dynamic config") {
		t.Fatalf("%d %s", status, body)
	}
	g.unchanged("a reload that fails at the end", first)
	g.records("config", `"outcome":"failed"`)
}

// TestWhatTheGuardIsNotAskedAbout loads a configuration with nothing of Tollgate in it and
// without an admin API, which no part of Tollgate sees: the log and the audit log say so.
func TestWhatTheGuardIsNotAskedAbout(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, guardOn, needsOne)
	hash := g.hash()
	bare := fmt.Sprintf(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":["seamless/%s"],"routes":[{"handle":[{"handler":"static_response","status_code":299}]}]}}}}}`,
		strings.TrimPrefix(g.url, "http://"))
	if status, body := g.ask("POST", "/load", bare); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status := g.status("payments:read"); status != 299 {
		t.Fatalf("another configuration runs: %d", status)
	}
	g.records("config", `"outcome":"unguarded"`, `"previous_policy":"`+hash+`"`)
	waitFor(t, "the log to tell it", func() bool {
		return strings.Contains(g.log.String(), "nothing of Tollgate runs any more, and reload_guard was not asked")
	})
	if output, err := g.audit("verify", g.dir, "--key", filepath.Join(g.dir, "public.key")); err != nil {
		t.Errorf("%v %s", err, output)
	}
}

// TestAStartThatFailsIsNoChange starts a process whose listener is taken: nobody ran before,
// and nothing took over.
func TestAStartThatFailsIsNoChange(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	g := startGuarded(t, guardOn, needsOne)
	other := &guarded{audited: &audited{dir: filepath.Join(t.TempDir(), "audit"), issuer: g.issuer}, keys: g.keys}
	more := fmt.Sprintf("}\nhttp://%s {\n\trespond 204", taken.Addr())
	for n := range 30 { // Caddy starts apps in any order: half of the time nobody is there yet who could record it
		if strings.Contains(recordsIn(t, other.dir), `"outcome":"failed"`) {
			break
		}
		if n == 29 {
			t.Error("a failed start is not recorded")
		}
		command := exec.Command(binary, "run", "--config", writeConfig(t, "Caddyfile", other.text(guardOn, needsOne, more)), "--adapter", "caddyfile")
		command.Env = append(g.env, "TOLLGATE_ADMIN="+freeAddress(t), "TOLLGATE_LISTEN="+freeAddress(t))
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "address already in use") || strings.Contains(string(out), "nothing of Tollgate runs any more") {
			t.Fatalf("%v %s", err, out)
		}
	}
	if text := recordsIn(t, other.dir); strings.Contains(text, "unguarded") {
		t.Errorf("%s", text)
	}
}

// recordsIn gives the records of an audit log; none where there is no log yet.
func recordsIn(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.records"))
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	return text
}
